"""What the comparison page shows: artifacts side by side, differences to the first. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from zoo_registry.model import formatting
from zoo_registry.model.dataset import DataSet
from zoo_registry.model.summary import Summary, Timing
from zoo_registry.model.timing import surely_faster
from zoo_registry.web import speeds, urls

_Spell = Callable[[float], str]
_Value = float | None


@dataclass(frozen=True, slots=True)
class Head:
    """One column."""

    name: str
    version: str
    href: str
    pull: str
    remove: str
    yanked: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One value; `note` is the difference to the first column."""

    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One property over all columns."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class PropertyGroup:
    """Properties that belong together."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole page."""

    heads: tuple[Head, ...]
    groups: tuple[PropertyGroup, ...]


def comparison(items: Sequence[Summary]) -> Comparison:
    """Put releases side by side, in the order given."""
    if not items:
        return Comparison((), ())
    groups = (_identity(items), _quality(items), _sizes(items), *_latencies(items))
    return Comparison(_heads(items), tuple(group for group in groups if group.lines))


def _heads(items: Sequence[Summary]) -> tuple[Head, ...]:
    refs = tuple(("ref", f"{item.name}@{item.version}") for item in items)
    return tuple(
        Head(
            name=item.name,
            version=item.version,
            href=urls.artifact(item.name, item.version),
            pull=urls.pull_command(item.name, item.version),
            remove=(
                urls.address("/compare", refs[:index] + refs[index + 1 :]) if len(items) > 1 else ""
            ),
            yanked=item.yanked,
        )
        for index, item in enumerate(items)
    )


def _identity(items: Sequence[Summary]) -> PropertyGroup:
    def line(label: str, spell: Callable[[Summary], str]) -> Line:
        return Line(label, tuple(Cell(spell(item) or formatting.DASH) for item in items))

    lines = (
        line("recipe", lambda item: " → ".join(item.techniques) or "float"),
        line("dataset", lambda item: item.dataset),
        line("licence", lambda item: item.license),
    )
    return PropertyGroup("What it is", lines)


def _quality(items: Sequence[Summary]) -> PropertyGroup:
    """One line for each metric and data set: values of two lines do not compare."""
    found = {(one.metric, one.dataset) for item in items for one in item.scored}
    several = len({where for _, where in found}) > 1
    return PropertyGroup(
        "Quality",
        tuple(
            _metric(name, where, items, named=several)
            for name, where in sorted(found, key=lambda one: (one[1].order, one[0]))
        ),
    )


def _metric(name: str, where: DataSet, items: Sequence[Summary], *, named: bool) -> Line:
    def note(value: float, first: float) -> str:
        return (
            f"{formatting.points(value - first)} pt"
            if formatting.is_share(name)
            else formatting.significant(value - first)
        )

    values = [
        next((s.value for s in item.scored if (s.metric, s.dataset) == (name, where)), None)
        for item in items
    ]
    label = formatting.metric_name(name) + (f" on {where.words}" if named else "")
    # Error rates (WER, CER, perplexity) are better small; without knowing the metric no column is
    # called best.
    return _line(
        label,
        values,
        lambda value: formatting.metric(name, value),
        note,
        best=max if formatting.is_share(name) else None,
    )


def _sizes(items: Sequence[Summary]) -> PropertyGroup:
    def times(value: float, first: float) -> str:
        return f"{formatting.TIMES} {formatting.ratio(value / first)}" if first else ""

    lines = (
        _line("file", [float(item.size) for item in items], formatting.size, times, best=min),
        _line(
            "download, gzip",
            [float(item.size_gzip) for item in items],
            formatting.size,
            times,
            best=min,
        ),
        _line(
            "parameters", [float(item.parameters) for item in items], formatting.short_count, times
        ),
        _line("multiply-adds", [float(item.macs) for item in items], formatting.short_count, times),
        _line(
            "zeros",
            [item.sparsity for item in items],
            formatting.percent,
            lambda _value, _first: "",
        ),
    )
    return PropertyGroup("Size", lines)


def _latencies(items: Sequence[Summary]) -> tuple[PropertyGroup, ...]:
    places = sorted(
        {(one.device, one.platform, one.threads, one.told) for i in items for one in i.timings}
    )
    return tuple(_latency(items, *place) for place in places)


def _latency(
    items: Sequence[Summary], device: str, platform: str, threads: int, told: str
) -> PropertyGroup:
    timings = [item.timing(device, threads, platform) for item in items]
    medians = [timing.median_ms if timing else None for timing in timings]
    times = _line(
        "median",
        medians,
        lambda value: f"{formatting.milliseconds(value)} ms",
        lambda v, first: f"{formatting.TIMES} {formatting.ratio(v / first)}",
    )
    times = Line(times.label, tuple(map(_crowned, times.cells, _surely_first(timings))))
    ratios = Line("ratio to float", tuple(_ratio(timing) for timing in timings))
    verdicts = Line(
        "verdict",
        tuple(
            Cell(
                timing.verdict if timing else formatting.DASH,
                "noisy" if timing and timing.noisy else "",
            )
            for timing in timings
        ),
    )
    return PropertyGroup(
        f"Latency on {device}, {told}, {threads} thread{'s' if threads > 1 else ''}",
        (times, ratios, verdicts),
    )


def _ratio(timing: Timing | None) -> Cell:
    if timing is None:
        return Cell(formatting.DASH)
    return Cell(speeds.ratio(timing), speeds.interval(timing))


def _surely_first(timings: Sequence[Timing | None]) -> tuple[bool, ...]:
    """Mark the one that is surely faster than every other; nothing is the best by noise."""
    known = [one for one in timings if one is not None]
    return tuple(
        one is not None
        and len(known) > 1
        and all(one is other or surely_faster(one, other) for other in known)
        for one in timings
    )


def _crowned(cell: Cell, best: bool) -> Cell:
    return replace(cell, best=best)


def _line(
    label: str,
    values: Sequence[_Value],
    spell: _Spell,
    note: Callable[[float, float], str],
    *,
    best: Callable[[Sequence[float]], float] | None = None,
) -> Line:
    known = [value for value in values if value is not None]
    winner = best(known) if best and len(set(known)) > 1 else None
    first = values[0]
    return Line(
        label,
        tuple(
            _cell(value, spell, note, None if index == 0 else first, winner)
            for index, value in enumerate(values)
        ),
    )


def _cell(
    value: _Value, spell: _Spell, note: Callable[[float, float], str], first: _Value, winner: _Value
) -> Cell:
    if value is None:
        return Cell(formatting.DASH)
    return Cell(spell(value), "" if first is None else note(value, first), value == winner)
