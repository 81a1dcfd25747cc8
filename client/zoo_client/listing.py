"""Listings of artifacts as tables: what fits, and when nothing does, what almost did."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from zoo_client.output import NOTHING, bytes_text, ms_text, ratio_text, table, verdict_text
from zoo_registry.model.query import Miss, NearMiss, Query, Summary, main_metric

_MS = "max_latency_ms"


def summaries(items: Sequence[Summary], query: Query) -> Table:
    """Lay out artifacts: name, version, the metric that decides, sizes, median, ratio with its interval, verdict."""
    metric = main_metric(query, items)
    made = table("name", "version", f">{metric}", ">raw", ">gzip", ">median ms", ">ratio [95 %]", "verdict")
    for item in items:
        made.add_row(*_row(item, metric, query))
    return made


def _row(item: Summary, metric: str, query: Query) -> tuple[RenderableType, ...]:
    timing = item.timing(query.device, query.threads)
    name = Text(item.name, style="bold").append(" withdrawn" if item.yanked else "", style="red")
    score = item.metrics.get(metric)
    version = f"{item.version} ({', '.join(item.aliases)})" if item.aliases else item.version
    speed = (
        (ms_text(timing.median_ms), ratio_text(timing), verdict_text(timing))
        if timing
        else (NOTHING, NOTHING, Text("not measured", style="dim"))
    )
    return (name, version, NOTHING if score is None else f"{score:.4f}", bytes_text(item.size), bytes_text(item.size_gzip), *speed)


def near(misses: Sequence[NearMiss]) -> Table:
    """Lay out what almost fits: which limit each artifact breaks, and by how much."""
    made = table("name", "version", "limit", ">wanted", ">found", ">off by")
    for miss in misses:
        for index, broken in enumerate(miss.misses):
            head = ("", "") if index else (miss.item.name, miss.item.version)
            made.add_row(*head, *miss_cells(broken))
    return made


def miss_cells(miss: Miss) -> tuple[str, str, str, str]:
    """Spell one broken limit: its option, the value wanted, the value found, how far off."""
    found = NOTHING if miss.found is None else _value(miss.limit, miss.found)
    off = "not measured" if miss.by is None else f"{miss.by:+.1%}" if miss.limit.startswith("max") else f"{-miss.by:+.1%}"
    return _option(miss.limit), _value(miss.limit, miss.wanted), found, off


def _option(limit: str) -> str:
    return "--max-latency" if limit == _MS else f"--{limit.replace('_', '-')}"


def _value(limit: str, value: float) -> str:
    if limit == _MS:
        return f"{ms_text(value)} ms"
    return bytes_text(value) if "size" in limit else f"{value:.4g}"


def in_words(misses: Sequence[NearMiss]) -> str:
    """Spell the nearest misses in one line, for an error message."""

    def one(miss: NearMiss) -> str:
        return f"{miss.item.name} ({'; '.join('{} {}, found {}, {}'.format(*miss_cells(broken)) for broken in miss.misses)})"

    return ", ".join(one(miss) for miss in misses[:3])
