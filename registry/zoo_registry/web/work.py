"""Where the work of a file goes, operator type by operator type.

Pure, from a record's structure and measurements.

Multiplications and bytes are read from the file, so they are there for every device; measured times
are shown where a runtime told.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from zoo_registry.model import formatting
from zoo_registry.model.record import Measurement, OperatorCost, Record, Structure, shorten

MOST = 12
"""More kinds than this: the smallest are drawn as one."""

HEAVIEST = 10
"""How many single operators the table lists."""

_ROW, _BAR, _GAP, _TOP = 40, 11, 3, 6
_LETTER, _NAME_LENGTH, _WIDTH, _TEXT = 7.8, 28, 760, 64
_SMALL = 0.001


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a row: its share of the whole (0 to 1), what it is, and in words.

    `hollow` is the part of it that sparse kernels skip.
    """

    tone: str
    share: float
    said: str
    hollow: float = 0.0


@dataclass(frozen=True, slots=True)
class OperatorKind:
    """One operator type with its bars, heaviest type first."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Heavy:
    """One operator of the table, spelled."""

    cost: OperatorCost
    share: str
    macs: str
    weights: str
    activations: str


@dataclass(frozen=True, slots=True)
class ProfileChart:
    """A measured profile: on which device, and its chart."""

    title: str
    chart: Markup


@dataclass(frozen=True, slots=True)
class OperatorWork:
    """What the page shows: a chart of costs, the heaviest operators, sentences.

    Measured profiles.
    """

    chart: Markup
    heaviest: tuple[Heavy, ...]
    about: str
    skipped: str
    profiles: tuple[ProfileChart, ...]


def work(record: Record, measurements: Sequence[Measurement]) -> OperatorWork | None:
    """Spell where the work goes; None for records from before costs were read."""
    costs = record.structure.costs
    if not costs:
        return None
    return OperatorWork(
        chart=_chart(
            kinds_of(costs), "share of multiplications and of bytes moved, by operator type"
        ),
        heaviest=_heaviest(costs),
        about=_about(record.structure),
        skipped=_skipped(record.structure),
        profiles=tuple(_profile(one) for one in measurements if one.profile),
    )


def kinds_of(costs: Sequence[OperatorCost]) -> tuple[OperatorKind, ...]:
    """Sum up by operator type."""
    groups: dict[str, list[OperatorCost]] = defaultdict(list)
    for cost in costs:
        groups[cost.operator].append(cost)
    all_macs, all_bytes = max(1, sum(one.macs for one in costs)), max(1, sum(map(_moved, costs)))
    found = [_kind(name, group, all_macs, all_bytes) for name, group in groups.items()]
    return _few(sorted(found, key=lambda kind: -max(bar.share for bar in kind.bars)))


def _kind(name: str, group: Sequence[OperatorCost], all_macs: int, all_bytes: int) -> OperatorKind:
    macs, moved = sum(one.macs for one in group), sum(map(_moved, group))
    skipped = sum(one.macs_skipped for one in group)
    times = f"{len(group)} x {name}: " if len(group) > 1 else f"{name}: "
    return OperatorKind(
        f"{name} x {len(group)}" if len(group) > 1 else name,
        (
            Bar(
                "macs",
                macs / all_macs,
                f"{times}{formatting.count(macs)} multiplications",
                skipped / all_macs,
            ),
            Bar("bytes", moved / all_bytes, f"{times}{formatting.size(moved)} moved"),
        ),
    )


def _few(kinds: Sequence[OperatorKind]) -> tuple[OperatorKind, ...]:
    if len(kinds) <= MOST:
        return tuple(kinds)
    kept, rest = kinds[: MOST - 1], kinds[MOST - 1 :]
    merged = tuple(
        Bar(bar.tone, sum(kind.bars[place].share for kind in rest), f"{len(rest)} other types")
        for place, bar in enumerate(rest[0].bars)
    )
    return (*kept, OperatorKind(f"{len(rest)} others", merged))


def _moved(cost: OperatorCost) -> int:
    return cost.weight_bytes + cost.activation_bytes


def _heaviest(costs: Sequence[OperatorCost]) -> tuple[Heavy, ...]:
    total = max(1, sum(one.macs for one in costs))
    first = sorted(costs, key=lambda one: (-one.macs, -_moved(one)))[:HEAVIEST]
    return tuple(
        Heavy(
            one,
            formatting.percent(one.macs / total),
            formatting.count(one.macs),
            formatting.size(one.weight_bytes),
            formatting.size(one.activation_bytes),
        )
        for one in first
    )


def _about(structure: Structure) -> str:
    costs = structure.costs
    macs, moved = sum(one.macs for one in costs), sum(map(_moved, costs))
    return (
        f"{formatting.count(macs)} multiplications and {formatting.size(moved)} moved in one"
        " inference, read from the file. An operator takes at least as long as the slower"
        " of the two."
    )


def _skipped(structure: Structure) -> str:
    skipped, macs = (
        sum(one.macs_skipped for one in structure.costs),
        sum(one.macs for one in structure.costs),
    )
    if not skipped:
        return ""
    where = ", ".join(structure.xnnpack.cpus)
    return (
        f"On {where} XNNPACK's sparse kernels skip {formatting.percent(skipped / macs)} of the"
        " multiplications: the hollow part of the bars."
    )


def _profile(measurement: Measurement) -> ProfileChart:
    total = sum(step.ms for step in measurement.profile) or 1.0
    groups: dict[str, list[float]] = defaultdict(list)
    for step in measurement.profile:
        groups[step.kind].append(step.ms)
    kinds = sorted(
        (_timed(kind, times, total) for kind, times in groups.items()),
        key=lambda kind: -kind.bars[0].share,
    )
    title = (
        f"{measurement.device}, {measurement.runtime} {measurement.runtime_version},"
        f" {measurement.threads} thread(s)"
    )
    return ProfileChart(
        title, _chart(_few(kinds), f"share of measured time by kernel on {measurement.device}")
    )


def _timed(kind: str, times: Sequence[float], total: float) -> OperatorKind:
    spent = sum(times)
    name = f"{kind} x {len(times)}" if len(times) > 1 else kind
    return OperatorKind(
        name,
        (
            Bar(
                "time",
                spent / total,
                f"{name}: {formatting.milliseconds(spent)} of {formatting.milliseconds(total)}",
            ),
        ),
    )


def _chart(kinds: Sequence[OperatorKind], title: str) -> Markup:
    """Draw one row a type; no script, every text escaped, colours by class."""
    left = 16 + _LETTER * max(len(shorten(kind.name, _NAME_LENGTH)) for kind in kinds)
    height = _TOP + sum(_height(kind) for kind in kinds)
    body, y = [], float(_TOP)
    for kind in kinds:
        body.append(_row(kind, left, y))
        y += _height(kind)
    return Markup(
        '<svg class="work" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"'
        ' aria-label="{t}">{body}</svg>'
    ).format(w=_WIDTH, h=height, t=title, body=Markup().join(body))


def _height(kind: OperatorKind) -> int:
    return _ROW - (_BAR + _GAP) * (2 - len(kind.bars))


def _row(kind: OperatorKind, left: float, top: float) -> Markup:
    middle = top + (_BAR + _GAP) * len(kind.bars) / 2 + 3
    name = Markup('<text class="name" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>').format(
        left - 10, middle, shorten(kind.name, _NAME_LENGTH)
    )
    return Markup().join([Markup("<g>"), name, *_bars(kind.bars, left, top), Markup("</g>")])


def _bars(bars: Iterable[Bar], left: float, top: float) -> list[Markup]:
    room = _WIDTH - left - _TEXT
    drawn = []
    for place, bar in enumerate(bars):
        y, width = top + place * (_BAR + _GAP), max(1.0, room * bar.share) if bar.share else 0.0
        hollow = room * bar.hollow
        note = bar.said + (
            f", {formatting.percent(bar.hollow / bar.share)} skipped by sparse kernels"
            if bar.hollow > 0
            else ""
        )
        drawn.append(
            Markup(
                '<g class="{tone}"><title>{note}</title><rect x="{x:.1f}" y="{y:.1f}"'
                ' width="{full:.1f}" height="{b}" rx="2"/>{hole}<text x="{after:.1f}"'
                ' y="{text:.1f}">{share}</text></g>'
            ).format(
                tone=bar.tone,
                note=note,
                x=left,
                y=y,
                full=width,
                b=_BAR,
                hole=_hole(left + width - hollow, y, hollow),
                after=left + width + 6,
                text=y + _BAR - 1.5,
                share=_share(bar.share),
            )
        )
    return drawn


def _share(share: float) -> str:
    if not share:
        return "none"
    return formatting.percent(share) if share >= _SMALL else "<0.1 %"


def _hole(x: float, y: float, width: float) -> Markup:
    if width < 1:
        return Markup()
    return Markup(
        '<rect class="hole" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="1"/>'
    ).format(x, y + 1.5, width - 1.5, _BAR - 3)
