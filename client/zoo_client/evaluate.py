"""Answer a query over summaries, where there is no server to do it. Pure; the server's SQL gives the same answers."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.query import Page, Query, Resolution, Summary, axis, main_metric, near_misses, pareto, parse_sort, resolve
from zoo_registry.model.ref import Ref, parse_version


def page(query: Query, summaries: Iterable[Summary], *, limit: int, cursor: str | None = None) -> Page:
    """Give one page of what matches; near misses when nothing does. The cursor is how many came before.

    Raises:
        InvalidQuery: it cannot be sorted so, or the cursor is not one of ours.
    """
    candidates = current(query, summaries)
    fitting = [item for item in candidates if query.facets_match(item) and not query.misses(item)]
    if not fitting:
        parse_sort(query.sort, {name for item in candidates for name in item.metrics})
        return Page(items=(), near_misses=near_misses(query, candidates))
    shown = ordered(query, front(query, fitting) if query.pareto else fitting)
    start = _offset(cursor)
    rest = len(shown) > start + limit
    return Page(items=tuple(shown[start : start + limit]), next_cursor=str(start + limit) if rest else None)


def resolve_latest(query: Query, summaries: Iterable[Summary]) -> Resolution:
    """Choose the best among the versions that a query sees."""
    return resolve(query, current(query, summaries))


def current(query: Query, summaries: Iterable[Summary]) -> list[Summary]:
    """Keep what the query may see: of each name what `@latest` means, unless it asks for all versions or for yanked ones."""
    seen = [item for item in summaries if query.yanked or not item.yanked]
    if query.all_versions:
        return seen
    by_name = groupby(sorted(seen, key=lambda item: item.name), key=lambda item: item.name)
    return [_latest(name, list(items)) for name, items in by_name]


def _latest(name: str, items: Sequence[Summary]) -> Summary:
    """Choose the highest version; a pre-release only where there is nothing else."""
    chosen = Ref(name).pick(item.version for item in items)
    return next((item for item in items if item.version == chosen), max(items, key=lambda item: parse_version(item.version)))


def front(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Keep what no other beats on both the main metric and the latency (the gzipped size, where nothing was measured)."""
    metric = main_metric(query, items)
    cost = "latency_ms" if any(axis(item, "latency_ms", query) is not None for item in items) else "size_gzip"
    placed = [(item, x, y) for item in items if (x := axis(item, cost, query)) is not None and (y := axis(item, metric, query)) is not None]
    best = pareto([(x, y) for _, x, y in placed])
    return [item for (item, _, _), on_front in zip(placed, best, strict=True) if on_front]


def ordered(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Sort as the query says; what has no such value comes last, ties go by name and then the highest version."""
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


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):  # noqa: PLR2004  more would be no offset
        raise InvalidQuery(f"not a cursor: {cursor!r}", hint="zoo search   # starts from the first page")
    return int(cursor)
