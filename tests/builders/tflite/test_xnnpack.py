"""The prediction of the sparse path: one change at a time to a graph that is known to take it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import Operator, Subgraph, Tensor
from zoo_builders.tflite.xnnpack import CPUS, predict

Change = Callable[[Subgraph], Subgraph]


def change_options(code: str, which: int, **options: int) -> Change:
    def change(graph: Subgraph) -> Subgraph:
        chosen = [operator for operator in graph.operators if operator.code == code][which]
        return swap(graph, chosen, replace(chosen, options={**chosen.options, **options}))

    return change


def swap(graph: Subgraph, old: Operator, new: Operator) -> Subgraph:
    return replace(
        graph, operators=tuple(new if operator is old else operator for operator in graph.operators)
    )


def change_tensor(graph: Subgraph, tensor: Tensor) -> Subgraph:
    return replace(
        graph, tensors=tuple(tensor if old.index == tensor.index else old for old in graph.tensors)
    )


def rename(code: str, new: str) -> Change:
    def change(graph: Subgraph) -> Subgraph:
        chosen = next(operator for operator in graph.operators if operator.code == code)
        return swap(graph, chosen, replace(chosen, code=new))

    return change


def densely_filled(graph: Subgraph) -> Subgraph:
    """Give the dense layer weights without zeros of their own, three times as many.

    The share falls below two thirds.
    """
    dense = next(operator for operator in graph.operators if operator.code == "FULLY_CONNECTED")
    weight = graph.tensors[dense.inputs[1]]
    return change_tensor(
        graph, replace(weight, shape=(18, *weight.shape[1:]), data=weight.data * 3)
    )


def graph_output_inside(graph: Subgraph) -> Subgraph:
    second = [operator for operator in graph.operators if operator.code == "DEPTHWISE_CONV_2D"][1]
    return replace(graph, outputs=(*graph.outputs, second.outputs[0]))


def integer_inside(graph: Subgraph) -> Subgraph:
    first = next(operator for operator in graph.operators if operator.code == "DEPTHWISE_CONV_2D")
    return change_tensor(graph, replace(graph.tensors[first.outputs[0]], dtype="int8"))


def read_outside(graph: Subgraph) -> Subgraph:
    first = next(operator for operator in graph.operators if operator.code == "DEPTHWISE_CONV_2D")
    odd = Operator(99, "SOFTMAX", (first.outputs[0],), (), {})
    return replace(graph, operators=(*graph.operators, odd))


def without_stem(graph: Subgraph) -> Subgraph:
    """Feed the first depthwise convolution from the graph's input."""
    first = next(operator for operator in graph.operators if operator.code == "DEPTHWISE_CONV_2D")
    return swap(graph, first, replace(first, inputs=(graph.inputs[0], *first.inputs[1:])))


@pytest.mark.parametrize("name", ["sparse", "sparse-fp16"])
def test_the_path_opens_for_float_files_with_sparse_weights(
    name: str, files: Mapping[str, bytes]
) -> None:
    found = predict(read(files[name]).main)
    assert found.predicted_sparse
    assert found.cpus == CPUS
    assert "68.3% of the 1648 weights" in found.reason
    assert not any("x86" in cpu for cpu in found.cpus)


@pytest.mark.parametrize("name", ["fp32", "int8"])
def test_without_sparse_storage_nobody_looks_for_it(name: str, files: Mapping[str, bytes]) -> None:
    found = predict(read(files[name]).main)
    assert not found.predicted_sparse
    assert found.cpus == ()
    assert "no DENSIFY" in found.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (densely_filled, ["52.9%", "more than 2/3"]),
        (change_options("CONV_2D", 0, StrideH=1, StrideW=1), ["CONV_2D", "3x3", "stride (1, 1)"]),
        (change_options("CONV_2D", 1, StrideH=2, StrideW=2), ["CONV_2D", "1x1", "only stride 1"]),
        (change_options("CONV_2D", 2, DilationHFactor=2), ["CONV_2D", "dilation"]),
        (
            change_options("DEPTHWISE_CONV_2D", 0, StrideH=2, StrideW=2),
            ["DEPTHWISE_CONV_2D", "padding SAME"],
        ),
        (change_options("DEPTHWISE_CONV_2D", 0, StrideH=3, StrideW=3), ["stride (3, 3)"]),
        (change_options("DEPTHWISE_CONV_2D", 1, DepthMultiplier=2), ["depth multiplier 2"]),
        (rename("MEAN", "MAX_POOL_2D"), ["no mean or global pooling"]),
        (
            rename("DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D"),
            ["AVERAGE_POOL_2D", "no sparse counterpart"],
        ),
        (graph_output_inside, ["output of the graph"]),
        (read_outside, ["SOFTMAX", "also reads", "no sparse counterpart"]),
        (integer_inside, ["int8", "float only"]),
        (without_stem, ["DEPTHWISE_CONV_2D", "an input of the graph"]),
    ],
)
def test_one_obstacle_closes_it_and_is_named(
    change: Change, words: Sequence[str], files: Mapping[str, bytes]
) -> None:
    found = predict(change(read(files["sparse"]).main))
    assert not found.predicted_sparse
    assert [word for word in words if word not in found.reason] == []


def test_a_pad_that_is_not_symmetric_closes_it(files: Mapping[str, bytes]) -> None:
    graph = read(files["sparse"]).main
    pad = next(operator for operator in graph.operators if operator.code == "PAD")
    amounts = graph.tensors[pad.inputs[1]]
    lopsided = bytearray(amounts.data)
    lopsided[8:12] = (0).to_bytes(4, "little")
    found = predict(change_tensor(graph, replace(amounts, data=bytes(lopsided))))
    assert not found.predicted_sparse
    assert "padding (0, 1, 1, 1)" in found.reason


def pointwise_weights(graph: Subgraph) -> list[Tensor]:
    """The weights whose zeros are counted: 1x1 convolutions and fully connected operators."""
    tensors = [
        graph.tensors[operator.inputs[1]]
        for operator in graph.operators
        if operator.code in {"CONV_2D", "FULLY_CONNECTED"}
    ]
    return [tensor for tensor in tensors if len(tensor.shape) == 2 or tensor.shape[1:3] == (1, 1)]


def with_zeros(graph: Subgraph, count: int) -> Subgraph:
    """Fill the counted weights anew: `count` zeros, and ones behind them."""
    for tensor in pointwise_weights(graph):
        size = math.prod(tensor.shape)
        values = np.ones(size, np.float32)
        values[: max(0, count)] = 0
        count -= size
        graph = change_tensor(
            graph, replace(tensor, dtype="float32", data=values.tobytes(), sparse=None)
        )
    return graph


def test_the_path_opens_above_two_thirds_of_zeros_and_not_at_them(
    files: Mapping[str, bytes],
) -> None:
    graph = read(files["sparse"]).main
    total = sum(math.prod(tensor.shape) for tensor in pointwise_weights(graph))
    assert total == 1648
    least = next(count for count in range(total) if count * 3 > total * 2)
    assert predict(with_zeros(graph, least)).predicted_sparse
    assert not predict(with_zeros(graph, least - 1)).predicted_sparse
    assert not predict(with_zeros(graph, round(total * 5 / 8) + 1)).predicted_sparse


def test_two_thirds_to_the_weight_are_not_more_than_two_thirds(files: Mapping[str, bytes]) -> None:
    graph = read(files["sparse"]).main
    dense = next(operator for operator in graph.operators if operator.code == "FULLY_CONNECTED")
    weight, others = graph.tensors[dense.inputs[1]], 1648
    others -= math.prod(weight.shape)
    rows = next(rows for rows in range(1, 9) if (others + rows * weight.shape[1]) % 3 == 0)
    total = others + rows * weight.shape[1]
    taller = change_tensor(graph, replace(weight, shape=(rows, weight.shape[1])))
    assert not predict(with_zeros(taller, total * 2 // 3)).predicted_sparse
    assert predict(with_zeros(taller, total * 2 // 3 + 1)).predicted_sparse
