"""Every task keeps the contract, by being there."""

import numpy as np
import pytest

from zoo_builders.metrics import METRICS
from zoo_builders.tasks import TASKS, Task

CLASSES = tuple(f"class {index}" for index in range(7))


@pytest.fixture(params=TASKS.names())
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS.get(request.param)


def examples(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(40, len(CLASSES))).astype(np.float32), random.integers(
        0, len(CLASSES), 40
    )


def test_it_is_registered_under_its_name_and_says_what_it_measures(task: Task) -> None:
    assert TASKS.get(task.name) is task
    assert set(task.metrics) <= set(METRICS.names())
    assert (type(task).__doc__ or "").strip()
    assert type(task).__module__.startswith("zoo_builders.tasks.")


def test_scores_are_shares_with_intervals_around_them(task: Task) -> None:
    scores = task.score(*examples(), CLASSES)
    assert bool(scores) == bool(task.metrics)
    assert set(scores) <= set(task.metrics)
    for score in scores.values():
        assert score.ci95[0] <= score.value <= score.ci95[1]


def test_more_examples_narrow_the_interval(task: Task) -> None:
    outputs, labels = examples()
    few = task.score(outputs, labels, CLASSES)
    many = task.score(np.tile(outputs, (20, 1)), np.tile(labels, 20), CLASSES)
    for name, score in few.items():
        assert many[name].value == pytest.approx(score.value)
        assert many[name].ci95[1] - many[name].ci95[0] < score.ci95[1] - score.ci95[0]


def test_decisions_do_not_change_with_scale_and_score_full_marks_against_themselves(
    task: Task,
) -> None:
    outputs, _ = examples()
    decisions, again = task.decide(outputs), task.decide(outputs * 3 + 1)
    assert decisions is not None
    assert again is not None
    assert decisions.shape == (len(outputs),)
    assert np.array_equal(decisions, again)
    assert all(score.value == 1 for score in task.score(outputs, decisions, CLASSES).values())


def test_equal_arguments_give_equal_scores(task: Task) -> None:
    assert task.score(*examples(), CLASSES) == task.score(*examples(), CLASSES)
