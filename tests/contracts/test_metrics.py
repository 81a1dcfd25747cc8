"""Every metric keeps the contract, by being there."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.metrics import METRICS, Metric, measure, of_task
from zoo_builders.tasks import TASKS

CLASSES = tuple(f"class {index}" for index in range(7))


@pytest.fixture(params=METRICS.names())
def metric(request: pytest.FixtureRequest) -> Metric:
    return METRICS.get(request.param)


def examples(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(60, len(CLASSES))).astype(np.float32), random.integers(
        0, len(CLASSES), 60
    )


def test_it_is_registered_under_a_name_that_goals_and_queries_can_use(metric: Metric) -> None:
    assert METRICS.get(metric.name) is metric
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert (type(metric).__doc__ or "").strip()
    assert metric.tasks
    assert set(metric.tasks) <= set(TASKS.names())
    assert type(metric).__module__ == f"zoo_builders.metrics.{metric.name}"


def test_the_tasks_it_names_report_it_and_no_others(metric: Metric) -> None:
    assert {task for task in TASKS.names() if metric.name in TASKS.get(task).metrics} == set(
        metric.tasks
    )


def test_the_first_metric_of_a_task_with_labels_is_top1() -> None:
    assert {task: of_task(task)[:1] for task in TASKS.names() if TASKS.get(task).metrics} == {
        "image-classification": ("top1",),
        "keyword-spotting": ("top1",),
    }


def test_it_lies_inside_its_interval_and_more_examples_narrow_that(metric: Metric) -> None:
    outputs, labels = examples()
    few = metric.measure(outputs, labels, CLASSES)
    many = metric.measure(np.tile(outputs, (20, 1)), np.tile(labels, 20), CLASSES)
    assert few is not None
    assert many is not None
    assert few.ci95[0] <= few.value <= few.ci95[1]
    assert many.value == pytest.approx(few.value)
    assert many.ci95[1] - many.ci95[0] < few.ci95[1] - few.ci95[0]


def test_outputs_that_are_all_right_have_full_marks(metric: Metric) -> None:
    _, labels = examples()
    score = metric.measure(np.eye(len(CLASSES))[labels], labels, CLASSES)
    assert score is not None
    assert score.value == 1
    assert score.ci95[1] == pytest.approx(1)


def test_equal_scores_count_for_the_lower_class(metric: Metric) -> None:
    outputs, labels = np.zeros((8, len(CLASSES)), np.float32), np.zeros(8, int)
    score = metric.measure(outputs, labels, CLASSES)
    assert score is not None
    assert score.value == 1


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 2**31))
def test_shares_stay_shares_whatever_the_shape(count: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    outputs, labels = random.normal(size=(count, classes)), random.integers(0, classes, count)
    found = measure(METRICS.names(), outputs, labels, tuple(map(str, range(classes))))
    for score in found.values():
        assert 0 <= score.ci95[0] <= score.value <= score.ci95[1] <= 1
    assert found["worst_recall"].value <= found["macro_recall"].value + 1e-12
    assert ("top5" in found) == (classes > 5)


def test_a_model_that_knows_the_frequent_class_only_shows_in_the_recalls() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    found = measure(METRICS.names(), np.tile([1.0, 0.0], (100, 1)), labels, ("common", "rare"))
    assert {name: score.value for name, score in found.items()} == {
        "top1": 0.9,
        "macro_recall": 0.5,
        "worst_recall": 0.0,
    }
    assert [(one.label, one.examples, one.value) for one in found["macro_recall"].classes] == [
        ("common", 90, 1.0),
        ("rare", 10, 0.0),
    ]
