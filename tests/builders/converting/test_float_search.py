"""The search for layers to leave in float, the words that name them.

And what quantize promises and refuses: all pure.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zoo_builders.converting import float_search
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.quantize.params import Params
from zoo_builders.tflite import operator_names
from zoo_builders.tflite.proof import Activation, Inspection, Promise, judge
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.record import LayerError, Signature, Structure, TensorSparsity, Xnnpack

QUANTIZE = TECHNIQUES.get("quantize")
DIGITS = NETWORKS.get("digits_cnn")()
ORDER = tuple("abcdefgh")
NO_PORTS = Signature(inputs=(), outputs=())


def params(**said: Any) -> Params:
    read = Params.model_validate(said)
    made: Params = QUANTIZE.infer(read, ())
    return made


def needing(needed: set[str]) -> float_search.Cost:
    """Cost of a network that loses 0.1 for each of `needed` that is in integers."""
    return lambda kept: 0.1 * len(needed - kept)


@given(st.sets(st.sampled_from(ORDER)))
def test_exactly_the_layers_that_are_needed_stay_float(needed: set[str]) -> None:
    choice = float_search.choose(ORDER, needing(needed), float_search.Limits(0.01, 8))
    assert set(choice.kept) == needed
    assert len(choice.trials) <= 2 + 3 + len(ORDER)


def test_a_pair_of_layers_is_found_of_which_each_alone_does_nothing() -> None:
    choice = float_search.choose(
        ORDER, lambda kept: 0.0 if {"b", "d"} <= kept else 0.7, float_search.Limits(0.01, 8)
    )
    assert choice.kept == ("b", "d")
    assert choice.trials[0].drop == 0.7


def test_a_budget_that_does_not_suffice_is_refused_with_what_was_reached() -> None:
    with pytest.raises(BuildFailed, match=r"2 worst layers in float still by 0\.1000") as caught:
        float_search.choose(ORDER, needing({"a", "b", "c"}), float_search.Limits(0.01, 2))
    assert "max_float_layers" in caught.value.hint


def an_error(name: str, channels: float, rmse: float) -> LayerError:
    return LayerError(
        layer=name,
        tensor=name,
        operator="CONV_2D",
        rmse_over_scale=rmse,
        sqnr_db=40,
        sqnr_channels_db=channels,
    )


def test_a_drowned_layer_comes_first_although_its_error_is_small_against_its_stretched_scale() -> (
    None
):
    assert float_search.worst_first([an_error("fine", 42, 0.33), an_error("drowned", 3, 0.09)]) == (
        "drowned",
        "fine",
    )


NAME = "model/relu/Relu;model/block1_conv/BiasAdd;model/block1_conv/Conv2D"


@pytest.mark.parametrize("word", ["block1_conv", "block1_*", "CONV_2D", "re:block1.*Conv2D$", NAME])
def test_a_word_means_an_operator_by_layer_pattern_type_or_expression(word: str) -> None:
    assert operator_names.matches(word, "CONV_2D", NAME)


@pytest.mark.parametrize("word", ["block1", "conv", "MEAN", "re:block2"])
def test_a_word_means_nothing_else(word: str) -> None:
    assert not operator_names.matches(word, "CONV_2D", NAME)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        (
            "net/dw_bn/FusedBatchNormV3;net/dw/depthwise;net/dw/BiasAdd;net/dw/BiasAdd/ReadVariableOp",
            "dw",
        ),
        ("net/dw/BiasAdd/ReadVariableOp_1", "dw"),
        (NAME, "block1_conv"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
    ],
)
def test_the_layer_of_a_tensor_is_guessed_from_its_name(name: str, layer: str) -> None:
    assert operator_names.layer_of(name) == layer


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"max_drop": 0.1}, "only with keep_float: auto"),
        ({"keep_float": "re:("}, "no regular expression"),
        ({"keep_float": ["a"], "dtype": "float16"}, "compute in float anyhow"),
        ({"keep_float": "auto", "dtype": "int16x8"}, "dtype: int8 only"),
        ({"keep_float": "auto", "engine": "litert"}, "name the layers"),
        ({"dtype": "int4", "engine": "tensorflow"}, "needs engine: litert"),
        ({"dtype": "int8", "granularity": "block32"}, "dtype: int4 only"),
        ({"dtype": "int8", "compute": "float"}, "dynamic or int4 only"),
        ({"dtype": "int4", "sparse_encoding": "always"}, "stores no weights sparse"),
    ],
)
def test_what_does_not_fit_together_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Params.model_validate(said)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"keep_float": ["stem"]}, "no layer is called so"),
        ({"keep_float": ["stem_bn"]}, "no operator of its own"),
        ({"keep_float": ["TRANSPOSE_CONV"]}, "no layer is called so"),
        ({"dtype": "int4", "granularity": "block256"}, "whole blocks of 256"),
        ({"rules": [{"layers": ["nope"], "dtype": "int4"}]}, "no layer is called so"),
    ],
)
def test_what_means_nothing_on_this_network_is_an_objection(
    said: dict[str, Any], reason: str
) -> None:
    [objection] = QUANTIZE.check(DIGITS, params(**said), ())
    assert reason in objection.reason


def test_every_parameter_survives_being_written_down_resolved() -> None:
    for said in (
        {},
        {"keep_float": "auto"},
        {"dtype": "int4", "granularity": "block32"},
        {"keep_float": "stem_conv"},
    ):
        made = params(**said)
        assert Params.model_validate(made.model_dump(mode="json")) == made


def test_the_engine_follows_from_what_is_asked() -> None:
    assert params().engine == "tensorflow"
    assert (
        params(dtype="int4").engine
        == params(rules=[{"layers": "a", "dtype": "int4"}]).engine
        == "litert"
    )
    assert params(dtype="dynamic", keep_float="classifier").engine == "litert"


def test_layers_say_what_becomes_of_them() -> None:
    verdicts = QUANTIZE.layers(DIGITS, params(dtype="int4", keep_float=["classifier"]), ())
    assert not verdicts["classifier"].applies
    assert verdicts["block1_depthwise"].reason == "no four-bit kernels: stored as int8"
    assert verdicts["stem_conv"].applies
    assert "stem_bn" not in verdicts


def test_the_encoding_is_asked_for_only_where_the_recipe_says_one() -> None:
    assert "sparse_encoding" not in QUANTIZE.converts(params(), ())
    assert QUANTIZE.converts(params(sparse_encoding="never"), ())["sparse_encoding"] == "never"


def a_weight(name: str, dtype: str, granularity: str = "channel") -> TensorSparsity:
    return TensorSparsity(
        name=f"model/{name}/Conv2D",
        operator="CONV_2D",
        shape=(8, 1, 1, 8),
        dtype=dtype,
        sparsity=0,
        distinct=9,
        distinct_per_channel=9,
        encoded_sparse=False,
        granularity=granularity,
    )


def a_structure(*weights: TensorSparsity) -> Structure:
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


def broken(
    promises: Sequence[Promise], *weights: TensorSparsity, activations: Sequence[Activation] = ()
) -> list[str]:
    found = judge(promises, Inspection(a_structure(*weights), NO_PORTS, activations))
    return [finding.tensor for finding in found if not finding.held]


def a_promise(kind: Any, value: str, **more: Any) -> Promise:
    return Promise.model_validate({"technique": "quantize", "kind": kind, "value": value, **more})


def test_a_search_may_leave_as_many_in_float_as_it_was_allowed_and_no_more() -> None:
    two, one = [a_promise("weights_dtype", "int8", allowed=most) for most in (2, 1)]
    weights = [a_weight("a", "float32"), a_weight("b", "float32"), a_weight("c", "int8")]
    assert broken([two], *weights) == []
    assert broken([one], *weights) == ["model/a/Conv2D", "model/b/Conv2D"]


def test_an_excused_finding_says_so() -> None:
    [finding] = judge(
        [a_promise("weights_dtype", "int8", allowed=3)],
        Inspection(a_structure(a_weight("a", "float32")), NO_PORTS),
    )
    assert finding.found == "float32 (one of at most 3 left so)"


def test_layers_named_aside_are_not_meant_neither_their_weights_nor_what_they_compute() -> None:
    promises = [
        a_promise(kind, "int8", besides=("a",)) for kind in ("weights_dtype", "activations_dtype")
    ]
    seen = [
        Activation("x", "CONV_2D", "float32", "model/a/Conv2D"),
        Activation("y", "CONV_2D", "int8", "model/b/Conv2D"),
    ]
    assert broken(promises, a_weight("a", "float32"), a_weight("b", "int8"), activations=seen) == []
    assert broken(
        [a_promise("weights_dtype", "float32", named=("a",))],
        a_weight("a", "int8"),
        a_weight("b", "int8"),
    ) == ["model/a/Conv2D"]


def test_scales_are_as_coarse_as_promised() -> None:
    promise = a_promise("weights_granularity", "block32")
    assert broken(
        [promise], a_weight("a", "int4", "block32"), a_weight("b", "int4", "channel")
    ) == ["model/b/Conv2D"]


def test_only_a_promise_that_says_so_is_kept_by_absence() -> None:
    assert broken([a_promise("weights_dtype", "int8")]) == ["(none)"]
    assert broken([a_promise("weights_dtype", "int8", may_be_absent=True)]) == []


def test_promises_name_what_the_recipe_leaves_in_float() -> None:
    made = params(keep_float=["stem_conv", "MEAN"])
    found = QUANTIZE.promises(DIGITS, made, [Step("quantize", made)])
    kept = [
        promise
        for promise in found
        if promise.value == "float32" and promise.kind == "weights_dtype"
    ]
    assert [layer.layer for promise in kept for layer in promise.layers] == ["stem_conv"]
    [activations] = [promise for promise in found if promise.kind == "activations_dtype"]
    assert {"stem_conv", "MEAN", "PAD"} <= set(
        activations.besides
    )  # what only moves values follows the layer before it
    assert not {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"} & set(activations.besides)
