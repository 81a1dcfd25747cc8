"""Numbers as people read them. Every function is pure and says its unit."""

import math

DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_UNITS = ("B", "kB", "MB", "GB", "TB")
_SHARES = ("top", "accuracy", "f1", "precision", "recall", "macro_recall", "worst_recall", "auc")


def size(count: float) -> str:
    """Spell bytes in decimal units with three digits: 13900000 → `13.9 MB`.

    The factor is 1000, as in `max_size=4MB`.
    """
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:  # noqa: PLR2004  999.5 would print as 1000
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{significant(value)} {_UNITS[unit]}"


def significant(value: float, digits: int = 3) -> str:
    """Spell a number with `digits` significant digits and never in scientific notation.

    0.01234 → `0.0123`.
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else DASH
    exponent = int(
        f"{value:.{digits - 1}e}".partition("e")[2]
    )  # of the rounded number: 9.996 has three digits as 10.0
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def milliseconds(value: float) -> str:
    """Spell milliseconds without the unit: 3.5412 → `3.54`."""
    return significant(value)


def ratio(value: float) -> str:
    """Spell a ratio to a baseline with two decimals, three below a tenth: 0.4132 → `0.41`."""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"  # noqa: PLR2004


def percent(share: float, decimals: int = 1) -> str:
    """Spell a share of one as a percentage: 0.4461 → `44.6 %`."""
    return f"{share * 100:.{decimals}f} %"


def is_share(metric: str) -> bool:
    """Whether a metric is a share of one and reads better as a percentage, judged by its name."""
    return metric.startswith(_SHARES)


def metric(name: str, value: float) -> str:
    """Spell the value of a metric: shares as percentages, anything else with four digits."""
    return percent(value) if is_share(name) else significant(value, 4)


def interval(name: str, low: float, high: float) -> str:
    """Spell the interval of a metric: (0.436, 0.456) → `43.6 - 45.6`, with a dash."""
    if is_share(name):
        return f"{low * 100:.1f} {DASH} {high * 100:.1f}"
    return f"{significant(low, 4)} {DASH} {significant(high, 4)}"


def count(value: int) -> str:
    """Spell a count with thousands apart: 3504872 → `3,504,872`."""
    return f"{value:,}"


def short_count(value: float) -> str:
    """Spell a large count briefly: 3504872 → `3.50 M`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{significant(value / factor)} {unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Spell a duration: 125.0 → `2 min 5 s`."""
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{significant(seconds, 2)} s" if seconds else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def change(value: float) -> str:
    """Spell a relative change with its sign: -0.59 → `-59 %`, with a real minus."""
    sign = "+" if value > 0 else MINUS if value < 0 else "±"
    return f"{sign}{abs(value) * 100:.0f} %"


def points(value: float) -> str:
    """Spell a difference of two shares in percentage points: -0.012 → `-1.2`, with a real minus."""
    rounded = round(value * 100, 1)
    return f"{'+' if rounded > 0 else MINUS if rounded < 0 else '±'}{abs(rounded):.1f}"


LIMITS = {
    "max_latency_ms": "latency",
    "max_ratio": "ratio to the float baseline",
    "max_size": "file size",
    "max_size_gzip": "download size (gzip)",
}


def limit_name(limit: str) -> str:
    """Name a limit of a query: `max_size_gzip` → `download size (gzip)`, `min_top1` → `top-1`."""
    return LIMITS.get(limit) or metric_name(limit.removeprefix("min_"))


def metric_name(name: str) -> str:
    """Name a metric: `top1` → `top-1`."""
    return (
        f"top-{name[3:]}"
        if name.startswith("top") and name[3:].isdigit()
        else name.replace("_", " ")
    )


def limit_value(limit: str, value: float) -> str:
    """Spell a limit's value with its unit: (`max_size`, 4000000) → `4.00 MB`."""
    if limit == "max_latency_ms":
        return f"{value:g} ms"
    if limit == "max_ratio":
        return ratio(value)
    return size(value) if limit in LIMITS else metric(limit.removeprefix("min_"), value)
