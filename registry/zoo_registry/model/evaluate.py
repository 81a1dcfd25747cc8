"""Which releases a query sees, in which order, and which are on the front.

Pure; the catalogue's SQL gives the same answers.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from zoo_registry.model.query import Query, Summary, axis, main_metric, pareto, parse_sort
from zoo_registry.model.ref import Ref, parse_version


def current(query: Query, summaries: Iterable[Summary]) -> list[Summary]:
    """Keep what the query may see.

    Of each name what `@latest` means, unless it asks for all versions or for yanked ones.
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
    chosen = Ref(items[0].name).pick(item.version for item in items)
    return next(
        (item for item in items if item.version == chosen),
        max(items, key=lambda item: parse_version(item.version)),
    )


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
