"""Which data sets are the same, how they are asked for, and what old records say."""

from typing import Any

import pytest

from plugins.records import make
from zoo_registry.model.dataset import Choice, DataSet, labels_of, same, scores, spelled
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record
from zoo_registry.model.summary import Summary

A, B = Digest.of(b"a"), Digest.of(b"b")


def metric(**changes: Any) -> dict[str, Any]:
    about = {"dataset": "digits", "dataset_sha256": A, "split": "test", "examples": 360}
    return about | {"metric": "top1", "value": 0.9, "ci95": (0.8, 1.0)} | changes


def with_metrics(*metrics: dict[str, Any], **changes: Any) -> Record:
    return make(metrics=metrics, **changes)


def test_a_record_from_before_says_its_labels_by_what_it_carries() -> None:
    old = with_metrics(metric())
    assert labels_of(old) == "digits", "by data set and outputs"
    assert [one.dataset.labels for one in scores(old)] == ["digits"]
    named = with_metrics(metric(labels="imagenet-1k"))
    assert [one.dataset.labels for one in scores(named)] == ["imagenet-1k"]
    assert labels_of(named) == "imagenet-1k", "what a metric says, where the signature says nothing"
    assert labels_of(with_metrics()) == ""
    assert '"labels":""' not in old.to_bytes().decode().split('"metrics"')[1].split("]")[0]


def test_every_data_set_of_a_record_is_kept() -> None:
    record = with_metrics(
        metric(), metric(split="validation"), metric(value=0.1), metric(metric="top5")
    )
    found = [(one.metric, one.dataset.split, one.value) for one in scores(record)]
    assert found == [("top1", "test", 0.9), ("top1", "validation", 0.9), ("top5", "test", 0.9)]
    summary = Summary.of(record, A)
    assert summary.metrics == {"top1": 0.9, "top5": 0.9}
    assert summary.scored == scores(record)


def test_a_summary_of_an_older_program_has_its_scores_too() -> None:
    summary = Summary.of(with_metrics(metric()), A).model_copy(update={"scores": ()})
    (score,) = summary.scored
    assert (score.metric, score.value, score.dataset) == ("top1", 0.9, DataSet(name="digits"))


@pytest.mark.parametrize(
    ("change", "equal"),
    [
        ({}, True),
        ({"value": 0.1}, True),
        ({"labels": "digits"}, True),
        ({"labels": "3-labels-x"}, False),
        ({"dataset_sha256": B}, False),
        ({"dataset": "mnist"}, False),
        ({"split": "validation"}, False),
        ({"examples": 361}, False),
    ],
)
def test_metrics_compare_within_one_data_set_only(change: dict[str, Any], equal: bool) -> None:
    one, other = with_metrics(metric()), with_metrics(metric(**change))
    assert (same(one.metrics[0], one, other) is not None) is equal
    assert (scores(one)[0].dataset == scores(other)[0].dataset) is equal


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("digits", True),
        ("DIGITS", True),
        ("digits:test", True),
        (f"digits#{A[:4]}", True),
        (f"Digits:Test#{A}", True),
        ("digits:val", False),
        ("digit", False),
        (f"digits#{B[:8]}", False),
        ("digits#", False),
        ("", False),
    ],
)
def test_a_data_set_is_asked_for_by_name_split_and_digest(asked: str, taken: bool) -> None:
    where = DataSet(name="Digits", sha256=A, split="test", examples=1, labels="digits")
    assert Choice.read(asked, None).takes(where) is taken
    assert not Choice.read(asked, "imagenet-1k").takes(where)


def test_each_is_written_the_shortest_way_that_tells_it_from_the_others() -> None:
    test, val = (DataSet(name="d", sha256=A, split=split) for split in ("test", "val"))
    other = DataSet(name="d", sha256=B, split="test")
    alone = DataSet(name="e:f", sha256=B, split="test")
    assert spelled([test]) == {test: "d"}
    assert spelled([test, val, alone]) == {test: "d:test", val: "d:val", alone: "e:f"}
    found = spelled([test, val, other])
    assert found == {test: f"d:test#{A[:8]}", val: "d:val", other: f"d#{B[:8]}"}
    for one, text in found.items():
        taken = [each for each in found if Choice.read(text, None).takes(each)]
        assert taken == [one]
    assert spelled([DataSet(name="d"), test]) == {DataSet(name="d"): "d:", test: "d:test"}
