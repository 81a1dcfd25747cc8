"""Accuracies of two data sets are never compared: best, order, front and near misses."""

from typing import Any

import pytest

from plugins.records import make
from zoo_registry.model.answers import Resolution
from zoo_registry.model.compare import compared, front, near_misses, ordered, points, resolve
from zoo_registry.model.digest import Digest
from zoo_registry.model.query import Query
from zoo_registry.model.summary import Summary


def scored(dataset: str, split: str, value: float, **changes: Any) -> dict[str, Any]:
    about = {"dataset": dataset, "dataset_sha256": Digest.of(dataset.encode()), "split": split}
    about |= {"examples": 100, "metric": "top1", "value": value, "ci95": (0.0, 1.0)}
    return about | changes


def summary(model: str, median: float, *metrics: dict[str, Any]) -> Summary:
    record = make(model=model, metrics=metrics, medians={"host-cpu": median}, technique=None)
    return Summary.of(record, Digest.of(record.to_bytes()))


DIGITS = summary("digits", 0.01, scored("digits", "test", 0.99))
SLOW, QUICK, POOR = (
    summary(name, ms, scored("imagenet", "validation", top1))
    for name, ms, top1 in (("slow", 9.0, 0.76), ("quick", 3.0, 0.71), ("poor", 5.0, 0.60))
)
BLIND = summary("blind", 1.0)
ALL = (DIGITS, SLOW, QUICK, POOR, BLIND)


def names(items: Any) -> list[str]:
    return [item.model for item in items]


def test_the_most_accurate_is_one_of_the_data_set_with_most_artifacts() -> None:
    found = resolve(Query(), ALL)
    assert found.chosen is not None
    assert found.chosen.model == "slow"
    assert names(found.alternatives) == ["quick", "poor"]
    assert found.dataset is not None
    assert found.dataset.name == "imagenet"
    assert [(one.asked, one.chosen.model) for one in found.datasets] == [
        ("digits", "digits"),
        ("", "blind"),
    ]
    assert "best top1 of 3 that fit" in found.why
    assert "Compared on imagenet, split validation, 100 examples only" in found.why
    assert "digits" in found.why


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        (Query(dataset="digits"), "digits"),
        (Query(labels="digits"), "digits"),
        (Query(dataset="imagenet"), "slow"),
        (Query(dataset="imagenet:validation"), "slow"),
        (Query(max_latency_ms=6), "quick"),
        (Query(max_latency_ms=0.5), "digits"),
        (Query(min_metrics={"top1": 0.9}), "digits"),
        (Query(min_metrics={"top1": 0.75}, max_size=10**6), "digits"),
    ],
)
def test_a_question_chooses_its_data_set(asked: Query, model: str) -> None:
    found = resolve(asked, ALL)
    assert found.chosen is not None
    assert found.chosen.model == model


def test_a_limit_over_two_data_sets_says_which_it_compared() -> None:
    found = resolve(Query(min_metrics={"top1": 0.65}), ALL)
    assert found.chosen is not None
    assert found.chosen.model == "slow"
    assert "Compared on imagenet" in found.why
    assert "on digits, split test, 100 examples (dataset=digits): digits" in found.why


def test_one_data_set_needs_no_words() -> None:
    why = resolve(Query(dataset="imagenet"), ALL).why
    assert why.endswith("gzip")
    assert resolve(Query(), (DIGITS,)).datasets == ()


def test_a_list_by_a_metric_is_one_data_set_after_the_other() -> None:
    best = ["slow", "quick", "poor", "digits", "blind"]
    assert names(ordered(Query(sort="-top1"), ALL)) == best
    assert names(ordered(Query(sort="top1"), ALL)) == ["poor", "quick", "slow", "digits", "blind"]
    assert ordered(Query(sort="-top1"), ALL)[3] == DIGITS, "as it was published"


def test_each_data_set_has_its_front() -> None:
    assert set(names(front(Query(), ALL))) == {"digits", "slow", "quick"}
    found = points(Query(), ALL, "latency_ms", "top1")
    assert [(point.item.model, point.on_front) for point in found] == [
        ("quick", True),
        ("poor", False),
        ("slow", True),
        ("digits", True),
    ]
    assert [point.dataset.name for point in found if point.dataset] == ["imagenet"] * 3 + ["digits"]


def test_near_misses_of_one_data_set_stand_together_and_none_is_crowded_out() -> None:
    many = [summary(f"many{n}", 3, scored("imagenet", "validation", 0.7)) for n in range(9)]
    found = near_misses(Query(min_metrics={"top1": 0.995}), [*many, DIGITS])
    assert len(found) == 5
    assert names(near.item for near in found)[-1] == "digits"
    (miss,) = found[-1].misses
    assert miss.dataset is not None
    assert miss.dataset.name == "digits"
    assert "dataset" not in resolve(Query(max_size=1), ALL).near_misses[0].misses[0].model_dump()


def test_what_is_compared_is_counted() -> None:
    found = compared(Query(), ALL)
    assert [(one.asked, one.artifacts) for one in found] == [
        ("imagenet", 3),
        ("digits", 1),
        ("", 1),
    ]


@pytest.mark.parametrize(
    "change", [{"split": "test"}, {"dataset_sha256": Digest.of(b"x")}, {"labels": "10-labels-x"}]
)
def test_digest_split_and_labels_tell_data_sets_apart(change: dict[str, Any]) -> None:
    other = summary("other", 1.0, scored("imagenet", "validation", 0.99) | change)
    found = resolve(Query(), (SLOW, QUICK, other))
    assert found.chosen is not None
    assert found.chosen.model == "slow"
    assert len(found.datasets) == 1


def test_an_artifact_of_two_splits_is_compared_on_the_one_asked_for() -> None:
    both = summary(
        "both", 1.0, scored("imagenet", "test", 0.5), scored("imagenet", "validation", 0.9)
    )
    asked = resolve(Query(dataset="imagenet:validation"), (SLOW, both))
    assert asked.chosen is not None
    assert (asked.chosen.model, asked.chosen.metrics["top1"], asked.datasets) == ("both", 0.9, ())
    assert len(resolve(Query(), (SLOW, both)).datasets) == 1


def test_an_answer_reads_back() -> None:
    found = resolve(Query(), ALL)
    assert Resolution.model_validate_json(found.model_dump_json()) == found
