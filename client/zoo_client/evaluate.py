"""Answer a query page by page over summaries, where there is no server to do it. Pure."""

from collections.abc import Iterable

from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.evaluate import current, front, near_misses, ordered, resolve
from zoo_registry.model.query import Query, parse_sort
from zoo_registry.model.summary import Summary

_DIGITS = 9


def page(
    query: Query, summaries: Iterable[Summary], *, limit: int, cursor: str | None = None
) -> Page:
    """Give one page of what matches; near misses when nothing does.

    The cursor is how many came before.

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
    return Page(
        items=tuple(shown[start : start + limit]), next_cursor=str(start + limit) if rest else None
    )


def resolve_latest(query: Query, summaries: Iterable[Summary]) -> Resolution:
    """Choose the best among the versions that a query sees."""
    return resolve(query, current(query, summaries))


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS):
        raise InvalidQuery(
            f"not a cursor: {cursor!r}", hint="zoo search   # starts from the first page"
        )
    return int(cursor)
