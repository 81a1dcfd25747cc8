"""Which releases a query sees, in which order, which is the best, and which are on the front.

Pure; the catalogue's SQL gives the same answers.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from zoo_registry.model import formatting
from zoo_registry.model.answers import NearMiss, OnPlatform, Resolution, Unmeasured
from zoo_registry.model.platform import nearest
from zoo_registry.model.query import TIMED_AXES, TIMED_SORTS, FrontAxis, Query, parse_sort
from zoo_registry.model.ranking import Placing, by_rank, doubts, marks
from zoo_registry.model.ref import Ref, parse_version
from zoo_registry.model.summary import Summary, Timing

NEAREST = 5
"""Near misses that are shown."""


def current(query: Query, summaries: Iterable[Summary]) -> list[Summary]:
    """Keep what the query may see.

    That is what `@latest` means for each name, unless the query asks for all versions or yanked
    ones.
    """
    seen = [item for item in summaries if query.yanked or not item.yanked]
    if query.all_versions:
        return seen
    by_name = groupby(sorted(seen, key=lambda item: item.name), key=lambda item: item.name)
    return [latest(list(items)) for _, items in by_name]


def latest(items: Sequence[Summary]) -> Summary:
    """Choose the highest version of one artifact.

    A pre-release only where there is nothing else.
    """
    chosen = latest_version(items[0].name, [item.version for item in items])
    return next(item for item in items if item.version == chosen)


def latest_version(name: str, versions: Sequence[str]) -> str | None:
    """Choose what `@latest` means among the versions of one artifact.

    A pre-release only where there is nothing else; None where there is nothing.
    """
    return Ref(name).pick(versions) or max(versions, key=parse_version, default=None)


def rows(query: Query, candidates: Iterable[Summary]) -> list[Summary]:
    """Take apart by platform what the facets let through: see `Query.apart`."""
    return [row for item in candidates if query.facets_match(item) for row in query.apart(item)]


def fitting(query: Query, candidates: Iterable[Summary]) -> list[Summary]:
    """Keep the rows that meet the budget: each on the platform that it speaks of."""
    return [row for row in rows(query, candidates) if not query.misses(row)]


def front(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Keep the rows that no other beats on both the main metric and the latency.

    Rows of two platforms never beat each other. The gzipped size stands in for the latency where
    nothing was measured.
    """
    metric = main_metric(query, items)
    cost: FrontAxis = (
        "latency_ms"
        if any(axis(item, "latency_ms", query) is not None for item in items)
        else "size_gzip"
    )
    placed = placings(query, items, cost, metric)
    return [one.item for one, mark in zip(placed, marks(placed), strict=True) if mark == "front"]


def placings(query: Query, items: Iterable[Summary], x: FrontAxis, y: str) -> tuple[Placing, ...]:
    """Place what has both properties."""
    return tuple(
        Placing(item, a, b, query.timing(item) if x in TIMED_AXES else None)
        for item in items
        if (a := axis(item, x, query)) is not None and (b := axis(item, y, query)) is not None
    )


def ordered(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Sort as the query says.

    What has no such value comes last, ties go by name, then the highest version, then the
    platform. Times are in order within their platform, one platform after the other.

    Raises:
        InvalidQuery: no listing can be sorted by that.
    """
    key, descending = parse_sort(query.sort, {name for item in items for name in item.metrics})
    tied = sorted(items, key=lambda item: item.platform)
    tied.sort(key=lambda item: parse_version(item.version), reverse=True)
    tied.sort(key=lambda item: item.name)
    if key == "name":
        return sorted(tied, key=lambda item: item.name, reverse=descending)
    if key == "newest":
        return sorted(tied, key=lambda item: item.published, reverse=not descending)
    property_ = "latency_ms" if key == "latency" else key

    def rank(item: Summary) -> Any:
        value = axis(item, property_, query)
        group = _timed_group(query, item) if key in TIMED_SORTS and value is not None else ""
        return (value is None, group, 0.0 if value is None else -value if descending else value)

    return sorted(tied, key=rank)


def _timed_group(query: Query, item: Summary) -> str:
    """Give the group in which times are in order: the platform, noisy sessions behind the quiet."""
    timing = query.timing(item)
    return item.platform + ("~" if timing is not None and timing.noisy else "")


def axis(item: Summary, name: str, query: Query) -> float | None:
    """Read one property of a summary.

    Latency_ms, ratio, size, size_gzip, parameters, macs, sparsity or a metric's name.
    """
    timing = query.timing(item)
    known: dict[str, float | None] = {
        "latency_ms": timing.median_ms if timing else None,
        "ratio": timing.ratio if timing else None,
        "size": item.size,
        "size_gzip": item.size_gzip,
        "parameters": item.parameters,
        "macs": item.macs,
        "sparsity": item.sparsity,
    }
    if name in known:
        return known[name]
    score = query.score(item, name)
    return None if score is None else score.value


def pareto(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """Mark the points that no other beats: x is better small, y is better large.

    Equal points are both on the front. Sorts once: from small x to large, a point is on the front
    where its y is above every y before it.
    """
    front, highest = set[tuple[float, float]](), -math.inf
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if y > highest:
            front.add((x, y))
            highest = y
    return tuple(point in front for point in points)


def main_metric(query: Query, items: Sequence[Summary]) -> str:
    """Name the metric that decides: the one asked for, else top1, else the first any item has."""
    if query.min_metrics:
        return min(query.min_metrics)
    return usual_metric(name for item in items for name in query.metrics(item))


def usual_metric(metrics: Iterable[str]) -> str:
    """Name the metric that decides among those there are: top1, else the first by name."""
    names = sorted(set(metrics))
    return "top1" if "top1" in names or not names else names[0]


def near_misses(
    query: Query, candidates: Iterable[Summary], count: int = NEAREST
) -> tuple[NearMiss, ...]:
    """Rank those that match the facets by how little they miss the budget.

    Fewer misses of unknown size first. An artifact stands here once, on the platform where it
    misses least.
    """
    return _nearest(query, rows(query, candidates))[:count]


def _nearest(query: Query, found: Iterable[Summary]) -> tuple[NearMiss, ...]:
    """Rank rows by how little they miss; of each artifact the row that misses least."""
    missed = (NearMiss(item=row, misses=query.misses(row)) for row in found)
    ranked = sorted(
        (near for near in missed if near.misses),
        key=lambda near: (near.distance, near.item.name, near.item.version, near.item.platform),
    )
    least = dict[tuple[str, str], NearMiss]()
    for near in ranked:
        least.setdefault((near.item.name, near.item.version), near)
    return tuple(least.values())


def unmeasured(query: Query, candidates: Sequence[Summary]) -> Unmeasured | None:
    """Say that nobody measured on the platform asked for, and what is near it.

    `candidates` are those of the same question without platform, device and threads. None where
    no platform was asked for, or nothing was found at all.
    """
    if query.platform is None or not candidates:
        return None
    known = {timing.platform for item in candidates for timing in item.timings}
    wide = elsewhere(query).model_copy(update={"max_latency_ms": None, "max_ratio": None})
    best = resolve(wide, candidates).chosen or candidates[0]
    kind = query.platform.partition("/")[0]
    there = "" if kind == "host-cpu" else f" --device {kind}"
    return Unmeasured(
        platform=query.platform,
        nearest=nearest(query.platform, known),
        bench=f"zoo bench {best.name}@{best.version}{there} --submit",
    )


def elsewhere(query: Query) -> Query:
    """Ask the same of every place."""
    return query.model_copy(update={"platform": None, "device": None, "threads": None})


def platforms(items: Iterable[Summary]) -> tuple[str, ...]:
    """List the platforms of rows or artifacts, the one with most artifacts first."""
    counted = Counter(
        key for item in items for key in {t.platform for t in item.timings_of(None, None)}
    )
    return tuple(sorted(counted, key=lambda key: (-counted[key], key)))


def resolve(query: Query, candidates: Sequence[Summary]) -> Resolution:
    """Choose the one best artifact for a budget.

    Most accurate, then fastest, then smallest, then by name.

    Accuracy decides first because the budget already says how slow and how large it may be. Where
    times decide, the platform on which most artifacts were measured answers first, and the others
    are named; a platform on which nothing fits answers only where none does.
    """
    found = rows(query, candidates)
    answers = {key: _best(query, _of(found, key)) for key in _order(found)}
    if not answers:
        return _best(query, found)
    first = next((key for key, answer in answers.items() if answer.chosen), next(iter(answers)))
    others = (
        OnPlatform(platform=key, chosen=answer.chosen, why=answer.why)
        for key, answer in answers.items()
        if key != first
    )
    return answers[first].model_copy(update={"elsewhere": tuple(others)})


def _order(found: Sequence[Summary]) -> tuple[str, ...]:
    """Order the platforms of rows, the one with most rows first.

    Rows without a platform (whose artifact has no time that counts) are no platform of their own.
    """
    counted = Counter(row.platform for row in found if row.platform)
    return tuple(sorted(counted, key=lambda key: (-counted[key], key)))


def _of(found: Sequence[Summary], key: str) -> list[Summary]:
    return [row for row in found if row.platform in (key, "")]


def _best(query: Query, found: Sequence[Summary]) -> Resolution:
    """Choose among the rows of one platform; where times do not decide, compare on the usual."""
    fit = [row for row in found if not query.misses(row)]
    if not fit:
        return Resolution(
            chosen=None, why="nothing fits the budget", near_misses=_nearest(query, found)[:NEAREST]
        )
    metric = main_metric(query, fit)
    usual = next(iter(platforms(fit)), "")
    times = [(item, query.timing(item.on(usual))) for item in fit]
    (best, timing), *others = by_rank(query, times, metric)
    why = _why(best, timing, metric, len(fit))
    return Resolution(
        chosen=best,
        why=why + doubts(query, (best, timing), others, metric),
        alternatives=tuple(item for item, _ in others[:5]),
    )


def _why(best: Summary, timing: Timing | None, metric: str, count: int) -> str:
    speed = (
        f", {formatting.milliseconds(timing.median_ms)} ms on {timing.device}, {timing.told}"
        if timing
        else ""
    )
    score = (
        f"{metric} {best.metrics[metric]:.4f}"
        if metric in best.metrics
        else f"no {metric} measured"
    )
    return (
        f"best {metric} of {count} that fit: {score}{speed}, {formatting.size(best.size_gzip)} gzip"
    )
