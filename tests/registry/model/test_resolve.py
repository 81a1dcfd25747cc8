"""Which artifact is the best for a budget: most accurate, then fastest, then smallest."""

from collections.abc import Callable
from typing import Any

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.evaluate import latest, main_metric, near_misses, resolve
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.model.summary import Summary

MakeSummary = Callable[..., Summary]
HERE = Query(device="host-cpu")


@pytest.fixture
def make(make_record: Callable[..., Record]) -> MakeSummary:
    """Give the summary of a record; `size` is that of its gzipped file."""

    def making(variant: str, *, size: int = 1000, published: str = "", **changes: Any) -> Summary:
        record = make_record(variant=variant, **changes)
        found = Summary.of(
            record,
            record_sha256=Digest.of(b"record"),
            published=published or "2026-01-01T00:00:00Z",
        )
        return found.model_copy(update={"size_gzip": size})

    return making


def chosen(query: Query, *items: Summary) -> str | None:
    found = resolve(query, items).chosen
    return None if found is None else found.variant


def test_the_most_accurate_wins_though_it_is_slower_and_larger(make: MakeSummary) -> None:
    best = make("good", top1=0.95, medians={"host-cpu": 4.0}, size=9000)
    assert chosen(HERE, make("fast", top1=0.90, medians={"host-cpu": 1.0}, size=10), best) == "good"


def test_of_equally_accurate_ones_the_fastest_wins_though_it_is_larger(make: MakeSummary) -> None:
    fast = make("z-fast", top1=0.9, medians={"host-cpu": 1.0}, size=9000)
    slow = make("a-slow", top1=0.9, medians={"host-cpu": 9.0}, size=10)
    assert chosen(HERE, slow, fast) == "z-fast"
    assert chosen(HERE, fast, slow) == "z-fast"


def test_what_was_never_measured_is_no_faster_than_anything(make: MakeSummary) -> None:
    unmeasured = make("a-unmeasured", top1=0.9, measurements=(), size=10)
    assert (
        chosen(Query(), unmeasured, make("z-slow", top1=0.9, medians={"host-cpu": 90.0}))
        == "z-slow"
    )


def test_of_equally_accurate_and_fast_ones_the_smallest_wins_then_the_name(
    make: MakeSummary,
) -> None:
    same = {"top1": 0.9, "medians": {"host-cpu": 2.0}}
    assert chosen(HERE, make("a", **same, size=20), make("b", **same, size=10)) == "b"
    assert chosen(HERE, make("b", **same, size=10), make("a", **same, size=10)) == "a"


def test_nothing_that_breaks_the_budget_is_chosen(make: MakeSummary) -> None:
    slow = make("slow", top1=0.99, medians={"host-cpu": 8.0})
    fast = make("fast", top1=0.90, medians={"host-cpu": 1.0})
    found = resolve(Query(device="host-cpu", max_latency_ms=2.0), [slow, fast])
    assert found.chosen == fast.on(fast.timings[0].platform)
    assert found.alternatives == ()
    nothing = resolve(Query(device="host-cpu", max_latency_ms=0.5), [slow, fast])
    assert nothing.chosen is None
    assert [near.item.variant for near in nothing.near_misses] == ["fast", "slow"]


def test_the_others_that_fit_are_named_in_order_at_most_five(make: MakeSummary) -> None:
    items = [make(f"v{place}", top1=0.9 - place / 100) for place in range(8)]
    found = resolve(HERE, items[::-1])
    assert found.chosen == items[0].on(items[0].timings[0].platform)
    assert found.alternatives == tuple(i.on(i.timings[0].platform) for i in items[1:6])


def test_near_misses_are_few_and_nearest_first(make: MakeSummary) -> None:
    items = [make(f"v{place}", medians={"host-cpu": 3.0 + place}) for place in range(7)]
    found = near_misses(Query(device="host-cpu", max_latency_ms=2.0), items[::-1])
    assert [near.item.variant for near in found] == ["v0", "v1", "v2", "v3", "v4"]
    assert near_misses(HERE, items) == ()


def test_the_metric_that_decides_is_the_one_asked_for(make: MakeSummary) -> None:
    item = make("a").model_copy(update={"metrics": {"macro_recall": 0.5, "top1": 0.9}})
    other = make("b").model_copy(update={"metrics": {"top5": 0.9, "worst_recall": 0.1}})
    assert main_metric(Query(), [item, other]) == "top1"
    assert main_metric(Query(), [other]) == "top5"
    assert main_metric(Query(), []) == "top1"
    assert main_metric(Query(min_metrics={"worst_recall": 0.0}), [item, other]) == "worst_recall"


def test_latest_is_the_highest_version_and_a_pre_release_only_alone(make: MakeSummary) -> None:
    versions = [make("a", version=version) for version in ("1.9.0", "1.10.0", "2.0.0-rc.1")]
    assert latest(versions).version == "1.10.0"
    assert latest(versions[2:]).version == "2.0.0-rc.1"
