"""Pruning before TensorFlow.

Schedules reach their targets, layers are chosen or refused by name, promises say what was chosen.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.manifest.diagnostics import validate
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.prune.params import Params, problem
from zoo_builders.techniques.prune.promises import promises
from zoo_builders.techniques.prune.rules import check, layers, remarks
from zoo_builders.techniques.prune.schedule import UPDATES, Timing, share_at
from zoo_builders.techniques.prune.selection import target

DIGITS = NETWORKS.get("digits_cnn")(width=16)
POINTWISE = ("block1_pointwise", "block2_pointwise")


def params(**said: Any) -> Params:
    """Read parameters as a manifest gives them.

    Strictly, and able to come back from a stage's JSON.
    """
    read = validate(Params, said)
    assert isinstance(read, Params)
    assert Params.model_validate(read.model_dump(mode="json")) == read
    return read


def residual() -> Graph:
    """A network whose two branches meet in a sum, one of them without a bias."""
    net = Net("residual", (8, 8, 3))
    start = net.conv(16, 3, padding="same", name="stem")
    net.conv(16, 1, name="left", bias=False)
    left = net.batch_norm(name="left_norm")
    net.add(left, start, name="sum")
    net.global_pool(keepdims=False)
    net.dense(10, name="head")
    return net.graph()


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"final": 1.0}, "less than 1"),
        ({"final": 0}, "greater than 0"),
        ({"initial": 0.8, "final": 0.5}, "initial: 0.8 is more than final"),
        ({"schedule": "constant", "initial": 0.2}, "goes with schedule: polynomial"),
        ({"epochs": 2, "prune_until_epoch": 3}, "after the last of 2 epochs"),
        ({"policy": "xnnpak"}, "xnnpack"),
        ({"end_step": 10, "prune_until_epoch": 2}, "say the same thing twice"),
        ({"begin_step": 10, "prune_from_epoch": 2}, "say the same thing twice"),
        ({"frequency": 10, "prune_every_epoch": 2}, "say the same thing twice"),
        ({"epochs": 0, "prune_until_epoch": 1}, "prunes at once"),
        ({"epochs": 0, "frequency": 5}, "prunes at once"),
        ({"epochs": 0, "start": "scratch"}, "prunes at once"),
        ({"pattern": "4:2"}, "m must be less than n"),
        ({"pattern": "2:4", "block": [1, 4]}, "neither block nor bias"),
        ({"pattern": "2:4", "final": 0.75}, "contradicts pattern 2:4"),
        ({"block": [0, 4]}, "greater than or equal to 1"),
        ({"layers": [{"final": 0.5}]}, "picks nothing"),
        ({"layers": [{"name": "a", "initial": 0.9}]}, "initial: 0.9 is more than final"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given_: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(Params, given_)


@pytest.mark.parametrize(("epochs", "until"), [(0, None), (1, 1), (2, 1), (3, 2), (15, 8)])
def test_the_target_is_reached_half_way_unless_said_otherwise(
    epochs: int, until: int | None
) -> None:
    assert params(epochs=epochs).prune_until_epoch == until


def test_a_pattern_decides_the_share_of_zeros() -> None:
    assert params(pattern="3:4").final == 0.75
    asked = params(layers=[{"name": "a", "pattern": "1:4"}])
    assert target(asked, asked.layers[0]).final == 0.25


timings = st.builds(
    Timing,
    epochs=st.integers(1, 12),
    from_epoch=st.integers(0, 12),
    until_epoch=st.none() | st.integers(1, 30),
    every_epoch=st.none() | st.integers(1, 5),
    begin_step=st.none() | st.integers(0, 500),
    end_step=st.none() | st.integers(1, 500),
    frequency=st.none() | st.integers(1, 200),
)


@given(timings, st.integers(1, 120), st.floats(0, 0.4), st.floats(0.5, 0.99), st.floats(0.5, 5))
def test_a_schedule_reaches_its_target_at_its_last_renewal_or_is_refused(
    timing: Timing, steps: int, initial: float, final: float, power: float
) -> None:
    window = timing.window(steps)
    wrong, hint = problem(window)
    if wrong:
        assert hint
        assert (
            window.asked > window.last
            or window.asked <= window.begin
            or window.asked - window.begin < window.every
        )
        return
    assert list(window.renewals), "masks that are never renewed prune nothing"
    assert window.renewals[0] >= 1, "TFMOT's first step is 1"
    assert window.renewals[-1] == window.end <= window.asked <= window.last
    assert window.asked - window.end < window.every, "no more than one renewal early"
    assert share_at(window.end, window, initial, final, power) == final
    shares = [share_at(step, window, initial, final, power) for step in window.renewals]
    assert shares == sorted(shares)


@given(st.integers(1, 5000), st.integers(1, 50))
def test_unsaid_the_masks_are_renewed_fifty_times_however_short_the_training(
    steps: int, epochs: int
) -> None:
    window = Timing(epochs=50, until_epoch=epochs).window(steps)
    assert problem(window) == ("", "")
    assert len(window.renewals) >= min(UPDATES, steps * epochs)
    assert window.end > steps * epochs * (1 - 1 / UPDATES) - 1


def test_tfmots_own_default_would_prune_nothing_in_a_short_training_and_is_refused() -> None:
    wrong, hint = problem(Timing(epochs=1, frequency=100).window(50))
    assert "every 100 steps, but the schedule lasts 50" in wrong
    assert hint == "write frequency: 50 or less"


@pytest.mark.parametrize(
    ("said", "picked"),
    [
        ({}, ("stem_conv", *POINTWISE, "classifier")),
        ({"policy": "xnnpack"}, POINTWISE),
        ({"layers": [{"name": "block*"}]}, POINTWISE),
        ({"layers": [{"type": "Dense"}]}, ("classifier",)),
        ({"layers": [{"position": "1:"}]}, (*POINTWISE, "classifier")),
        ({"skip": [{"position": "first"}, {"type": "Dense"}]}, POINTWISE),
        ({"layers": [{"type": "Conv2D"}], "skip": [{"name": "*2*"}]}, ("stem_conv", POINTWISE[0])),
    ],
)
def test_layers_are_picked_by_name_type_and_position(
    said: dict[str, Any], picked: tuple[str, ...]
) -> None:
    chosen = params(**said)
    applies = tuple(name for name, verdict in layers(DIGITS, chosen, []).items() if verdict.applies)
    assert applies == picked
    assert (
        tuple(layer.layer for promise in promises(DIGITS, chosen, []) for layer in promise.layers)
        == picked
    )


def test_each_layer_is_promised_its_own_share_of_zeros() -> None:
    chosen = params(final=0.5, layers=[{"name": "block2*", "final": 0.8}, {"name": "block*"}])
    found = {
        layer.layer: promise.value
        for promise in promises(DIGITS, chosen, [])
        for layer in promise.layers
    }
    assert found == {"block1_pointwise": 0.5, "block2_pointwise": 0.8}


@pytest.mark.parametrize(
    ("said", "layer", "reason", "fix"),
    [
        (
            {"layers": [{"name": "clasifier"}]},
            "{name: clasifier}",
            "matches",
            "did you mean 'classifier'",
        ),
        (
            {"skip": [{"name": "blok1_pointwise"}]},
            "{name: blok1_pointwise}",
            "matches",
            "'block1_pointwise'",
        ),
        (
            {"layers": [{"name": "*_depthwise"}]},
            "{name: *_depthwise}",
            "cannot change block1_depthwise",
            "pick among",
        ),
        ({"block": [1, 4]}, "stem_conv", "this one is 3x3x1x16", "skip"),
        (
            {"block": [64, 64], "layers": [{"type": "Dense"}]},
            "classifier",
            "1 blocks of 64x64",
            "skip",
        ),
        ({"pattern": "2:4"}, "stem_conv", "it has only 1", "skip"),
        (
            {"bias": True, "layers": [{"name": "block1*"}]},
            "block1_pointwise",
            "folded into the batch normalisation",
            "bias: false",
        ),
        ({"skip": [{"name": "*"}]}, "digits_cnn", "finds no layer to prune", "skip less"),
    ],
)
def test_what_cannot_be_pruned_as_asked_is_refused_with_a_way_out(
    said: dict[str, Any], layer: str, reason: str, fix: str
) -> None:
    found = {objection.layer: objection for objection in check(DIGITS, params(**said), [])}
    assert reason in found[layer].reason
    assert fix in found[layer].fix


def test_a_layer_without_a_bias_has_none_to_prune() -> None:
    [found] = check(residual(), params(bias=True, layers=[{"name": "left"}]), [])
    assert "no bias" in found.reason


def test_a_schedule_in_epochs_that_misses_its_target_is_refused_before_anything_runs() -> None:
    [found] = check(DIGITS, params(epochs=4, prune_from_epoch=2, prune_until_epoch=2), [])
    assert "no renewal" in found.reason
    assert (
        check(
            DIGITS,
            params(epochs=4, prune_from_epoch=1, prune_until_epoch=3, prune_every_epoch=1),
            [],
        )
        == []
    )


def test_the_policy_refuses_digits_by_name_and_the_whole_model_does_not() -> None:
    assert check(DIGITS, params(), []) == []
    assert [objection.layer for objection in check(DIGITS, params(policy="xnnpack"), [])] == [
        "stem_conv"
    ]


@pytest.mark.parametrize("earlier", ["cluster", "quantize", "prune"])
def test_pruning_undoes_what_came_before(earlier: str) -> None:
    [found] = check(DIGITS, params(), [Step(earlier, TECHNIQUES.get(earlier).params())])
    assert earlier in found.reason


def test_a_network_without_kernels_is_refused() -> None:
    net = Net("depthwise", (8, 8, 3))
    net.depthwise()
    [found] = check(net.graph(), params(), [])
    assert "finds no layer" in found.reason


def test_every_layer_with_weights_is_told_whether_and_why_not() -> None:
    found = layers(
        DIGITS,
        params(policy="xnnpack", skip=[{"name": "block2*"}], layers=[{"name": "block*"}]),
        [],
    )
    assert set(found) == {node.name for node in DIGITS.nodes if node.weights}
    assert [name for name, verdict in found.items() if verdict.applies] == ["block1_pointwise"]
    assert all(verdict.reason for verdict in found.values())
    assert "depthwise" in found["block1_depthwise"].reason
    assert "whole-model" in found["stem_conv"].fix
    assert found["block2_pointwise"].fix == "take it out of skip"


def test_a_residual_network_is_pruned_on_both_sides_of_the_sum() -> None:
    assert [
        layer.layer for promise in promises(residual(), params(), []) for layer in promise.layers
    ] == ["stem", "left", "head"]
    assert check(residual(), params(), []) == []


def test_promises_of_blocks_and_groups_speak_of_places_and_of_the_share_they_are_sure_of() -> None:
    dense = params(
        final=0.6, block=[1, 16], layers=[{"type": "Dense"}]
    )  # 10 x 64: 40 blocks, all whole
    assert {promise.kind: promise.value for promise in promises(DIGITS, dense, [])} == {
        "sparsity_at_least": 0.6,
        "blocks_at_least": 0.6,
    }
    ragged = params(final=0.6, block=[4, 16], layers=[{"type": "Dense"}])
    assert [promise.kind for promise in promises(DIGITS, ragged, [])] == ["blocks_at_least"]
    groups = params(pattern="2:4", layers=[{"type": "Dense"}])
    assert {promise.kind: promise.value for promise in promises(DIGITS, groups, [])} == {
        "sparsity_at_least": 0.5,
        "zeros_in_groups": "2:4",
    }


def test_half_of_zeros_never_opens_the_sparse_path_and_three_quarters_do() -> None:
    network = NETWORKS.get("mobilenet_v2")(alpha=0.35, resolution=32, classes=10)
    half, most = params(policy="xnnpack", final=0.5), params(policy="xnnpack", final=0.75)
    assert any("never open" in remark for remark in remarks(network, half, []))
    assert not remarks(network, most, [])
    assert any(
        "50% zeros" in remark for remark in remarks(NETWORKS.get("cifar10_cnn")(), most, [])
    )  # its dense classifier counts


def test_blocks_the_converter_stores_one_by_one_are_told() -> None:
    dense = {"layers": [{"type": "Dense"}]}
    int8 = [Step("prune", params()), Step("quantize", TECHNIQUES.get("quantize").params())]
    assert not remarks(DIGITS, params(block=[1, 4], **dense), [])
    assert any(
        "block: [1, 4]" in remark for remark in remarks(DIGITS, params(block=[1, 16], **dense), [])
    )
    assert not remarks(DIGITS, params(block=[1, 16], **dense), int8)
    assert any(
        "[1, 16]" in remark for remark in remarks(DIGITS, params(block=[1, 4], **dense), int8)
    )


def test_a_network_nobody_can_read_yet_is_promised_by_names() -> None:
    unknown = Graph("unknown", ())
    [whole] = promises(unknown, params(skip=[{"name": "stem*"}]), [])
    assert (whole.operators, whole.besides, whole.layers) == (
        ("CONV_2D", "FULLY_CONNECTED"),
        ("stem*",),
        (),
    )
    [named] = promises(unknown, params(layers=[{"name": "mix*", "final": 0.7}]), [])
    assert (named.value, [layer.layer for layer in named.layers]) == (0.7, ["mix*"])
    assert json.loads(named.model_dump_json())["layers"][0]["layer"] == "mix*"


def test_every_example_of_the_guide_is_a_step_that_can_be_read() -> None:
    text = (Path(__file__).parents[3] / "docs/guides/model-engineer.md").read_text()
    [example] = re.findall(r"## Prune: what, when and how\n\n```yaml\n(.*?)```", text, re.DOTALL)
    recipes = yaml.safe_load(example)["variants"]
    assert len(recipes) >= 8
    for name, recipe in recipes.items():
        for step in recipe:
            for technique, said in step.items():
                assert validate(TECHNIQUES.get(technique).params, said), name
