"""Which releases a query sees, in which order, which is the best, and which are on the front.

Pure; the catalogue's SQL gives the same answers.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from zoo_registry.model import formatting
from zoo_registry.model.answers import NearMiss, Resolution
from zoo_registry.model.query import Query, parse_sort
from zoo_registry.model.ref import Ref, parse_version
from zoo_registry.model.summary import Summary


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


def front(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Keep what no other beats on both the main metric and the latency.

    The gzipped size stands in for the latency where nothing was measured.
    """
    metric = main_metric(query, items)
    cost = (
        "latency_ms"
        if any(axis(item, "latency_ms", query) is not None for item in items)
        else "size_gzip"
    )
    placed = [
        (item, x, y)
        for item in items
        if (x := axis(item, cost, query)) is not None
        and (y := axis(item, metric, query)) is not None
    ]
    best = pareto([(x, y) for _, x, y in placed])
    return [item for (item, _, _), on_front in zip(placed, best, strict=True) if on_front]


def ordered(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Sort as the query says.

    What has no such value comes last, ties go by name and then the highest version.

    Raises:
        InvalidQuery: no listing can be sorted by that.
    """
    key, descending = parse_sort(query.sort, {name for item in items for name in item.metrics})
    tied = sorted(items, key=lambda item: parse_version(item.version), reverse=True)
    tied.sort(key=lambda item: item.name)
    if key == "name":
        return sorted(tied, key=lambda item: item.name, reverse=descending)
    if key == "newest":
        return sorted(tied, key=lambda item: item.published, reverse=not descending)
    property_ = "latency_ms" if key == "latency" else key

    def rank(item: Summary) -> Any:
        value = axis(item, property_, query)
        return (value is None, 0.0 if value is None else -value if descending else value)

    return sorted(tied, key=rank)


def axis(item: Summary, name: str, query: Query) -> float | None:
    """Read one property of a summary.

    Latency_ms, ratio, size, size_gzip, parameters, macs, sparsity or a metric's name.
    """
    timing = item.timing(query.device, query.threads)
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
    names = sorted({name for item in items for name in item.metrics})
    return "top1" if "top1" in names or not names else names[0]


def near_misses(
    query: Query, candidates: Iterable[Summary], count: int = 5
) -> tuple[NearMiss, ...]:
    """Rank those that match the facets by how little they miss the budget.

    Fewer misses of unknown size first.
    """
    found = [
        NearMiss(item=item, misses=query.misses(item))
        for item in candidates
        if query.facets_match(item)
    ]
    ranked = sorted(
        (near for near in found if near.misses),
        key=lambda near: (near.distance, near.item.name, near.item.version),
    )
    return tuple(ranked[:count])


def resolve(query: Query, candidates: Sequence[Summary]) -> Resolution:
    """Choose the one best artifact for a budget.

    Most accurate, then fastest, then smallest, then by name.

    Accuracy decides first because the budget already says how slow and how large it may be.
    """
    fitting = [item for item in candidates if query.facets_match(item) and not query.misses(item)]
    if not fitting:
        return Resolution(
            chosen=None, why="nothing fits the budget", near_misses=near_misses(query, candidates)
        )
    metric = main_metric(query, fitting)

    def rank(item: Summary) -> tuple[float, float, int, str]:
        timing = item.timing(query.device, query.threads)
        return (
            -item.metrics.get(metric, -math.inf),
            timing.median_ms if timing else math.inf,
            item.size_gzip,
            item.name,
        )

    ordered = sorted(fitting, key=rank)
    best = ordered[0]
    timing = best.timing(query.device, query.threads)
    speed = f", {formatting.milliseconds(timing.median_ms)} ms on {timing.device}" if timing else ""
    score = (
        f"{metric} {best.metrics[metric]:.4f}"
        if metric in best.metrics
        else f"no {metric} measured"
    )
    why = (
        f"best {metric} of {len(fitting)} that fit: {score}{speed},"
        f" {formatting.size(best.size_gzip)} gzip"
    )
    return Resolution(chosen=best, why=why, alternatives=tuple(ordered[1:6]))
