"""Rules of `quantize`, and what can only fail or mean nothing.

Refused while planning, with layer and way out; all pure.
"""

from typing import Any

import pytest
from pydantic import ValidationError

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.networks.verdicts import Objection
from zoo_builders.techniques import TECHNIQUES
from zoo_builders.techniques.quantize.params import Params
from zoo_builders.tflite.proof import Promise

QUANTIZE = TECHNIQUES.get("quantize")
DIGITS = NETWORKS.get("digits_cnn")(width=16)
UNREAD = Graph("unknown", ())
KERNELS = (
    "stem_conv",
    "block1_depthwise",
    "block1_pointwise",
    "block2_depthwise",
    "block2_pointwise",
    "classifier",
)


def params(**said: Any) -> Params:
    made: Params = QUANTIZE.infer(Params.model_validate(said), ())
    assert Params.model_validate(made.model_dump(mode="json")) == made
    return made


def rule(layers: str | list[str], dtype: str, **more: Any) -> dict[str, Any]:
    return {"layers": layers, "dtype": dtype, **more}


def refused(*rules: dict[str, Any], **said: Any) -> list[Objection]:
    return list(QUANTIZE.check(DIGITS, params(rules=rules, **said), ()))


def promised(
    kind: str, *rules: dict[str, Any], graph: Graph = DIGITS, **said: Any
) -> dict[str, str]:
    """Layer → what is promised of it by name; each layer once."""
    found: list[Promise] = [
        one for one in QUANTIZE.promises(graph, params(rules=rules, **said), ()) if one.kind == kind
    ]
    named = [(layer.layer, str(promise.value)) for promise in found for layer in promise.layers]
    assert len(dict(named)) == len(named), "no layer is promised two things"
    return dict(named)


INT4 = rule("classifier", "int4")
BLOCKS = rule("classifier", "int4", granularity="block32")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"rules": [rule("a", "int8", granularity="block32")]},
            "block32 goes with dtype: int4 only, not int8",
        ),
        ({"rules": [rule("a", "float32", granularity="tensor")]}, "float32 weights have no scales"),
        ({"rules": [BLOCKS]}, "beside activations of int8: write dtype: dynamic or int4"),
        (
            {"keep_float": ["classifier"], "rules": [INT4]},
            "classifier: keep_float leaves it in float, a rule says otherwise",
        ),
        (
            {"dtype": "int4", "method": "octav"},
            "-8 among int4 weights.*write method: minmax, or compute: float",
        ),
        ({"dtype": "dynamic", "method": "octav", "rules": [INT4]}, "-8 among int4 weights"),
        (
            {"dtype": "int4", "granularity": "tensor"},
            "granularity: tensor: with int4 weights.*write granularity: channel",
        ),
        (
            {"dtype": "int4", "granularity": "block32", "method": "mse"},
            "no scales for block32: write method: minmax",
        ),
        ({"dtype": "dynamic", "method": "mse", "rules": [BLOCKS]}, "no scales for block32"),
        ({"dtype": "float16", "samples": 5}, "samples: float16 needs no calibration inputs"),
        ({"dtype": "dynamic", "samples": 5}, "samples: dynamic needs no calibration inputs"),
        (
            {"dtype": "int4", "calibration": "other"},
            "calibration: int4 needs no calibration inputs",
        ),
        (
            {"dtype": "float16", "granularity": "tensor"},
            "granularity: tensor: float16 weights have no scales",
        ),
        ({"dtype": "float16", "method": "mse"}, "method: mse: float16 weights have no scales"),
        ({"dtype": "float16", "allow_float_fallback": True}, "goes with dtype: int8 or int16x8"),
    ],
)
def test_what_can_only_fail_or_means_nothing_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Params.model_validate(said)


@pytest.mark.parametrize(
    "said",
    [
        {"dtype": "int4", "method": "octav", "compute": "float"},
        {"dtype": "int8", "method": "octav", "rules": [INT4]},
        {"dtype": "int4", "method": "mse"},
        {"dtype": "dynamic", "rules": [BLOCKS]},
        {"dtype": "int16x8", "samples": 5, "calibration": "other"},
    ],
)
def test_what_works_is_not_refused(said: dict[str, Any]) -> None:
    assert list(QUANTIZE.check(DIGITS, params(**said), ())) == []


def test_a_layer_without_four_bit_kernels_is_refused_by_name() -> None:
    found = refused(rule("*depthwise", "int4"))
    assert [one.layer for one in found] == ["block1_depthwise", "block2_depthwise"]
    assert "four-bit" in found[0].reason
    assert found[0].fix == "add {layers: block1_depthwise, dtype: int8} to rules, as the last one"
    assert refused(rule("*depthwise", "int4"), rule("DEPTHWISE_CONV_2D", "int8")) == [
        Objection(
            "{layers: *depthwise}",
            "later rules decide about every layer it means",
            "drop the rule, or put it last",
        )
    ]
    assert refused(rule("re:block", "int4"), rule("DEPTHWISE_CONV_2D", "int8")) == []


def test_blocks_are_refused_where_a_layer_has_none() -> None:
    [conv] = refused(rule("stem_conv", "int4", granularity="block32"), dtype="dynamic")
    assert conv.reason.endswith("Conv2D has no blocks of inputs")
    [dense] = refused(rule("classifier", "int4", granularity="block256"), dtype="dynamic")
    assert "inputs make no whole blocks" in dense.reason


def test_a_rule_that_later_ones_hide_is_refused_and_one_that_names_an_operator_besides_is_not() -> (
    None
):
    [hidden] = refused(INT4, rule("re:.*", "int8"))
    assert (hidden.layer, hidden.fix) == ("{layers: classifier}", "drop the rule, or put it last")
    assert refused(rule(["classifier", "MEAN"], "float32"), rule("classifier", "int4")) == []


def test_keep_float_and_a_rule_cannot_claim_one_layer() -> None:
    [both] = refused(rule("re:class", "int4"), keep_float=["classifier"])
    assert (both.layer, both.fix) == ("classifier", "take it out of one of the two")


def test_only_the_rule_that_decides_promises() -> None:
    assert promised("weights_dtype", rule("re:.*", "int8"), INT4) == dict.fromkeys(
        KERNELS[:-1], "int8"
    ) | {"classifier": "int4"}


def test_the_scales_a_rule_asks_for_are_promised() -> None:
    assert promised("weights_granularity", BLOCKS, dtype="dynamic") == {"classifier": "block32"}
    assert promised("weights_granularity", rule("stem_conv", "int8", granularity="tensor")) == {
        "stem_conv": "tensor"
    }
    assert promised("weights_granularity", rule("stem_conv", "int8", granularity="channel")) == {
        "stem_conv": "channel"
    }
    assert promised("weights_granularity", INT4, dtype="dynamic") == {}


def test_scales_of_the_step_are_promised_of_the_layers_that_follow_it_only() -> None:
    assert promised(
        "weights_granularity", rule("stem_conv", "int8"), dtype="int4", granularity="block32"
    ) == {"classifier": "block32"}
    [none] = refused(rule("classifier", "int8"), dtype="int4", granularity="block32")
    assert "whole blocks of 32" in none.reason


def test_rules_for_every_layer_leave_nothing_that_the_step_would_promise() -> None:
    made = params(rules=[rule("re:.*", "int8"), INT4])
    assert all(
        one.layers for one in QUANTIZE.promises(DIGITS, made, ()) if one.kind == "weights_dtype"
    )


def test_of_a_network_nobody_can_read_a_rule_promises_what_no_later_one_decides() -> None:
    made = params(rules=[rule("re:a", "int8"), rule("ab", "int4")], keep_float=["ac"])
    first, second = [
        one for one in QUANTIZE.promises(UNREAD, made, ()) if one.named and one.value != "float32"
    ]
    assert (first.named, first.besides) == (("re:a",), ("ac", "ab"))
    assert (second.named, second.besides) == (("ab",), ("ac",))
