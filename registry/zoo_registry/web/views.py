"""What the list page shows, decided from an answer of the registry.

Pure: no template, no request, no store.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo_registry.model import formatting
from zoo_registry.model.answers import (
    NearMiss,
    OnPlatform,
    Page,
    ParetoPoint,
    Resolution,
    Unmeasured,
)
from zoo_registry.model.evaluate import main_metric, platforms
from zoo_registry.model.platform import told
from zoo_registry.model.query import Miss, Query
from zoo_registry.model.summary import Summary
from zoo_registry.web import charts, data_sets, form, urls
from zoo_registry.web.scales import Scale
from zoo_registry.web.speeds import Speed, one_place, ratio_scale, speed
from zoo_registry.web.urls import Params

_SMALL_FIRST = frozenset(
    {"name", "latency", "ratio", "size", "size_gzip"}
)  # all else is a metric: large first


@dataclass(frozen=True, slots=True)
class ListingColumn:
    """One column of the result table.

    `aria` is the aria-sort value; `href` sorts by it, the other way when it is sorted already.
    """

    label: str
    href: str = ""
    aria: str = ""
    note: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One artifact of the result table."""

    name: str
    version: str
    href: str
    description: str
    techniques: tuple[str, ...]
    metric: str
    interval: str
    dataset: str
    size: str
    size_gzip: str
    speed: Speed | None
    yanked: bool
    aliases: tuple[str, ...]
    ref: str


@dataclass(frozen=True, slots=True)
class MissText:
    """One broken limit in words; `by` is empty when nothing was measured."""

    what: str
    found: str
    by: str


@dataclass(frozen=True, slots=True)
class NearRow:
    """One artifact that almost fits.

    `widen` is the address of the search whose budget is just wide enough for it.
    """

    row: ListingRow
    misses: tuple[MissText, ...]
    widen: str


def rows(items: Sequence[Summary], query: Query, metric: str) -> tuple[ListingRow, ...]:
    """Spell the rows of a table whose ratios share one scale.

    Where times do not decide, all of them are those of one platform.
    """
    if not query.by_platform:
        usual = usual_platform(items) or ""
        items = [item.on(usual) for item in items]
    timings = [timing for item in items if (timing := query.timing(item))]
    scale = ratio_scale(timings)
    return tuple(_row(item, query, metric, scale) for item in items)


def _row(item: Summary, query: Query, metric: str, scale: Scale) -> ListingRow:
    timing = query.timing(item)
    score = query.score(item, metric)
    value, ends = (None, None) if score is None else (score.value, score.ci95)
    return ListingRow(
        name=item.name,
        version=item.version,
        href=urls.artifact(item.name, item.version),
        description=item.description,
        techniques=item.techniques,
        metric="" if value is None else formatting.metric(metric, value),
        interval="" if ends is None else formatting.interval(metric, *ends),
        dataset="" if score is None else score.dataset.words,
        size=formatting.size(item.size),
        size_gzip=formatting.size(item.size_gzip),
        speed=speed(timing, scale) if timing else None,
        yanked=item.yanked,
        aliases=item.aliases,
        ref=f"{item.name}@{item.version}",
    )


def columns(
    params: Params, query: Query, metric: str, rows: Sequence[ListingRow] = ()
) -> tuple[ListingColumn, ...]:
    """Give the headers of the result table; each that can sort is a link."""
    where = "on " + (one_place(row.speed for row in rows) or "the machine named")
    return (
        _sortable("Artifact", "name", params, query),
        ListingColumn("Techniques"),
        _sortable(
            formatting.metric_name(metric), metric, params, query, note="95 % interval", number=True
        ),
        _sortable("Size", "size", params, query, note="raw", number=True),
        _sortable("Download", "size_gzip", params, query, note="gzip", number=True),
        _sortable("Latency", "latency", params, query, note=f"median ms, {where}", number=True),
        _sortable("Ratio", "ratio", params, query, note="to float, 95 % interval"),
        ListingColumn("Verdict"),
    )


def _sortable(
    label: str, key: str, params: Params, query: Query, *, note: str = "", number: bool = False
) -> ListingColumn:
    first, second = (key, f"-{key}") if key in _SMALL_FIRST else (f"-{key}", key)
    aria = {key: "ascending", f"-{key}": "descending"}.get(query.sort, "")
    target = second if query.sort == first else first
    return ListingColumn(
        label, urls.address("/", urls.changed(params, {"sort": target})), aria, note, number
    )


def near_rows(
    near: Sequence[NearMiss], params: Params, query: Query, metric: str
) -> tuple[NearRow, ...]:
    """Spell the near misses, each with the change of the budget that would let it in."""
    table = rows([miss.item for miss in near], query, metric)
    return tuple(
        NearRow(row, tuple(_miss(miss) for miss in entry.misses), _widen(entry, params))
        for row, entry in zip(table, near, strict=True)
    )


def _widen(near: NearMiss, params: Params) -> str:
    enough = {miss.limit: None if miss.found is None else _enough(miss) for miss in near.misses}
    return urls.address("/", urls.changed(params, enough))


def _miss(miss: Miss) -> MissText:
    what = formatting.limit_name(miss.limit)
    if miss.found is None:
        return MissText(what, "not measured", "")
    over = "under" if miss.limit.startswith("min_") else "over"
    if miss.dataset is not None:
        what = f"{what} on {miss.dataset.words}"
    return MissText(
        what,
        formatting.limit_value(miss.limit, miss.found),
        f"{_by(miss.by)} {over} {formatting.limit_value(miss.limit, miss.wanted)}",
    )


def _by(share: float | None) -> str:
    percent = (share or 0.0) * 100
    # two digits are enough
    return f"{percent:.0f} %" if percent >= 10 else f"{formatting.significant(percent, 2)} %"  # noqa: PLR2004


def _enough(miss: Miss) -> str:
    """Round the found value away from the limit, to three digits.

    The relaxed search then does let it in.
    """
    found = miss.found or 0.0
    if miss.limit in {"max_size", "max_size_gzip"}:
        return str(int(found))
    text = formatting.significant(found, 4)
    step = 10.0 ** -len(text.partition(".")[2])
    low = miss.limit.startswith("min_")
    if (low and float(text) > found) or (not low and float(text) < found):
        text = formatting.significant(found + (-step if low else step), 4)
    return text


def usual_platform(items: Sequence[Summary]) -> str | None:
    """Name the platform most artifacts were measured on.

    A chart shows one, because latencies of two do not compare.
    """
    return next(iter(platforms(items)), None)


def front(
    found: Sequence[ParetoPoint], query: Query, metric: str, chosen: Summary | None
) -> tuple[Markup, Markup]:
    """Draw accuracy over latency twice, wide and narrow; empty when nothing was measured.

    `query` names the platform.
    """
    alone = len({point.item.model for point in found}) == 1
    dots = [_dot(point, metric, chosen, alone=alone) for point in found]
    share = formatting.is_share(metric)
    where = f" on {told(query.platform)}" if query.platform else ""
    x = charts.Axis(f"median latency{where}, ms", limit=query.max_latency_ms, may_log=True)
    y = charts.Axis(
        formatting.metric_name(metric) + (", %" if share else ""),
        limit=query.min_metrics.get(metric),
        factor=100.0 if share else 1.0,
    )
    return (
        charts.scatter(dots, x, y, charts.Frame(680, 300, "front-wide")),
        charts.scatter(dots, x, y, charts.Frame(360, 300, "front-narrow")),
    )


_SAID = {"band": ", cannot be told from the front", "noisy": ", noisy sessions only: not ranked"}


def _dot(point: ParetoPoint, metric: str, chosen: Summary | None, *, alone: bool) -> charts.Dot:
    item = point.item
    is_chosen = chosen is not None and (item.name, item.version) == (chosen.name, chosen.version)
    return charts.Dot(
        x=point.x,
        y=point.y,
        label=item.variant if alone else item.name,
        note=(
            f"{item.name} {item.version}: {formatting.metric(metric, point.y)},"
            f" {formatting.milliseconds(point.x)} ms{_SAID.get(point.mark or '', '')}"
        ),
        href=urls.artifact(item.name, item.version),
        kind="chosen" if is_chosen else point.mark or ("front" if point.on_front else "beaten"),
        bar=item.metrics_ci95.get(metric),
        across=point.interval,
        leads=point.on_front,
    )


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is best on another platform: its name, and the artifact with why, or that none fits."""

    told: str
    name: str
    href: str
    why: str


@dataclass(frozen=True, slots=True)
class BestFit:
    """The artifact that answers best, why, and what comes next."""

    row: ListingRow
    why: str
    pull: str
    download: str
    next: tuple[ListingRow, ...]
    elsewhere: tuple[Elsewhere, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the registry says to one question. `points` are of the platform `drawn_on`."""

    page: Page
    resolution: Resolution
    points: tuple[ParetoPoint, ...]
    drawn_on: str | None = None


NOTHING = Answers(Page(items=()), Resolution(chosen=None, why=""), ())
"""The answers to a question that was not understood."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything the list page shows of one answer."""

    metric: str
    empty: bool
    columns: tuple[ListingColumn, ...]
    rows: tuple[ListingRow, ...]
    near: tuple[NearRow, ...]
    choice: BestFit | None
    front: tuple[Markup, Markup]
    drawn_on: str
    drawn_of: str
    datasets: tuple[data_sets.DataSetLink, ...]
    unmeasured: Unmeasured | None
    next_href: str
    chips: tuple[form.Chip, ...]
    search_command: str
    rest_path: str


def listing(answers: Answers, params: Params, query: Query) -> Listing:
    """Turn the answers to one question into what is shown."""
    page = answers.page
    metric = main_metric(query, page.candidates)
    shown = rows(page.items, query, metric)
    return Listing(
        metric=metric,
        empty=not (params or page.candidates),
        columns=columns(params, query, metric, shown),
        rows=shown,
        near=near_rows(page.near_misses, params, query, metric),
        choice=_choice(answers.resolution, query, metric),
        front=front(
            answers.points,
            query.model_copy(update={"platform": answers.drawn_on}),
            metric,
            answers.resolution.chosen,
        ),
        drawn_on=told(answers.drawn_on) if answers.drawn_on else "",
        drawn_of=next((p.dataset.words for p in answers.points if p.dataset), ""),
        datasets=data_sets.links(page, params),
        unmeasured=page.unmeasured,
        next_href=(
            urls.address("/", (*urls.changed(params, {}), ("cursor", page.next_cursor)))
            if page.next_cursor
            else ""
        ),
        chips=form.chips(params, query),
        search_command=urls.search_command(params),
        rest_path=urls.address("/v1/artifacts", params),
    )


def _choice(resolution: Resolution, query: Query, metric: str) -> BestFit | None:
    chosen = resolution.chosen
    if chosen is None:
        return None
    best, *others = rows([chosen, *resolution.alternatives], query, metric)
    return BestFit(
        row=best,
        why=resolution.why,
        pull=urls.pull_command(chosen.name, chosen.version),
        download=f"/v1/blobs/{chosen.file_sha256}",
        next=tuple(others[:3]),
        elsewhere=tuple(map(_elsewhere, resolution.elsewhere)),
    )


def _elsewhere(other: OnPlatform) -> Elsewhere:
    chosen = other.chosen
    if chosen is None:
        return Elsewhere(told(other.platform), "", "", other.why)
    return Elsewhere(
        told(other.platform), chosen.name, urls.artifact(chosen.name, chosen.version), other.why
    )
