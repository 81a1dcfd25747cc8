"""What a manifest says to no effect, or what can only fail after a training.

Refused while planning. All pure.
"""

from typing import Any

import pytest
from pydantic import ValidationError

from zoo_builders.manifest.diagnostics import validate
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.layer_selection import Rule, idle
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.networks.verdicts import Objection
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.compress.algorithms import ALGORITHMS
from zoo_builders.techniques.prune.schedule import Timing

DIGITS = NETWORKS.get("digits_cnn")(width=16)
CAN = tuple(node for node in DIGITS.nodes if node.op in {"Conv2D", "Dense"})


def step(technique: str, **said: Any) -> Step:
    read = validate(TECHNIQUES.get(technique).params, said)
    assert isinstance(read, Spec)
    return Step(technique, read)


def refused(step_: Step, *before: Step) -> list[Objection]:
    technique = TECHNIQUES.get(step_.technique)
    return list(technique.check(DIGITS, technique.infer(step_.params, before), before))


def remarks(step_: Step, *after: Step) -> list[str]:
    return list(TECHNIQUES.get(step_.technique).remarks(DIGITS, step_.params, [step_, *after]))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"schedule": "constant", "power": 7}, "power: goes with schedule: polynomial"),
        (
            {"schedule": "constant", "layers": [{"type": "Dense", "initial": 0.3}]},
            "initial: goes with schedule: polynomial",
        ),
        ({"pattern": "2:4", "initial": 0.3}, "initial: a pattern has no in-between"),
        ({"pattern": "2:4", "power": 9}, "power: a pattern has no in-between"),
        (
            {"layers": [{"name": "a", "pattern": "2:4", "initial": 0.3}, {"name": "b"}]},
            "drop it from the rule",
        ),
        ({"pooling": "max"}, "pooling: goes with block only"),
        (
            {"epochs": 0, "learning_rate": 0.5, "batch_size": 8},
            "batch_size, learning_rate: epochs: 0 trains nothing",
        ),
        ({"epochs": 0, "initial": 0.3}, "epochs: 0 prunes at once"),
        (
            {"begin_step": 0, "end_step": 50, "frequency": 100, "epochs": 5},
            "every 100 steps, but the schedule lasts 50: write frequency: 50",
        ),
        (
            {"end_step": 50, "frequency": 100, "epochs": 5},
            "every 100 steps, but the schedule lasts 50",
        ),
        (
            {"begin_step": 100, "end_step": 50, "epochs": 5},
            "begins at step 100 and ends at step 50: write begin_step: 49",
        ),
    ],
)
def test_words_of_prune_without_effect_and_schedules_without_end_are_refused(
    said: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        validate(TECHNIQUES.get("prune").params, said)


@pytest.mark.parametrize(
    "said",
    [
        {"pooling": "max", "layers": [{"type": "Dense", "block": [1, 4]}]},
        {"initial": 0.2, "layers": [{"type": "Dense", "pattern": "2:4"}, {"type": "Conv2D"}]},
        {"epochs": 5, "begin_step": 10, "end_step": 60, "frequency": 50},
        {"epochs": 5, "begin_step": 100, "prune_until_epoch": 1},
        {"epochs": 5, "prune_from_epoch": 1, "end_step": 10},
    ],
)
def test_words_with_an_effect_are_not(said: dict[str, Any]) -> None:
    assert validate(TECHNIQUES.get("prune").params, said)


def test_a_schedule_is_known_without_the_data_where_begin_and_end_are_steps() -> None:
    known = Timing(epochs=3, begin_step=5, end_step=25, frequency=10).in_steps()
    assert known is not None
    assert list(known.renewals) == [5, 15, 25]
    assert Timing(epochs=3, from_epoch=1, end_step=25).in_steps() is None
    assert Timing(epochs=3, begin_step=5, until_epoch=2).in_steps() is None


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_an_algorithm_that_trains_nothing_is_told_nothing_about_training(name: str) -> None:
    with pytest.raises(ValidationError, match="batch_size: epochs: 0 trains nothing"):
        validate(ALGORITHMS.get(name).params, {"epochs": 0, "batch_size": 3})


def test_an_algorithm_twice_is_one_too_many() -> None:
    [found] = refused(step("svd", rank=2), step("svd", rank=4))
    assert found.fix == "keep one svd step"


ALL, FIRST = Rule(type=("Conv2D", "Dense")), Rule(position="first")


def test_a_rule_that_earlier_ones_hide_decides_nothing() -> None:
    [found] = idle(
        [Rule(type=("Conv2D",)), Rule(name=("block1*",)), Rule(type=("Dense",))], [], DIGITS, CAN
    )
    assert (found.layer, found.fix) == (
        "{name: block1*}",
        "put it before them: the first one decides",
    )
    assert [one.layer for one in idle([ALL, ALL.model_copy()], [], DIGITS, CAN)] == [
        "{type: Conv2D, Dense}"
    ]


def test_a_rule_all_of_whose_layers_skip_leaves_out_decides_nothing() -> None:
    [found] = idle([FIRST, Rule(type=("Dense",))], [FIRST], DIGITS, CAN)
    assert (found.layer, found.reason) == (
        "{position: first}",
        "skip leaves out every layer it decides about",
    )


def test_rules_that_decide_something_and_networks_nobody_can_read_pass() -> None:
    assert (
        idle(
            [Rule(name=("block1*",)), Rule(type=("Conv2D",)), Rule(type=("Dense",))],
            [FIRST],
            DIGITS,
            CAN,
        )
        == []
    )
    assert idle([ALL, FIRST], [], Graph("unknown", ()), ()) == []
    assert idle([], [FIRST], DIGITS, CAN) == []


@pytest.mark.parametrize("technique", ["prune", "cluster", "svd"])
def test_every_technique_with_rules_refuses_the_idle_ones(technique: str) -> None:
    rules = {"layers": [{"type": "Dense"}, {"name": "classifier"}]}
    assert "{name: classifier}" in [found.layer for found in refused(step(technique, **rules))]
    assert "{type: Dense}" in [
        found.layer for found in refused(step(technique, **rules, skip=[{"type": "Dense"}]))
    ]


@pytest.mark.parametrize("technique", ["cluster", "quantize_aware"])
def test_biases_that_would_lose_their_zeros_are_refused_before_anything_is_trained(
    technique: str,
) -> None:
    biased = step("prune", bias=True, layers=[{"type": "Dense"}])
    [found] = refused(step(technique), biased)
    assert (technique in found.reason, found.fix) == (
        True,
        "write bias: false in prune, in its layers too",
    )
    by_rule = step("prune", layers=[{"type": "Dense", "bias": True}])
    assert [one.fix for one in refused(step(technique), by_rule)] == [found.fix]
    assert (
        refused(
            step(technique), step("prune", bias=True, layers=[{"type": "Dense", "bias": False}])
        )
        == []
    )


def test_values_for_each_channel_are_told_to_mean_nothing_of_a_dense() -> None:
    [found] = remarks(step("cluster", per_channel=True, layers=[{"type": "Dense"}]))
    assert "classifier: values for the whole kernel" in found
    assert remarks(step("cluster", per_channel=True)) == []
    assert remarks(step("cluster", layers=[{"type": "Dense"}])) == []


def test_blocks_are_stored_as_such_in_dense_layers_only() -> None:
    asked = {"final": 0.6, "layers": [{"name": "*pointwise"}, {"type": "Dense"}]}
    for size, after in (
        ([1, 4], []),
        ([1, 16], [step("quantize")]),
        ([1, 16], [step("quantize_aware")]),
    ):
        [found] = remarks(step("prune", block=size, **asked), *after)
        assert "in block1_pointwise, block2_pointwise weight by weight" in found
    [all_of_them] = remarks(
        step("prune", block=[1, 16], **asked), step("quantize", engine="litert")
    )
    assert "classifier" in all_of_them
    assert all_of_them.endswith("no block at all")


def test_a_block_that_only_a_rule_says_is_told_too() -> None:
    [found] = remarks(step("prune", layers=[{"type": "Dense", "block": [2, 2]}]))
    assert "blocks of 2x2 in classifier weight by weight" in found
