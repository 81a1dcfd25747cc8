"""Goals against records: who is judged, against whom, and what counts as missed."""

from collections.abc import Callable
from typing import Any

import pytest

from zoo_builders.manifest.goals import check, kind_of, missed, verdict
from zoo_builders.manifest.schema import MetricGoal, RatioGoal, SizeGoal
from zoo_registry.model.digest import Digest
from zoo_registry.model.measurement import Measurement
from zoo_registry.model.record import FileInfo, Metric, Record


def record(variant: str, top1: float, size: int = 1000) -> Record:
    """Only what goals look at; the rest of a record has its own tests."""
    sha = "0" * 64
    file = FileInfo(
        sha256=sha, size=size, size_gzip=size // 2, size_zstd=size // 3, path="x.tflite"
    )
    metric = Metric(
        dataset="d",
        dataset_sha256=sha,
        split="test",
        examples=10,
        metric="top1",
        value=top1,
        ci95=(0, 1),
    )
    return Record.model_construct(variant=variant, file=file, metrics=(metric,), measurements=())


FAMILY = {"fp32": record("fp32", 0.90, 4000), "int8": record("int8", 0.885, 1000)}


def judged(variant: str, **goals: Any) -> list[tuple[str, float | None, bool]]:
    return [
        (result.goal, result.value, result.met) for result in check(goals, FAMILY[variant], FAMILY)
    ]


@pytest.mark.parametrize(("allowed", "met"), [(0.02, True), (0.015, True), (0.01, False)])
def test_a_drop_is_measured_against_the_named_variant(allowed: float, met: bool) -> None:
    ((_, value, found),) = judged("int8", top1=MetricGoal(max_drop=allowed))
    assert value == pytest.approx(0.015)
    assert found is met


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "e"},
        {"dataset_sha256": "1" * 64},
        {"split": "validation"},
        {"examples": 11},
        {"metric": "top5"},
    ],
)
def test_a_drop_is_never_one_between_two_data_sets(change: dict[str, Any]) -> None:
    (metric,) = FAMILY["fp32"].metrics
    elsewhere = FAMILY["fp32"].model_copy(update={"metrics": (metric.model_copy(update=change),)})
    records = {**FAMILY, "fp32": elsewhere}
    ((result),) = check({"top1": MetricGoal(max_drop=0.5)}, FAMILY["int8"], records)
    assert (result.value, result.met) == (None, False)


def test_a_drop_is_measured_where_both_were_scored() -> None:
    (metric,) = FAMILY["fp32"].metrics
    other = metric.model_copy(update={"split": "validation", "value": 0.1})
    twice = FAMILY["fp32"].model_copy(update={"metrics": (other, metric)})
    ((result),) = check(
        {"top1": MetricGoal(max_drop=0.02)}, FAMILY["int8"], {**FAMILY, "fp32": twice}
    )
    assert result.value == pytest.approx(0.015)


def test_a_variant_never_drops_below_itself() -> None:
    assert judged("fp32", top1=MetricGoal(max_drop=0.0)) == [
        ("top1 max_drop 0 versus fp32", 0.0, True)
    ]


def test_a_goal_for_some_judges_no_others() -> None:
    goal = SizeGoal.model_validate({"max": "2 kB", "for": ["int8"]})
    assert judged("fp32", size=goal) == []
    assert judged("int8", size=goal) == [("size max 2 kB", 1000.0, True)]


def test_what_was_not_measured_is_not_met() -> None:
    results = check({"latency_ratio": RatioGoal(max=0.7)}, FAMILY["int8"], FAMILY)
    error = missed("tiny-int8", results)
    assert [(result.value, result.met) for result in results] == [(None, False)]
    assert error is not None
    assert "nothing measured" in error.message
    assert "--allow-missed" in error.hint
    assert verdict(results) == "missed"


def test_two_bounds_of_one_metric_are_two_results() -> None:
    results = check({"top1": MetricGoal(min=0.95, max_drop=0.1)}, FAMILY["int8"], FAMILY)
    assert [result.met for result in results] == [False, True]
    assert missed("tiny-int8", results[1:]) is None


def test_the_kind_of_a_goal_is_in_its_name() -> None:
    metrics = ("top1",)
    assert [kind_of(name, metrics) for name in ("size", "size_gzip", "size_zstd")] == [SizeGoal] * 3
    assert kind_of("latency_ratio", metrics) is RatioGoal
    assert kind_of("top1", metrics) is MetricGoal
    assert kind_of("top5", metrics) is None


def test_goals_stand_in_the_order_of_the_manifest() -> None:
    goals = {"size": SizeGoal.model_validate({"max": "1 MB"}), "top1": MetricGoal(min=0.5)}
    assert [goal.split()[0] for goal, _, _ in judged("int8", **goals)] == ["size", "top1"]


@pytest.mark.parametrize(("least", "met"), [(0.88, True), (0.885, True), (0.89, False)])
def test_a_minimum_is_met_by_its_own_value(least: float, met: bool) -> None:
    assert judged("int8", top1=MetricGoal(min=least)) == [(f"top1 min {least:g}", 0.885, met)]


def test_more_accurate_than_the_other_is_no_drop() -> None:
    better = {**FAMILY, "int8": record("int8", 0.95)}
    (result,) = check({"top1": MetricGoal(max_drop=0.01)}, better["int8"], better)
    assert result.value == pytest.approx(-0.05)
    assert result.met


@pytest.mark.parametrize("metric", ["top1", "top5"])
def test_a_drop_without_both_numbers_is_not_met(metric: str) -> None:
    alone = {"int8": record("int8", 0.9)}
    (result,) = check({metric: MetricGoal(max_drop=0.5)}, alone["int8"], alone)
    assert (result.value, result.met) == (None, False)
    other = {**alone, "fp32": Record.model_construct(variant="fp32", metrics=())}
    (result,) = check({"top1": MetricGoal(max_drop=0.5)}, other["int8"], other)
    assert (result.value, result.met) == (None, False)


def timed(variant: str, make: Callable[..., Measurement], *rows: tuple[str, int, float]) -> Record:
    """A record with one measurement for each device, threads and ratio to the float baseline."""
    digest = Digest.of(variant.encode())
    found = tuple(
        make(
            digest,
            device=device,
            threads=threads,
            ratio={"value": ratio, "ci95": (ratio * 0.98, ratio * 1.02)},
        )
        for device, threads, ratio in rows
    )
    return Record.model_construct(variant=variant, measurements=found)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([("web-wasm", 1, 0.6)], [("web-wasm", 1, 1.0)], 0.6),
        ([("web-wasm", 1, 0.6)], [("web-wasm", 1, 1.2)], 0.5),
        ([("host-cpu", 1, 0.9), ("web-wasm", 1, 0.6)], [("web-wasm", 1, 1.0)], 0.6),
        ([("web-wasm", 4, 0.3), ("web-wasm", 1, 0.6)], [("web-wasm", 1, 1.0)], 0.6),
        ([("web-wasm", 4, 0.3)], [("web-wasm", 1, 1.0)], 0.3),
        ([("host-cpu", 1, 0.3)], [("web-wasm", 1, 1.0)], None),
        ([("web-wasm", 1, 0.3)], [("host-cpu", 1, 1.0)], None),
        ([("web-wasm", 1, 0.3)], None, None),
    ],
)
def test_a_latency_is_a_ratio_on_the_named_device(
    own: list[tuple[str, int, float]],
    other: list[tuple[str, int, float]] | None,
    expected: float | None,
    make_measurement: Callable[..., Measurement],
) -> None:
    family = {"sparse": timed("sparse", make_measurement, *own)}
    if other is not None:
        family["fp32"] = timed("fp32", make_measurement, *other)
    goals = {"latency_ratio": RatioGoal(max=0.55, device="web-wasm")}
    (result,) = check(goals, family["sparse"], family)
    assert result.value == (None if expected is None else pytest.approx(expected))
    assert result.met is (expected is not None and expected <= 0.55)


def test_the_verdict_is_one_word() -> None:
    met, lost = check({"top1": MetricGoal(min=0.5, max_drop=0)}, FAMILY["int8"], FAMILY)
    assert [verdict(()), verdict((met,)), verdict((met, lost))] == ["none", "met", "missed"]


def test_the_error_says_what_was_found() -> None:
    (lost,) = check({"top1": MetricGoal(min=0.95)}, FAMILY["int8"], FAMILY)
    error = missed("tiny-int8", (lost,))
    assert error is not None
    assert error.message == "tiny-int8: top1 min 0.95: found 0.885"
