"""Answer a query page by page over summaries, where there is no server to do it. Pure."""

from collections.abc import Iterable, Sequence

from zoo_registry.model.answers import Page, Resolution, Unmeasured
from zoo_registry.model.compare import compared, front, near_misses, ordered, resolve
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.evaluate import current, elsewhere, fitting, unmeasured
from zoo_registry.model.query import Query, parse_sort
from zoo_registry.model.summary import Summary, settle

_DIGITS = 9


def page(
    query: Query, summaries: Iterable[Summary], *, limit: int, cursor: str | None = None
) -> Page:
    """Give one page of what matches; near misses when nothing does.

    The cursor is how many came before.

    Raises:
        InvalidQuery: it cannot be sorted so, or the cursor is not one of ours.
    """
    candidates = current(query, settle(summaries))
    fit = fitting(query, candidates)
    if not fit:
        parse_sort(query.sort, {one.metric for item in candidates for one in item.scored})
        near = near_misses(query, candidates)
        return Page(items=(), near_misses=near, unmeasured=_unmeasured(query, candidates))
    shown = ordered(query, front(query, fit) if query.pareto else fit)
    start = _offset(cursor)
    rest = len(shown) > start + limit
    return Page(
        items=tuple(shown[start : start + limit]),
        next_cursor=str(start + limit) if rest else None,
        datasets=compared(query, fit),
    )


def resolve_latest(query: Query, summaries: Iterable[Summary]) -> Resolution:
    """Choose the best among the versions that a query sees."""
    candidates = current(query, settle(summaries))
    found = resolve(query, candidates)
    lacking = _unmeasured(query, candidates)
    if lacking is None:
        return found
    return found.model_copy(update={"why": lacking.message, "unmeasured": lacking})


def _unmeasured(query: Query, candidates: Sequence[Summary]) -> Unmeasured | None:
    """Say that the platform asked for has no measurement; None where it has."""
    if query.platform is None or any(query.facets_match(item) for item in candidates):
        return None
    anywhere = elsewhere(query)
    return unmeasured(query, [item for item in candidates if anywhere.facets_match(item)])


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS):
        raise InvalidQuery(
            f"not a cursor: {cursor!r}", hint="zoo search   # starts from the first page"
        )
    return int(cursor)
