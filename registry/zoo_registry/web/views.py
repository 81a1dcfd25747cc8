"""What the list page shows, decided from an answer of the registry. Pure: no template, no request, no store."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo_registry.model.query import Miss, NearMiss, Page, ParetoPoint, Query, Summary, Timing, main_metric
from zoo_registry.web import charts, form, urls, words
from zoo_registry.web.scales import Scale
from zoo_registry.web.urls import Params

DESCENDING_FIRST = frozenset({"newest"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result table. `aria` is the aria-sort value; `href` sorts by it, the other way when it is sorted already."""

    label: str
    href: str = ""
    aria: str = ""
    note: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """One timing as text, with the ratio drawn on the table's common scale."""

    device: str
    threads: int
    median: str
    p95: str
    ratio: str
    interval: str
    bar: Markup
    verdict: str
    tone: str
    noisy: bool
    sparse: str


@dataclass(frozen=True, slots=True)
class Row:
    """One artifact of the result table."""

    name: str
    version: str
    href: str
    description: str
    techniques: tuple[str, ...]
    metric: str
    interval: str
    size: str
    size_gzip: str
    speed: Speed | None
    yanked: bool
    aliases: tuple[str, ...]
    ref: str


@dataclass(frozen=True, slots=True)
class MissText:
    """One broken limit in words, and the address of the search with that limit relaxed (empty when nothing was measured)."""

    what: str
    found: str
    by: str
    relax: str
    relaxed_to: str


@dataclass(frozen=True, slots=True)
class NearRow:
    """One artifact that almost fits."""

    row: Row
    misses: tuple[MissText, ...]


TONES = {"faster": "good", "slower": "bad", "within noise": "even", "baseline": "even"}


def speed(timing: Timing, scale: Scale) -> Speed:
    """Spell one timing."""
    low, high = timing.ratio_ci95
    return Speed(
        device=timing.device,
        threads=timing.threads,
        median=words.milliseconds(timing.median_ms),
        p95=words.milliseconds(timing.p95_ms),
        ratio=words.ratio(timing.ratio),
        interval=f"{words.ratio(low)} {words.DASH} {words.ratio(high)}",
        bar=charts.interval_bar(scale, timing.ratio, low, high, reference=1.0),
        verdict=timing.verdict,
        tone=TONES.get(timing.verdict, "even"),
        noisy=timing.noisy,
        sparse=timing.sparse_path,
    )


def ratio_scale(timings: Sequence[Timing], width: int = 110) -> Scale:
    """Choose the scale on which all ratios of a table are drawn."""
    return charts.interval_scale([end for timing in timings for end in (*timing.ratio_ci95, timing.ratio)], 1.0, width)


def rows(items: Sequence[Summary], query: Query, metric: str) -> tuple[Row, ...]:
    """Spell the rows of a table whose ratios share one scale."""
    timings = [timing for item in items if (timing := item.timing(query.device, query.threads))]
    scale = ratio_scale(timings)
    return tuple(_row(item, query, metric, scale) for item in items)


def _row(item: Summary, query: Query, metric: str, scale: Scale) -> Row:
    timing = item.timing(query.device, query.threads)
    value, ends = item.metrics.get(metric), item.metrics_ci95.get(metric)
    return Row(
        name=item.name,
        version=item.version,
        href=urls.artifact(item.name, item.version),
        description=item.description,
        techniques=item.techniques,
        metric="" if value is None else words.metric(metric, value),
        interval="" if ends is None else words.interval(metric, *ends),
        size=words.size(item.size),
        size_gzip=words.size(item.size_gzip),
        speed=speed(timing, scale) if timing else None,
        yanked=item.yanked,
        aliases=item.aliases,
        ref=f"{item.name}@{item.version}",
    )


def columns(params: Params, query: Query, metric: str) -> tuple[Column, ...]:
    """Give the headers of the result table; each that can sort is a link."""
    where = f"on {query.device}" if query.device else "fastest device"
    return (
        _sortable("Artifact", "name", params, query),
        Column("Techniques"),
        _sortable(words.metric_name(metric), metric, params, query, note="95 % interval", number=True),
        _sortable("Size", "size", params, query, note="raw", number=True),
        _sortable("Download", "size_gzip", params, query, note="gzip", number=True),
        _sortable("Latency", "latency", params, query, note=f"median ms, {where}", number=True),
        _sortable("Ratio", "ratio", params, query, note="to the float baseline, 95 % interval"),
        Column("Verdict"),
    )


def _sortable(label: str, key: str, params: Params, query: Query, *, note: str = "", number: bool = False) -> Column:
    known = {"name", "size", "size_gzip", "latency", "ratio", "newest"}
    first, second = (key, f"-{key}") if key in known - DESCENDING_FIRST else (f"-{key}", key)
    aria = {key: "ascending", f"-{key}": "descending"}.get(query.sort, "")
    target = second if query.sort == first else first
    return Column(label, urls.address("/", urls.changed(params, {"sort": target})), aria, note, number)


def near_rows(near: Sequence[NearMiss], params: Params, query: Query, metric: str) -> tuple[NearRow, ...]:
    """Spell the near misses, each with the change of the budget that would let it in."""
    table = rows([miss.item for miss in near], query, metric)
    return tuple(NearRow(row, tuple(_miss(miss, params) for miss in entry.misses)) for row, entry in zip(table, near, strict=True))


def _miss(miss: Miss, params: Params) -> MissText:
    what, wanted = words.limit_name(miss.limit), words.limit_value(miss.limit, miss.wanted)
    if miss.found is None:
        return MissText(what, f"{what} was not measured", "", urls.address("/", urls.changed(params, {miss.limit: None})), "any")
    over = "under" if miss.limit.startswith("min_") else "over"
    enough = _enough(miss)
    return MissText(
        what=what,
        found=words.limit_value(miss.limit, miss.found),
        by=f"{_by(miss.by)} {over} {wanted}",
        relax=urls.address("/", urls.changed(params, {miss.limit: enough})),
        relaxed_to=words.limit_value(miss.limit, float(enough)),
    )


def _by(share: float | None) -> str:
    percent = (share or 0.0) * 100
    return f"{percent:.0f} %" if percent >= 10 else f"{words.significant(percent, 2)} %"  # noqa: PLR2004  two digits are enough


def _enough(miss: Miss) -> str:
    """Round the found value away from the limit, to three digits, so that the relaxed search does let it in."""
    found = miss.found or 0.0
    if miss.limit in {"max_size", "max_size_gzip"}:
        return str(int(found))
    text = words.significant(found, 4)
    step = 10.0 ** -len(text.partition(".")[2])
    low = miss.limit.startswith("min_")
    if (low and float(text) > found) or (not low and float(text) < found):
        text = words.significant(found + (-step if low else step), 4)
    return text


def front(found: Sequence[ParetoPoint], query: Query, metric: str, chosen: Summary | None) -> tuple[Markup, Markup]:
    """Draw accuracy over latency twice, wide and narrow; empty when nothing was measured."""
    dots = [_dot(point, query, metric, chosen) for point in found]
    share = words.is_share(metric)
    where = f"on {query.device}" if query.device else "fastest device"
    x = charts.Axis(f"median latency, ms, {where}", limit=query.max_latency_ms, may_log=True)
    y = charts.Axis(
        words.metric_name(metric) + (", %" if share else ""), limit=query.min_metrics.get(metric), factor=100.0 if share else 1.0
    )
    return (
        charts.scatter(dots, x, y, charts.Frame(680, 300, "front-wide")),
        charts.scatter(dots, x, y, charts.Frame(360, 300, "front-narrow")),
    )


def _dot(point: ParetoPoint, query: Query, metric: str, chosen: Summary | None) -> charts.Dot:
    item = point.item
    is_chosen = chosen is not None and (item.name, item.version) == (chosen.name, chosen.version)
    timing = item.timing(query.device, query.threads)
    device = f" on {timing.device}" if timing else ""
    noise = ", noisy" if timing and timing.noisy else ""
    return charts.Dot(
        x=point.x,
        y=point.y,
        label=item.variant if query.model else item.name,
        note=f"{item.name} {item.version}: {words.metric(metric, point.y)}, {words.milliseconds(point.x)} ms{device}{noise}",
        href=urls.artifact(item.name, item.version),
        kind="chosen" if is_chosen else "front" if point.on_front else "beaten",
        bar=item.metrics_ci95.get(metric),
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything the list page shows of one answer."""

    metric: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    near: tuple[NearRow, ...]
    next_href: str
    chips: tuple[form.Chip, ...]
    search_command: str
    params: Params


def listing(page: Page, params: Params, query: Query) -> Listing:
    """Turn one page of answers into what is shown."""
    items = [*page.items, *(near.item for near in page.near_misses)]
    metric = main_metric(query, items)
    return Listing(
        metric=metric,
        columns=columns(params, query, metric),
        rows=rows(page.items, query, metric),
        near=near_rows(page.near_misses, params, query, metric),
        next_href=urls.address("/", (*urls.changed(params, {}), ("cursor", page.next_cursor))) if page.next_cursor else "",
        chips=form.chips(params, query),
        search_command=urls.search_command(params),
        params=params,
    )
