"""All that is read from one .tflite file.

Structure, signature, what its operators compute with, where its zeros are.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from zoo_builders.tflite import costs, proof, weight_tensors, xnnpack
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import BadFile, Subgraph, Tensor, TfliteFile
from zoo_registry.model.record import Signature, Structure, TensorInfo

_REAL = frozenset({"float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16", "int4"})
"""Types a number of the model can be stored as.

Int32, int64 and bool tensors hold shapes, indices and biases.
"""


def inspect(data: bytes) -> Structure:
    """Read a file's structure: operators, tensors, weights, work, and the path XNNPACK will take.

    `parameters` counts the elements of all weights, biases and other numeric constants, once each.
    `macs` are multiply-accumulates of one inference, from output elements O and filters: CONV_2D
    and FULLY_CONNECTED O x (filter elements per output channel), DEPTHWISE_CONV_2D O x kernel
    height x width, TRANSPOSE_CONV input elements x kernel x output channels, BATCH_MATMUL O x the
    contracted dimension; an unknown dimension counts as 1. Other operators count nothing.

    Raises:
        BadFile: the bytes are not a .tflite file that can be read.
    """
    return examine(read(data)).structure


def examine(file: TfliteFile, layers: Sequence[tuple[str, ...]] | None = None) -> proof.Inspection:
    """Say all that promises are held against: structure, signature, activations, zeros.

    `layers` names the layers behind each weight tensor, where they are known.

    Raises:
        BadFile: a tensor's bytes do not fit its shape, or its sparse description is wrong.
    """
    try:
        found = [weight for graph in file.subgraphs for weight in weight_tensors.find(graph)]
        structure = _structure(file, found, layers or [()] * len(found))
        zeros = tuple(proof.Zeros(weight.zero, weight.bias_zero) for weight in found)
        return proof.Inspection(structure, signature(file), tuple(_activations(file.main)), zeros)
    except (ValueError, TypeError, OverflowError, IndexError, MemoryError) as error:
        raise BadFile(f"damaged .tflite file: {type(error).__name__}: {error}") from error


def _structure(
    file: TfliteFile, found: list[weight_tensors.Weight], layers: Sequence[tuple[str, ...]]
) -> Structure:
    operators = Counter(operator.code for graph in file.subgraphs for operator in graph.operators)
    elements = sum(weight.values.size for weight in found)
    predicted = xnnpack.predict(file.main)
    return Structure(
        parameters=sum(_parameters(graph) for graph in file.subgraphs),
        macs=sum(
            costs.macs(graph, operator) for graph in file.subgraphs for operator in graph.operators
        ),
        operators=dict(sorted(operators.items())),
        tensors_by_dtype=dict(
            sorted(
                Counter(
                    tensor.dtype for graph in file.subgraphs for tensor in graph.tensors
                ).items()
            )
        ),
        sparsity_overall=(
            float(sum(int(weight.zero.sum()) for weight in found) / elements) if elements else 0.0
        ),
        weights=tuple(
            weight.describe().model_copy(update={"layers": names})
            for weight, names in zip(found, layers, strict=True)
        ),
        densify=operators["DENSIFY"],
        xnnpack=predicted,
        costs=costs.of_file(file, found, skips=predicted.predicted_sparse),
        state=file.state,
    )


def _parameters(graph: Subgraph) -> int:
    """Count elements of constants that are numbers of the model.

    Read by some operator as real values or as a bias.
    """
    counted: set[int] = set()
    for operator in graph.operators:
        weighted = operator.code in weight_tensors.WITH_WEIGHTS
        for position, index in enumerate(operator.inputs):
            if (
                index >= 0
                and graph.tensors[index].constant
                and (
                    graph.tensors[index].dtype in _REAL
                    or (weighted and position == weight_tensors.BIAS)
                )
            ):
                counted.add(index)
    return sum(math.prod(graph.tensors[index].shape) for index in counted)


def signature(file: TfliteFile) -> Signature:
    """Read what goes in and out; `preprocess` and `labels` are the data's to fill in."""
    graph = file.main
    return Signature(
        inputs=tuple(_port(graph.tensors[index], file.input_names) for index in graph.inputs),
        outputs=tuple(_port(graph.tensors[index], file.output_names) for index in graph.outputs),
    )


def _port(tensor: Tensor, names: Any) -> TensorInfo:
    steps = "int" in tensor.dtype  # old files give ranges of float tensors too
    scale, zero_point = (tensor.scales or (0.0,))[0], (tensor.zero_points or (0,))[0]
    name = names.get(tensor.index, tensor.name)
    return TensorInfo(
        name=name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=scale if steps else 0.0,
        zero_point=zero_point if tensor.scales and steps else 0,
    )


def _activations(graph: Subgraph) -> Iterable[proof.Activation]:
    """Give what operators compute with.

    Data inputs and outputs, conversions at the rim of an integer file left out.
    """
    for operator in graph.operators:
        if operator.code in {"QUANTIZE", *weight_tensors.UNPACKING}:
            continue
        known_as = weight_tensors.known_as(graph, operator)
        for index in (*operator.inputs[:1], *operator.outputs):
            tensor = graph.tensors[index]
            if index >= 0 and not tensor.constant and tensor.dtype in _REAL:
                yield proof.Activation(tensor.name, operator.code, tensor.dtype, known_as)
