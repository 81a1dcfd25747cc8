"""Query → SQL. Pure: takes a `Query`, gives expressions over the tables, and touches no database.

`Query.facets_match`, `Query.misses` and `model.evaluate` say what a query means; a property test
holds this module to them.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    true,
)

from zoo_registry.catalogue.schema import metrics, releases, techniques, timings
from zoo_registry.model.canonical import canonical
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.query import TIMED_SORTS, Query

Condition = ColumnElement[bool]
_CHECK = 16
_PLACE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a listing is made of: releases, or one row for each release and platform.

    The latter where times decide (`Query.apart`); `platform` is "" where there is none.
    """

    query: Query
    source: FromClause
    platform: ColumnElement[str]

    @classmethod
    def of(cls, query: Query) -> "Rows":
        """Choose the rows that answer a query."""
        if not query.by_platform:
            return cls(query, releases, literal(""))
        t = timings.c
        timed = select(t.release_id, t.platform).where(_counts(query)).distinct().subquery("timed")
        joined = releases.outerjoin(timed, timed.c.release_id == releases.c.id)
        return cls(query, joined, func.coalesce(timed.c.platform, ""))


def seen(query: Query) -> Condition:
    """Which releases the query may see at all.

    The latest of each name, unless it says otherwise.
    """
    if query.all_versions:
        return true() if query.yanked else ~releases.c.yanked
    return releases.c.latest_of_all if query.yanked else releases.c.latest


def facets(query: Query) -> Condition:
    """Everything of `Query.facets_match`."""
    c = releases.c
    wanted: list[Condition] = [
        c.words.contains(word, autoescape=True) for word in query.q.lower().split()
    ]
    wanted += [
        column == value
        for column, value in ((c.task, query.task), (c.model, query.model))
        if value is not None
    ]
    if query.license is not None:
        wanted.append(c.license == query.license.lower())
    if query.technique == "none":
        wanted.append(c.plain)
    elif query.technique is not None:
        wanted.append(
            select(1)
            .where(techniques.c.release_id == c.id, techniques.c.technique == query.technique)
            .exists()
        )
    if not query.choice.is_open:
        wanted.append(_scored(query))
    if query.device is not None or query.platform is not None:
        measured = and_(timings.c.release_id == c.id, _counts(query))
        wanted.append(select(1).select_from(timings).where(measured).exists())
    return and_(seen(query), *wanted)


def limits(rows: Rows) -> Condition:
    """Everything that `Query.misses` counts: what was not measured does not fit."""
    c, query = releases.c, rows.query
    wanted: list[Condition] = []
    if query.max_latency_ms is not None:
        wanted.append(timing(rows, "median_ms") <= query.max_latency_ms)
    if query.max_ratio is not None:
        wanted.append(timing(rows, "ratio") <= query.max_ratio)
    wanted += [
        column <= limit
        for column, limit in ((c.size, query.max_size), (c.size_gzip, query.max_size_gzip))
        if limit is not None
    ]
    wanted += [
        score(query, name, "value") >= limit for name, limit in sorted(query.min_metrics.items())
    ]
    return and_(true(), *wanted)


def score(query: Query, metric: str, column: str) -> ColumnElement[Any]:
    """One column of the score that decides: the first on a data set meant (`Query.score`)."""
    m = metrics.c
    first = (
        select(m[column])
        .where(m.release_id == releases.c.id, m.metric == metric, *_on_dataset(query))
        .order_by(m.position)
        .limit(1)
    )
    return first.correlate(releases).scalar_subquery()


def _scored(query: Query) -> Condition:
    """Whether a release has a score on a data set meant; labels alone are its own too."""
    m = metrics.c
    scored = (
        select(1)
        .select_from(metrics)
        .where(m.release_id == releases.c.id, *_on_dataset(query))
        .exists()
    )
    labels = query.choice.labels
    return scored if query.dataset is not None else or_(scored, releases.c.labels == labels)


def _on_dataset(query: Query) -> list[Condition]:
    """Everything of `Choice.takes`."""
    m, choice = metrics.c, query.choice
    wanted: list[Condition] = []
    if choice.name is not None:
        wanted.append(or_(m.asked == choice.name, m.asked_split == choice.name))
    if choice.sha256:
        wanted.append(m.dataset_sha256.startswith(choice.sha256, autoescape=True))
    if choice.labels is not None:
        wanted.append(m.labels == choice.labels)
    return wanted


def timing(rows: Rows, column: str) -> ColumnElement[float]:
    """One column of the best usable timing: quiet before noisy, then fastest (`Summary.timing`)."""
    t = timings.c
    best = (
        select(t[column])
        .where(t.release_id == releases.c.id, t.platform == rows.platform, _counts(rows.query))
        .order_by(t.noisy, t.median_ms, t.position)
        .limit(1)
    )
    return best.correlate_except(timings).scalar_subquery()


def _counts(query: Query) -> Condition:
    """Hold for timings of the device, thread count and platform that a query names."""
    t = timings.c
    on: list[Condition] = [
        column == value
        for column, value in ((t.device, query.device), (t.threads, query.threads))
        if value is not None
    ]
    if query.platform is not None:
        below = t.platform.startswith(f"{query.platform}/", autoescape=True)
        on.append(or_(t.platform == query.platform, below))
    return and_(true(), *on)


@dataclass(frozen=True, slots=True)
class SortKey:
    """What a listing is sorted by: one key, then name, highest version and platform.

    What has no key comes last. `timed`: times are in order within their platform.
    """

    key: ColumnElement[Any]
    descending: bool
    timed: bool = False

    @classmethod
    def of(cls, rows: Rows, key: str, descending: bool) -> "SortKey":
        """Translate a sort that `parse_sort` let through."""
        c = releases.c
        columns: dict[str, ColumnElement[Any]] = {
            "name": c.name,
            "newest": c.published,
            "size": c.size,
            "size_gzip": c.size_gzip,
        }
        if key in columns:
            return cls(columns[key], descending != (key == "newest"))
        if key in TIMED_SORTS:
            column = "median_ms" if key == "latency" else "ratio"
            return cls(timing(rows, column), descending, timed=True)
        return cls(score(rows.query, key, "value"), descending)


@dataclass(frozen=True, slots=True)
class PageEnd:
    """Where a page ended: key, name, version order and platform of its last row."""

    key: float | str | None
    name: str
    version_order: str
    platform: str = ""


def listing(
    rows: Rows, condition: Condition, order: SortKey, after: PageEnd | None, limit: int
) -> Select[Any]:
    """Select up to `limit` rows behind `after`: summary, key, name, version_order, platform."""
    c = releases.c
    keyed = (
        select(
            c.summary,
            order.key.label("key"),
            c.name,
            c.version_order,
            rows.platform.label("platform"),
        )
        .select_from(rows.source)
        .where(condition)
        .subquery("keyed")
    )
    k = keyed.c
    found = select(k.summary, k.key, k.name, k.version_order, k.platform).limit(limit)
    if after is not None:
        found = found.where(_behind(k, order, after))
    missing = case((k.key.is_(null()), 1), else_=0)
    key = k.key.desc() if order.descending else k.key.asc()
    first = (missing, k.platform, key) if order.timed else (missing, key)
    return found.order_by(*first, k.name, k.version_order.desc(), k.platform)


def _behind(k: Any, order: SortKey, after: PageEnd) -> Condition:
    same = k.version_order == after.version_order
    older = or_(k.version_order < after.version_order, and_(same, k.platform > after.platform))
    tie = or_(k.name > after.name, and_(k.name == after.name, older))
    if after.key is None:
        return and_(k.key.is_(null()), tie)
    further = k.key < after.key if order.descending else k.key > after.key
    behind = or_(further, and_(k.key == after.key, tie))
    if order.timed:
        behind = or_(k.platform > after.platform, and_(k.platform == after.platform, behind))
    return or_(k.key.is_(null()), behind)


def counting(rows: Rows, condition: Condition) -> Select[Any]:
    """Count the rows that hold `condition`."""
    return select(func.count(literal(1))).select_from(rows.source).where(condition)


def cursor(query: Query, place: PageEnd) -> str:
    """Write a place as opaque text, bound to the query it belongs to."""
    body = json.dumps([place.key, place.name, place.version_order, place.platform]).encode()
    return base64.urlsafe_b64encode(_check(query, body) + body).decode().rstrip("=")


def read_cursor(query: Query, text: str) -> PageEnd:
    """Read a place back.

    Raises:
        InvalidQuery: it is not a cursor, or one of another query.
    """
    wrong = InvalidQuery(
        "the cursor is not one of this search", hint="zoo search   # starts from the first page"
    )
    try:
        raw = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (ValueError, binascii.Error) as error:
        raise wrong from error
    check, body = raw[:_CHECK], raw[_CHECK:]
    if check != _check(query, body) or cursor_text(raw) != text:
        raise wrong
    place = json.loads(body)
    if not isinstance(place, list) or len(place) != _PLACE:
        raise wrong
    return PageEnd(place[0], *map(str, place[1:]))


def cursor_text(raw: bytes) -> str:
    """Spell the bytes of a cursor the one way that is accepted."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _check(query: Query, body: bytes) -> bytes:
    return hashlib.sha256(canonical(query) + b"\n" + body).digest()[:_CHECK]
