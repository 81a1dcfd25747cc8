"""Scales of a chart: where a value lies and where the ticks go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LOG_SPAN = 12.0  # from this ratio of largest to smallest on, equal factors get equal room


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps [low, high] to [start, end] in pixels, evenly or by powers."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Give the pixel of `value`, held within the scale."""
        low, high, v = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, v = math.log(low), math.log(high), math.log(v)
        return self.start + (v - low) / (high - low) * (self.end - self.start)

    def ticks(self, about: int) -> tuple[float, ...]:
        """Choose round values, roughly `about` of them."""
        return (
            _log_ticks(self.low, self.high, about)
            if self.log
            else _even_ticks(self.low, self.high, about)
        )


def fit(values: Sequence[float], start: float, end: float, *, may_log: bool = False) -> Scale:
    """Choose a scale that shows all `values` with a little air on both sides.

    `values` must not be empty.

    Powers are used when `may_log`, everything is positive, and the largest is a dozen times the
    smallest.
    """
    low, high = min(values), max(values)
    if may_log and low > 0 and high / low >= _LOG_SPAN:
        return Scale(low / 1.25, high * 1.25, start, end, log=True)
    air = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    bottom = max(0.0, low - air) if low >= 0 else low - air
    return Scale(bottom, high + air, start, end)


def _even_ticks(low: float, high: float, about: int) -> tuple[float, ...]:
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def _log_ticks(low: float, high: float, about: int) -> tuple[float, ...]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = tuple(f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high)
        if len(found) <= about + 2:
            return found
    return found


def tick_text(value: float) -> str:
    """Spell a tick without trailing zeros: 0.50 → `0.5`, 2000 → `2,000`."""
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.3g}"  # noqa: PLR2004
