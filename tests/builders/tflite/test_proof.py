"""Promises held against structures.

Each kind can hold and can fail, and nothing is proven by absence.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.tflite.layer_tensors import LayerTensor, belonging
from zoo_builders.tflite.proof import (
    Activation,
    Inspection,
    Promise,
    Zeros,
    demand,
    fewest_zeros,
    judge,
    zero_blocks,
)
from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.record import Signature, Structure, TensorInfo, TensorSparsity, Xnnpack


def weight(**changed: Any) -> TensorSparsity:
    plain = {
        "name": "w",
        "operator": "CONV_2D",
        "shape": (4, 1, 1, 5),
        "dtype": "float32",
        "sparsity": 0.75,
        "distinct": 6,
        "distinct_per_channel": 2,
        "encoded_sparse": False,
    }
    return TensorSparsity.model_validate(plain | changed)


def structure(*weights: TensorSparsity) -> Structure:
    return Structure(
        parameters=1,
        macs=1,
        operators={},
        tensors_by_dtype={},
        sparsity_overall=0,
        weights=weights,
        densify=0,
        xnnpack=Xnnpack(predicted_sparse=False, reason=""),
    )


SIGNATURE = Signature(
    inputs=(TensorInfo(name="image", shape=(1, 2), dtype="float32"),),
    outputs=(TensorInfo(name="scores", shape=(1, 3), dtype="int8"),),
)


def seen(*weights: TensorSparsity, **more: Any) -> Inspection:
    return Inspection(structure(*weights), SIGNATURE, **more)


def held(
    promise: dict[str, Any], *weights: TensorSparsity, activations: tuple[Activation, ...] = ()
) -> list[bool]:
    made = Promise.model_validate({"technique": "t"} | promise)
    return [finding.held for finding in judge([made], seen(*weights, activations=activations))]


@pytest.mark.parametrize(
    ("promise", "changed", "expected"),
    [
        ({"kind": "sparsity_at_least", "value": 0.75}, {}, True),
        ({"kind": "sparsity_at_least", "value": 0.8}, {}, False),
        ({"kind": "distinct_at_most", "value": 6}, {}, True),
        ({"kind": "distinct_at_most", "value": 5}, {}, False),
        ({"kind": "distinct_at_most", "value": 2, "per": "channel"}, {}, True),
        ({"kind": "distinct_at_most", "value": 1, "per": "channel"}, {}, False),
        ({"kind": "weights_dtype", "value": "float32"}, {}, True),
        ({"kind": "weights_dtype", "value": "int8"}, {}, False),
        ({"kind": "sparsity_at_least", "value": 0.5, "operators": ("CONV_2D",)}, {}, True),
    ],
)
def test_one_weight(promise: dict[str, Any], changed: dict[str, Any], expected: bool) -> None:
    assert held(promise, weight(**changed)) == [expected]


@pytest.mark.parametrize(
    "promise",
    [
        {"kind": "sparsity_at_least", "value": 0.1, "operators": ("FULLY_CONNECTED",)},
        {"kind": "sparsity_at_least", "value": 0.1, "at_least_elements": 21},
        {"kind": "activations_dtype", "value": "int8"},
    ],
)
def test_a_promise_that_speaks_of_no_tensor_fails(promise: dict[str, Any]) -> None:
    assert held(promise, weight()) == [False]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("sparsity_at_least", 0.5), ("blocks_at_least", 0.5), ("zeros_in_groups", "2:4")],
)
def test_a_kernel_that_is_zero_as_a_whole_keeps_no_promise_of_zeros(kind: str, value: Any) -> None:
    """PCQAT of TFMOT left such kernels, and each of them held its share of zeros."""
    made = [Promise.model_validate({"technique": "prune", "kind": kind, "value": value})]
    mask = np.ones((4, 1, 1, 5), bool)
    with pytest.raises(ProofFailed, match=r"found nothing but zeros \(20\)"):
        demand(judge(made, seen(weight(sparsity=1.0, distinct=1), zeros=[Zeros(mask)])))
    mask[0, 0, 0, 0] = False
    wide = [
        finding.held for finding in judge(made, seen(weight(sparsity=0.95), zeros=[Zeros(mask)]))
    ]
    assert wide == [True]


def test_pointwise_means_a_1x1_convolution() -> None:
    others = (
        weight(shape=(4, 3, 3, 5), sparsity=0),
        weight(operator="FULLY_CONNECTED", shape=(4, 5), sparsity=0),
    )
    promise = {"kind": "sparsity_at_least", "value": 0.75, "pointwise_only": True}
    assert held(promise, weight(), *others) == [True]
    assert held(promise, *others) == [False]


@given(elements=st.integers(1, 5000), share=st.floats(0.01, 0.99))
def test_pruning_may_round_down_to_a_whole_weight_but_no_further(
    elements: int, share: float
) -> None:
    zeros = int(share * elements + 1e-9)
    promise = {"kind": "sparsity_at_least", "value": share}
    assert held(promise, weight(shape=(elements,), sparsity=zeros / elements)) == [True]
    if zeros:
        assert held(promise, weight(shape=(elements,), sparsity=(zeros - 1) / elements)) == [False]


def test_interface_and_activations_name_each_tensor_that_differs() -> None:
    assert held({"kind": "interface_dtype", "value": "float32"}, weight()) == [True, False]
    seen = (
        Activation("a", "ADD", "int8"),
        Activation("b", "CONV_2D", "float32"),
        Activation("a", "ADD", "int8"),
    )
    assert held({"kind": "activations_dtype", "value": "int8"}, weight(), activations=seen) == [
        True,
        False,
    ]
    assert held(
        {"kind": "activations_dtype", "value": "int8", "operators": ("ADD",)},
        weight(),
        activations=seen,
    ) == [True]


def test_the_error_names_tensor_promise_and_value() -> None:
    promise = Promise(technique="cluster", kind="distinct_at_most", value=4)
    findings = judge([promise], seen(weight(name="conv/kernel")))
    with pytest.raises(
        ProofFailed,
        match=(
            r"1 of 1 promises: conv/kernel: cluster promised distinct values per tensor at most"
            r" 4.*found 6"
        ),
    ):
        demand(findings)
    demand(judge([promise.model_copy(update={"value": 6.0})], seen(weight())))


def named(name: str, **changed: Any) -> TensorSparsity:
    return weight(name=name, **changed)


CONV = LayerTensor(layer="pw", operators=("CONV_2D", "FULLY_CONNECTED"), shape=(4, 5))


@pytest.mark.parametrize(
    "name",
    [
        "model/pw/Conv2D",
        "model/relu_4/Relu;model/pw/BiasAdd;model/pw/Conv2D;model/pw/BiasAdd/ReadVariableOp1",
        "model/quant_pw/Conv2D;model/quant_pw/LastValueQuant/FakeQuantWithMinMaxVarsPerChannel",
        "model/inner/pw/Conv2D",
        "model/pw_bn/FusedBatchNormV3;model/pw/BiasAdd",
        "arith.constant",
        "tfl.pseudo_qconst7",
        "StatefulPartitionedCall:01",
    ],
)
def test_a_tensor_is_known_as_its_layers_however_the_converter_names_it(name: str) -> None:
    assert belonging([named("model/pw_2/Conv2D"), named(name)], CONV) == (1,)


@pytest.mark.parametrize(
    "other",
    [
        named("model/pw_1/Conv2D"),
        named("model/my_pw/Conv2D"),
        named("pw/other/Conv2D"),
        named("model/pw/Conv2D", shape=(5, 1, 1, 4)),
        named("model/pw/depthwise", operator="DEPTHWISE_CONV_2D"),
        named("arith.constant", shape=(4, 4)),
    ],
)
def test_a_tensor_of_another_name_shape_or_operator_is_not(other: TensorSparsity) -> None:
    assert belonging([other], CONV) == ()


def test_a_neighbour_that_is_named_along_is_not_the_layers_own() -> None:
    fused = named("model/sum/add;model/pw/BiasAdd;model/next/Conv2D")
    assert belonging([fused, named("model/pw/Conv2D")], CONV) == (1,)


@pytest.mark.parametrize("word", ["head", "hea?", "inner/head", "inner"])
def test_a_tensor_whose_values_told_its_layer_needs_no_name(word: str) -> None:
    weights = [
        named("model/head/MatMul", layers=("other",)),
        named("StatefulPartitionedCall:01", layers=("inner/head",)),
        named("arith.constant", layers=("left", "right")),
    ]
    assert belonging(weights, LayerTensor(layer=word)) == (1,)
    assert belonging(weights, LayerTensor(layer="right")) == (2,)
    assert belonging(weights, LayerTensor(layer="nobody")) == ()
    promise = {"kind": "sparsity_at_least", "value": 0.7, "layers": [{"layer": word}]}
    assert held(promise, *weights) == [True]


def test_a_pattern_means_several_layers_and_never_a_nameless_tensor() -> None:
    weights = [
        named("model/block1_pw/Conv2D"),
        named("model/block2_pw/Conv2D"),
        named("arith.constant"),
    ]
    assert belonging(weights, LayerTensor(layer="block*_pw")) == (0, 1)


def test_each_layer_is_held_to_its_promise_and_must_be_there() -> None:
    promise = {
        "kind": "sparsity_at_least",
        "value": 0.7,
        "layers": [{"layer": "a"}, {"layer": "b"}],
    }
    dense, sparse = named("m/b/Conv2D", sparsity=0.1), named("m/a/Conv2D")
    assert held(promise, sparse, named("m/c/Conv2D", sparsity=0)) == [False, True]
    assert held(promise, sparse, dense, named("m/c/Conv2D", sparsity=0)) == [True, False]
    found = judge([Promise.model_validate({"technique": "t"} | promise)], seen(sparse))
    assert [finding.tensor for finding in found] == ["layer b", "m/a/Conv2D"]


def test_a_broken_promise_comes_with_what_to_write_where_that_is_known() -> None:
    left = [Activation("tfl.dequantize", "ELU", "float32")]
    for technique, hint in (
        ("quantize", "allow_float_fallback: true"),
        ("quantize_aware", "zoo plan MANIFEST"),
    ):
        promises = [Promise(technique=technique, kind="activations_dtype", value="int8")]
        with pytest.raises(ProofFailed) as caught:
            demand(judge(promises, seen(activations=left)))
        assert hint in caught.value.hint


def test_what_is_left_out_by_name_is_not_held_to_it() -> None:
    promise = {"kind": "sparsity_at_least", "value": 0.7, "besides": ("head*",)}
    assert held(promise, weight(name="m/a/Conv2D"), weight(name="m/head/MatMul", sparsity=0)) == [
        True
    ]


def places(promise: dict[str, Any], zeros: Zeros) -> list[bool]:
    made = Promise.model_validate({"technique": "t"} | promise)
    return [finding.held for finding in judge([made], seen(weight(), zeros=(zeros,)))]


KERNEL = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 1, 1]], bool)  # 1 = zero


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ({"kind": "blocks_at_least", "value": 0.25, "block": (1, 4)}, True),
        ({"kind": "blocks_at_least", "value": 0.5, "block": (1, 4)}, False),
        ({"kind": "blocks_at_least", "value": 0.5, "block": (1, 2)}, True),
        ({"kind": "blocks_at_least", "value": 0.25, "block": (2, 2)}, True),
        ({"kind": "zeros_in_groups", "value": "1:4"}, False),
        ({"kind": "zeros_in_groups", "value": "4:8"}, True),
        ({"kind": "zeros_in_groups", "value": "5:8"}, False),
        ({"kind": "bias_sparsity_at_least", "value": 0.5}, True),
        ({"kind": "bias_sparsity_at_least", "value": 0.9}, False),
    ],
)
def test_places_of_zeros(promise: dict[str, Any], expected: bool) -> None:
    assert places(promise, Zeros(KERNEL, np.arange(10) < 5)) == [expected]
    assert held(promise, weight()) == [False], "what was not read is not proven"


def test_a_layer_without_a_bias_adds_nothing_that_is_not_zero() -> None:
    assert places({"kind": "bias_sparsity_at_least", "value": 0.5}, Zeros(KERNEL)) == [True]


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 2**16),
)
def test_blocks_and_groups_cover_a_kernel_of_any_size(
    rows: int, columns: int, down: int, across: int, seed: int
) -> None:
    zero = np.random.default_rng(seed).random((rows, columns)) < 0.6
    whole = zero_blocks(zero, (down, across))
    expected = [
        [zero[r : r + down, c : c + across].all() for c in range(0, columns, across)]
        for r in range(0, rows, down)
    ]
    assert whole.tolist() == expected
    cut = [
        np.pad(row[c : c + across], (0, max(0, c + across - columns)), constant_values=True)
        for row in zero
        for c in range(0, columns, across)
    ]
    assert fewest_zeros(zero, across) == min(int(group.sum()) for group in cut)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("parameters_at_most", 1, True), ("parameters_at_most", 0, False), ("macs_at_most", 1, True)],
)
def test_totals_of_the_file(kind: str, value: float, expected: bool) -> None:
    assert held({"kind": kind, "value": value}, weight()) == [expected]


def told(promise: dict[str, Any], found: Inspection) -> list[tuple[str, str, str, bool]]:
    """What is written of each tensor: its name, the promise, what was found, whether it holds."""
    made = Promise.model_validate({"technique": "t"} | promise)
    return [(one.tensor, one.promise, one.found, one.held) for one in judge([made], found)]


def test_parameters_are_not_multiplications() -> None:
    both = structure(weight()).model_copy(update={"parameters": 10, "macs": 500})
    found = Inspection(both, SIGNATURE)
    assert told({"kind": "parameters_at_most", "value": 10}, found) == [
        ("(file)", "parameters at most", "10", True)
    ]
    assert told({"kind": "macs_at_most", "value": 499}, found) == [
        ("(file)", "macs at most", "500", False)
    ]


@pytest.mark.parametrize(
    ("predicted", "cpus", "expected"),
    [
        (True, ("arm64", "wasm"), True),
        (True, ("wasm",), False),
        (False, ("arm64",), False),
        (False, (), False),
    ],
)
def test_the_sparse_path_is_promised_for_one_kind_of_cpu(
    predicted: bool, cpus: tuple[str, ...], expected: bool
) -> None:
    xnnpack = Xnnpack(predicted_sparse=predicted, cpus=cpus, reason="70% are zero")
    found = Inspection(structure().model_copy(update={"xnnpack": xnnpack}), SIGNATURE)
    assert told({"kind": "xnnpack_sparse_on", "value": "arm64"}, found) == [
        (
            "(file)",
            "XNNPACK's sparse path on",
            f"{', '.join(cpus) or 'nowhere'}: 70% are zero",
            expected,
        )
    ]


@pytest.mark.parametrize(("allowed", "expected"), [(0, False), (1, False), (2, True), (3, True)])
def test_so_many_may_be_left_as_the_promise_allows(allowed: int, expected: bool) -> None:
    weights = [weight(name=f"w{place}", dtype="int8" if place else "float32") for place in (0, 1)]
    found = told(
        {"kind": "weights_dtype", "value": "int8", "allowed": allowed},
        seen(*weights, weight(name="w2")),
    )
    assert [keeps for *_, keeps in found] == [expected, True, expected]
    excuse = f" (one of at most {allowed} left so)"
    assert [value for *_, value, _ in found] == [
        "float32" + excuse * expected,
        "int8",
        "float32" + excuse * expected,
    ]


def test_a_promise_of_nothing_is_told_as_such() -> None:
    promise = {"kind": "sparsity_at_least", "value": 0.5, "operators": ("FULLY_CONNECTED",)}
    nothing = ("(none)", "share of zeros at least", "no tensor it speaks of")
    assert told(promise, seen(weight())) == [(*nothing, False)]
    assert told({**promise, "may_be_absent": True}, seen(weight())) == [(*nothing, True)]


@pytest.mark.parametrize("word", ["DEPTHWISE_CONV_2D", "stem", "m/stem/*", "re:st.m"])
def test_words_mean_operators_by_type_or_name(word: str) -> None:
    weights = (
        weight(name="m/stem/depthwise", operator="DEPTHWISE_CONV_2D"),
        weight(name="m/head/MatMul", operator="FULLY_CONNECTED"),
    )
    promise = {"kind": "sparsity_at_least", "value": 0.5}
    for key, expected in (("named", weights[0].name), ("besides", weights[1].name)):
        found = told({**promise, key: (word,)}, seen(*weights))
        assert [tensor for tensor, *_ in found] == [expected]
    activations = (
        Activation("m/stem/out", "DEPTHWISE_CONV_2D", "int8"),
        Activation("tfl.quantize", "ADD", "int8", known_as="m/sum/add"),
    )
    chosen = told(
        {"kind": "activations_dtype", "value": "int8", "besides": (word,)},
        seen(activations=activations),
    )
    assert [tensor for tensor, *_ in chosen] == ["tfl.quantize"]
    assert told(
        {"kind": "activations_dtype", "value": "int8", "besides": ("m/sum/add", "m/stem/out")},
        seen(activations=activations),
    ) == [("(none)", "activations dtype", "no tensor it speaks of", False)]


@pytest.mark.parametrize(("least", "count"), [(20, 1), (21, 0)])
def test_a_tensor_of_just_enough_elements_is_meant(least: int, count: int) -> None:
    promise = {"kind": "weights_dtype", "value": "float32", "at_least_elements": least}
    assert [tensor for tensor, *_ in told(promise, seen(weight()))] == (["w"] * count or ["(none)"])


@pytest.mark.parametrize(("value", "expected"), [("channel", True), ("tensor", False)])
def test_scales_stand_for_channels_or_tensors(value: str, expected: bool) -> None:
    quantized = weight(dtype="int8", granularity="channel")
    assert told({"kind": "weights_granularity", "value": value}, seen(quantized)) == [
        ("w", "weights granularity", "channel", expected)
    ]


def test_shares_are_told_with_their_counts() -> None:
    found = seen(weight(sparsity=0.75), zeros=(Zeros(KERNEL, np.zeros(0, bool)),))
    for promise, words, value in (
        (
            {"kind": "sparsity_at_least", "value": 0.8},
            "share of zeros at least",
            "0.7500 (15 of 20)",
        ),
        (
            {"kind": "blocks_at_least", "value": 0.5, "block": (1, 4)},
            "share of zero blocks of 1x4 at least",
            "0.2500 (1 of 4)",
        ),
        ({"kind": "zeros_in_groups", "value": "2:4"}, "zeros in consecutive weights", "0:4"),
        (
            {"kind": "bias_sparsity_at_least", "value": 0.5},
            "share of zeros in the bias at least",
            "1.0000 (0 of 0)",
        ),
        (
            {"kind": "distinct_at_most", "value": 9, "per": "channel"},
            "distinct values per channel at most",
            "2",
        ),
    ):
        ((_, said, counted, _),) = told(promise, found)
        assert (said, counted) == (words, value)


def test_groups_lie_along_the_inputs_of_a_kernel_of_any_rank() -> None:
    zero = np.zeros((2, 1, 1, 6), bool)
    zero[..., ::3] = True
    assert [fewest_zeros(zero, size) for size in (1, 3, 4)] == [0, 1, 2]
    assert zero_blocks(zero, (2, 1)).tolist() == [[True, False, False, True, False, False]]
