"""Query → SQL. Pure: takes a `Query`, gives expressions over the tables, and touches no database.

`Query.facets_match`, `Query.misses` and `model.evaluate` say what a query means; a property test
holds this module to them.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
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

from zoo_registry.catalogue.entries import spelled_place
from zoo_registry.catalogue.schema import metrics, releases, techniques, timings
from zoo_registry.model.canonical import canonical
from zoo_registry.model.dataset import DataSet
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.query import TIMED_SORTS, Query

Condition = ColumnElement[bool]
_CHECK = 16
_PLACE = 5


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
        .correlate(releases)
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


def timing(rows: Rows, column: str) -> ColumnElement[Any]:
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
    """What a listing is sorted by: group, one key, then name, highest version and platform.

    What has no key comes last. Only what compares is in order: the groups of times are platforms,
    quiet before noisy, those of a metric its data sets (`compare.ordered`).
    """

    key: ColumnElement[Any]
    descending: bool
    group: ColumnElement[str] = field(default_factory=lambda: literal(""))

    @classmethod
    def of(cls, rows: Rows, datasets: Sequence[DataSet] = ()) -> "SortKey":
        """Translate a sort that `parse_sort` let through; `datasets` stand in their order."""
        c, sort = releases.c, rows.query.sort
        key, descending = sort.removeprefix("-"), sort.startswith("-")
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
            noisy = case((timing(rows, "noisy"), "~"), else_="")
            return cls(timing(rows, column), descending, rows.platform + noisy)
        return cls(score(rows.query, key, "value"), descending, _ranks(rows.query, key, datasets))


def _ranks(query: Query, metric: str, datasets: Sequence[DataSet]) -> ColumnElement[str]:
    """Number the data sets on which a metric decides, as text that sorts in their order."""
    ranks = {spelled_place(dataset): f"{number:06}" for number, dataset in enumerate(datasets)}
    return case(ranks, value=score(query, metric, "place"), else_="~") if ranks else literal("")


def metrics_of(rows: Rows, condition: Condition) -> Select[Any]:
    """List the metrics that what holds `condition` has on a data set meant."""
    m, meant = metrics.c, _on_dataset(rows.query)
    fitting = select(releases.c.id).select_from(rows.source).where(condition)
    return select(m.metric).distinct().where(m.release_id.in_(fitting), *meant)


def places(rows: Rows, condition: Condition, metric: str) -> Select[Any]:
    """Count the releases that hold `condition` by the data set that decides, as its JSON."""
    found = (
        select(releases.c.id, score(rows.query, metric, "place").label("place"))
        .select_from(rows.source)
        .where(condition)
        .distinct()
        .subquery("found")
    )
    return select(found.c.place, func.count(literal(1))).group_by(found.c.place)


@dataclass(frozen=True, slots=True)
class PageEnd:
    """Where a page ended: group, key, name, version order and platform of its last row."""

    group: str
    key: float | str | None
    name: str
    version_order: str
    platform: str = ""


def listing(
    rows: Rows, condition: Condition, order: SortKey, after: PageEnd | None, limit: int
) -> Select[Any]:
    """Select up to `limit` rows behind `after`: a summary and all that `PageEnd` holds."""
    c = releases.c
    keyed = (
        select(
            c.summary,
            order.group.label("group"),
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
    found = select(k.summary, k.group, k.key, k.name, k.version_order, k.platform).limit(limit)
    if after is not None:
        found = found.where(_behind(k, order, after))
    missing = case((k.key.is_(null()), 1), else_=0)
    key = k.key.desc() if order.descending else k.key.asc()
    return found.order_by(missing, k.group, key, k.name, k.version_order.desc(), k.platform)


def _behind(k: Any, order: SortKey, after: PageEnd) -> Condition:
    same = k.version_order == after.version_order
    older = or_(k.version_order < after.version_order, and_(same, k.platform > after.platform))
    tie = or_(k.name > after.name, and_(k.name == after.name, older))
    if after.key is None:
        return and_(k.key.is_(null()), tie)
    further = k.key < after.key if order.descending else k.key > after.key
    behind = or_(further, and_(k.key == after.key, tie))
    inside = and_(k.group == after.group, behind)
    return or_(k.key.is_(null()), k.group > after.group, inside)


def counting(rows: Rows, condition: Condition) -> Select[Any]:
    """Count the rows that hold `condition`."""
    return select(func.count(literal(1))).select_from(rows.source).where(condition)


def cursor(query: Query, place: PageEnd) -> str:
    """Write a place as opaque text, bound to the query it belongs to."""
    body = json.dumps(list(astuple(place))).encode()
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
    group, key, *rest = place
    return PageEnd(str(group), key, *map(str, rest))


def cursor_text(raw: bytes) -> str:
    """Spell the bytes of a cursor the one way that is accepted."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _check(query: Query, body: bytes) -> bytes:
    return hashlib.sha256(canonical(query) + b"\n" + body).digest()[:_CHECK]
