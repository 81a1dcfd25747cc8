"""One timing as pages show it: text, and its ratio drawn on a scale that a table shares. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo_registry.model import formatting
from zoo_registry.model.evaluate import platforms
from zoo_registry.model.summary import Summary, Timing
from zoo_registry.web import charts
from zoo_registry.web.scales import Scale

_COLUMNS = 3
"""Platforms beside each other in the comparison of variants."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One timing as text, with the ratio drawn on the table's common scale."""

    device: str
    told: str
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


TONES = {"faster": "good", "slower": "bad", "within noise": "even", "baseline": "even"}


def speed(timing: Timing, scale: Scale) -> Speed:
    """Spell one timing."""
    low, high = timing.ratio_ci95
    return Speed(
        device=timing.device,
        told=timing.told,
        threads=timing.threads,
        median=formatting.milliseconds(timing.median_ms),
        p95=formatting.milliseconds(timing.p95_ms),
        ratio=ratio(timing),
        interval=interval(timing),
        bar=charts.interval_bar(scale, timing.ratio, low, high, reference=1.0),
        verdict=timing.verdict,
        tone=TONES.get(timing.verdict, "even"),
        noisy=timing.noisy,
        sparse=timing.sparse_path,
    )


def ratio(timing: Timing) -> str:
    """Spell a ratio; the float file has none to itself."""
    return "float" if timing.is_baseline else formatting.ratio(timing.ratio)


def interval(timing: Timing) -> str:
    """Spell the interval of a ratio; of the float file, its control: one process by another."""
    if timing.is_baseline:
        return f"A/A {formatting.ratio(timing.aa_ratio)}"
    low, high = timing.ratio_ci95
    return f"{formatting.ratio(low)} {formatting.DASH} {formatting.ratio(high)}"


def ratio_scale(timings: Sequence[Timing], width: int = 110) -> Scale:
    """Choose the scale on which all ratios of a table are drawn."""
    return charts.interval_scale(
        [end for timing in timings for end in (*timing.ratio_ci95, timing.ratio)], 1.0, width
    )


def speeds(items: Sequence[Summary], platform: str) -> tuple[Speed | None, ...]:
    """Spell the timings of one platform over several artifacts, on one scale.

    None where it was not measured.
    """
    timings = [item.timing(None, None, platform) for item in items]
    scale = ratio_scale([timing for timing in timings if timing], 80)
    return tuple(speed(timing, scale) if timing else None for timing in timings)


def one_place(shown: Iterable[Speed | None]) -> str:
    """Spell the platform of all of them; empty where there are several, or none."""
    found = {speed.told for speed in shown if speed}
    return found.pop() if len(found) == 1 else ""


def places(summary: Summary, family: Sequence[Summary]) -> tuple[str, ...]:
    """Choose the platforms to compare variants on, those of this release first.

    Latencies of two platforms never share a column.
    """
    return tuple(dict.fromkeys([*platforms([summary]), *platforms(family)]))[:_COLUMNS]
