"""Goals against records: who is judged, against whom, and what counts as missed."""

from typing import Any

import pytest

from zoo_builders.manifest.goals import check, missed, verdict
from zoo_builders.manifest.schema import MetricGoal, RatioGoal, SizeGoal
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
