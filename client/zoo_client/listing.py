"""Listings of artifacts as tables: what fits, and when nothing does, what almost did."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from zoo_client.output import NOTHING, ratio_text, table, verdict_text
from zoo_registry.model import formatting
from zoo_registry.model.answers import Compared, NearMiss
from zoo_registry.model.evaluate import main_metric, platforms
from zoo_registry.model.query import Miss, Query
from zoo_registry.model.summary import Summary

T = TypeVar("T")
NARROW = 112
_MS = "max_latency_ms"


def by_platform(items: Sequence[Summary], query: Query, width: int) -> Iterator[RenderableType]:
    """Lay out a table for each platform, under its name.

    Where times do not decide it is one table, with the times of the platform on which most of the
    artifacts were measured.
    """
    usual = next(iter(platforms(items)), "")
    rows = items if query.by_platform else [item.on(usual) for item in items]
    for key in dict.fromkeys(row.platform for row in rows):
        group = [row for row in rows if row.platform == key]
        timing = next((found for row in group if (found := query.timing(row))), None)
        if timing is not None:
            yield Text.assemble("times on ", (timing.told, "bold"), (f"  {key}", "dim"))
        yield summaries(group, query, width)


def summaries(items: Sequence[Summary], query: Query, width: int) -> Table:
    """Lay out artifacts: name, version, the metric that decides, sizes, median.

    Ratio with its interval, verdict. They speak of one platform.

    On a terminal narrower than 112 columns aliases and the raw size are left out, and the verdict
    becomes the colour of the ratio.
    """
    metric, narrow = main_metric(query, items), width < NARROW
    devices = {timing.device for item in items if (timing := query.timing(item))}
    where = devices.pop() if len(devices) == 1 else ""
    median = "\n".join(filter(None, (">median ms", where)))
    columns = ("name", "version", f">{metric}", ">raw", ">gzip", median, ">ratio [95 %]", "verdict")
    made = table(*(_without_wide(columns) if narrow else columns))
    for item in items:
        cells = _row(item, metric, query, named=not where)
        made.add_row(*(_narrowed(cells) if narrow else cells))
    return made


def _row(item: Summary, metric: str, query: Query, *, named: bool) -> tuple[Text, ...]:
    timing = query.timing(item)
    name = Text(item.name, style="bold").append(" withdrawn" if item.yanked else "", style="red")
    scored = query.score(item, metric)
    score = None if scored is None else scored.value
    version = f"{item.version} ({', '.join(item.aliases)})" if item.aliases else item.version
    numbers = (
        NOTHING if score is None else f"{score:.4f}",
        formatting.size(item.size),
        formatting.size(item.size_gzip),
    )
    if timing is None:
        return (
            name,
            *map(Text, (version, *numbers, NOTHING, NOTHING)),
            Text("not measured", style="dim"),
        )
    median = f"{formatting.milliseconds(timing.median_ms)}{f' {timing.device}' if named else ''}"
    return (name, *map(Text, (version, *numbers, median, ratio_text(timing))), verdict_text(timing))


def _without_wide(cells: Sequence[T]) -> tuple[T, ...]:
    name, version, metric, _, packed, median, ratio, _ = cells
    return (name, version, metric, packed, median, ratio)


def _narrowed(cells: Sequence[Text]) -> tuple[RenderableType, ...]:
    name, version, *numbers, ratio = _without_wide(cells)
    return (
        name,
        Text(version.plain.partition(" ")[0]),
        *numbers,
        Text(ratio.plain, style=cells[-1].style),
    )


def apart(datasets: Sequence[Compared]) -> str:
    """Say that one list holds metrics of several data sets, and how to have one; else nothing."""
    known = [one for one in datasets if one.dataset is not None]
    if len(known) < 2:  # noqa: PLR2004 - one compares with itself
        return ""
    told = ", ".join(f"{one.asked} ({one.artifacts})" for one in known)
    return (
        f"{known[0].metric} of {len(known)} data sets does not compare: {told};"
        f" --dataset {known[0].asked} shows one"
    )


def near(misses: Sequence[NearMiss]) -> Table:
    """Lay out what almost fits: which limit each artifact breaks, and by how much."""
    made = table("name", "limit", ">wanted", ">found", ">off by")
    for miss in misses:
        where = f" on {miss.item.platform}" if miss.item.platform else ""
        head = Text.assemble((miss.item.name, "bold"), (f"@{miss.item.version}{where}", "dim"))
        for index, broken in enumerate(miss.misses):
            made.add_row("" if index else head, *miss_cells(broken))
    return made


def miss_cells(miss: Miss) -> tuple[str, str, str, str]:
    """Spell one broken limit: its option, the value wanted, the value found, how far off."""
    found = NOTHING if miss.found is None else _value(miss.limit, miss.found)
    off = (
        "not measured"
        if miss.by is None
        else f"{miss.by:+.1%}"
        if miss.limit.startswith("max")
        else f"{-miss.by:+.1%}"
    )
    option = _option(miss.limit)
    if miss.dataset is not None:
        option += f" on {miss.dataset.words}"
    return option, _value(miss.limit, miss.wanted), found, off


def _option(limit: str) -> str:
    return "--max-latency" if limit == _MS else f"--{limit.replace('_', '-')}"


def _value(limit: str, value: float) -> str:
    if limit == _MS:
        return f"{formatting.milliseconds(value)} ms"
    return formatting.size(value) if "size" in limit else f"{value:.4g}"


def in_words(misses: Sequence[NearMiss]) -> str:
    """Spell the nearest misses in one line, for an error message."""

    def one(miss: NearMiss) -> str:
        cells = ("{} {}, found {}, {}".format(*miss_cells(broken)) for broken in miss.misses)
        return f"{miss.item.name} ({'; '.join(cells)})"

    return ", ".join(one(miss) for miss in misses[:3])
