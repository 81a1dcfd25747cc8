"""Promises held against structures: each kind can hold and can fail, and nothing is proven by absence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.proof import Activation, Promise, demand, judge
from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.record import Signature, Structure, TensorInfo, TensorSparsity, Xnnpack


def weight(**changed: Any) -> TensorSparsity:
    plain = {
        "name": "w", "operator": "CONV_2D", "shape": (4, 1, 1, 5), "dtype": "float32", "sparsity": 0.75, "distinct": 6,
        "distinct_per_channel": 2, "encoded_sparse": False,
    }  # fmt: skip
    return TensorSparsity.model_validate(plain | changed)


def structure(*weights: TensorSparsity) -> Structure:
    return Structure(
        parameters=1, macs=1, operators={}, tensors_by_dtype={}, sparsity_overall=0, weights=weights, densify=0,
        xnnpack=Xnnpack(predicted_sparse=False, reason=""),
    )  # fmt: skip


SIGNATURE = Signature(
    inputs=(TensorInfo(name="image", shape=(1, 2), dtype="float32"),), outputs=(TensorInfo(name="scores", shape=(1, 3), dtype="int8"),)
)


def held(promise: dict[str, Any], *weights: TensorSparsity, activations: tuple[Activation, ...] = ()) -> list[bool]:
    made = Promise.model_validate({"technique": "t"} | promise)
    return [finding.held for finding in judge([made], structure(*weights), SIGNATURE, activations)]


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


def test_pointwise_means_a_1x1_convolution() -> None:
    others = weight(shape=(4, 3, 3, 5), sparsity=0), weight(operator="FULLY_CONNECTED", shape=(4, 5), sparsity=0)
    promise = {"kind": "sparsity_at_least", "value": 0.75, "pointwise_only": True}
    assert held(promise, weight(), *others) == [True]
    assert held(promise, *others) == [False]


@given(elements=st.integers(1, 5000), share=st.floats(0.01, 0.99))
def test_pruning_may_round_down_to_a_whole_weight_but_no_further(elements: int, share: float) -> None:
    zeros = int(share * elements + 1e-9)
    promise = {"kind": "sparsity_at_least", "value": share}
    assert held(promise, weight(shape=(elements,), sparsity=zeros / elements)) == [True]
    if zeros:
        assert held(promise, weight(shape=(elements,), sparsity=(zeros - 1) / elements)) == [False]


def test_interface_and_activations_name_each_tensor_that_differs() -> None:
    assert held({"kind": "interface_dtype", "value": "float32"}, weight()) == [True, False]
    seen = (Activation("a", "ADD", "int8"), Activation("b", "CONV_2D", "float32"), Activation("a", "ADD", "int8"))
    assert held({"kind": "activations_dtype", "value": "int8"}, weight(), activations=seen) == [True, False]
    assert held({"kind": "activations_dtype", "value": "int8", "operators": ("ADD",)}, weight(), activations=seen) == [True]


def test_the_error_names_tensor_promise_and_value() -> None:
    promise = Promise(technique="cluster", kind="distinct_at_most", value=4)
    findings = judge([promise], structure(weight(name="conv/kernel")), SIGNATURE)
    with pytest.raises(ProofFailed, match=r"1 of 1 promises: conv/kernel: cluster promised distinct values per tensor at most 4.*found 6"):
        demand(findings)
    demand(judge([promise.model_copy(update={"value": 6.0})], structure(weight()), SIGNATURE))
