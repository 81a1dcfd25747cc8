"""What each variant costs and saves against its float file, ours and published.

It is an SVG picture: a line a variant, a panel a quantity.

Pure, standard library only. Filled circles are ours, hollow squares published for the same network,
hollow diamonds published for another one; whiskers are the 95 % interval of ours. Latency has a
panel a device.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape

ROW, TOP, BOTTOM = 26, 78, 46
_LABELS, _GAP, _NARROWEST = 150, 44, 980
_WIDE, _SLIM, _MANY = 232, 190, 4
_OURS, _THEIRS, _INK, _FAINT = "#1b6ca8", "#c4722e", "#333", "#e2e2e2"
_FEW, _ROUND = 4, (1, 2, 2.5, 5, 10)
_TIMES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Mark:
    """One quantity of one variant.

    It holds ours, its 95 % interval, and what was published for the same network and for others.
    """

    ours: float | None = None
    interval: tuple[float, float] | None = None
    published: tuple[float, ...] = ()
    other_network: tuple[float, ...] = ()

    @property
    def values(self) -> tuple[float, ...]:
        """All that has to fit into the panel."""
        ours = () if self.ours is None else (self.ours,)
        return (*ours, *(self.interval or ()), *self.published, *self.other_network)


@dataclass(frozen=True, slots=True)
class Dot:
    """One variant.

    Attributes:
        what: its name.
        points: change of quality against float, in percentage points.
        packed: packed size as a share of the float file's.
        latency: by device: time of the low tenth of runs as a share of the float file's there.
    """

    what: str
    points: Mark = Mark()
    packed: Mark = Mark()
    latency: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Panel:
    """One part of the picture: a scale from left to right, and the marks on it."""

    name: str
    ticks: Sequence[float]
    base: float
    spell: Callable[[float], str]
    marks: Sequence[Mark]
    scale: Callable[[float], float] = float
    left: float = 0.0
    width: float = _WIDE

    def x(self, value: float) -> float:
        low, high = self.scale(self.ticks[0]), self.scale(self.ticks[-1])
        return self.left + (self.scale(value) - low) / (high - low) * self.width


def draw(title: str, dots: Sequence[Dot]) -> str:
    """Draw one picture; without dots, one that says so.

    A panel that would hold nothing of ours is left out.
    """
    panels = _panels(dots)
    width = max([_NARROWEST, *(panel.left + panel.width + _GAP for panel in panels)])
    height = TOP + ROW * max(1, len(dots)) + BOTTOM
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">'
    )
    body = (
        [*_legend(panels), *_body(panels, dots, height)]
        if dots
        else [_text(width / 2, TOP + ROW / 2, "nothing built yet", "middle")]
    )
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join(
        [
            head,
            f"<title>{escape(title)}</title>",
            ground,
            _text(16, 24, title, size=15),
            *body,
            "</svg>",
            "",
        ]
    )


def _panels(dots: Sequence[Dot]) -> list[_Panel]:
    devices = sorted({device for dot in dots for device in dot.latency})
    found = [_quality(dots), _size(dots), *(_time(dots, device) for device in devices)]
    shown = [panel for panel in found if any(mark.ours is not None for mark in panel.marks)]
    width = _WIDE if len(shown) < _MANY else _SLIM
    return [
        replace(panel, left=_LABELS + place * (width + _GAP), width=width)
        for place, panel in enumerate(shown)
    ]


def _body(panels: Sequence[_Panel], dots: Sequence[Dot], height: float) -> list[str]:
    parts = [
        _text(_LABELS - 12, TOP + ROW * (index + 0.5) + 4, dot.what, "end")
        for index, dot in enumerate(dots)
    ]
    for panel in panels:
        parts += _axis(panel, height)
        for index, mark in enumerate(panel.marks):
            parts += _mark(panel, TOP + ROW * (index + 0.5), mark)
    return parts


def _quality(dots: Sequence[Dot]) -> _Panel:
    marks = [dot.points for dot in dots]
    values = [value for mark in marks for value in mark.values]
    ticks = _round(min([-0.5, *values]), max([0.5, *values]))
    return _Panel(
        "change of top-1, points", ticks, 0.0, lambda tick: f"{tick:+g}" if tick else "0", marks
    )


def _size(dots: Sequence[Dot]) -> _Panel:
    marks = [dot.packed for dot in dots]
    ticks = _round(0.0, max([1.0, *(value for mark in marks for value in mark.values)]))
    return _Panel("packed size, share of float", ticks, 1.0, lambda tick: f"{tick:.0%}", marks)


def _time(dots: Sequence[Dot], device: str) -> _Panel:
    marks = [dot.latency.get(device, Mark()) for dot in dots]
    values = [value for mark in marks for value in mark.values if value > 0]
    low = max((tick for tick in _TIMES if tick <= min([0.5, *values])), default=_TIMES[0])
    high = min((tick for tick in _TIMES if tick >= max([2.0, *values])), default=_TIMES[-1])
    ticks = [tick for tick in _TIMES if low <= tick <= high]
    return _Panel(
        f"latency on {device}, x float (log)", ticks, 1.0, lambda tick: f"{tick:g}", marks, math.log
    )


def _round(low: float, high: float) -> list[float]:
    """Give a few round numbers, of which the first and the last hold both ends between them.

    No mark lies beyond a tick.
    """
    rough = (high - low) / _FEW
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in _ROUND if unit * factor >= rough * (1 - 1e-9))
    return [
        round(step * count, 9)
        for count in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)
    ]


def _legend(panels: Sequence[_Panel]) -> list[str]:
    """Explain the marks that are there."""
    marks = [mark for panel in panels for mark in panel.marks]
    parts, x = [_circle(22, 46), _text(34, 50, "ours, with its 95 % interval")], 228
    if any(mark.published for mark in marks):
        parts += [_square(x, 46), _text(x + 12, 50, "published: same kind of network, other data")]
        x += 284
    if any(mark.other_network for mark in marks):
        parts += [_diamond(x, 46), _text(x + 12, 50, "published: another network")]
    return parts


def _axis(panel: _Panel, height: float) -> list[str]:
    bottom = height - BOTTOM
    parts = [_text(panel.left + panel.width / 2, height - 10, panel.name, "middle")]
    for tick in panel.ticks:
        parts.append(f'<path d="M{panel.x(tick):.1f} {TOP - 6}V{bottom:.1f}" stroke="{_FAINT}"/>')
        parts.append(_text(panel.x(tick), bottom + 16, panel.spell(tick), "middle"))
    return [*parts, f'<path d="M{panel.x(panel.base):.1f} {TOP - 6}V{bottom:.1f}" stroke="#888"/>']


def _mark(panel: _Panel, y: float, mark: Mark) -> list[str]:
    if mark.ours is None:
        return []
    parts = []
    if mark.interval is not None:
        left, right = (panel.x(end) for end in mark.interval)
        parts.append(
            f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="{_OURS}" stroke-opacity="0.35"'
            ' stroke-width="3"/>'
        )
    for value in (*mark.published, *mark.other_network):
        ends = f"M{panel.x(mark.ours):.1f} {y:.1f}H{panel.x(value):.1f}"
        parts.append(f'<path d="{ends}" stroke="#999" stroke-dasharray="2 3"/>')
    parts += [
        _diamond(panel.x(value), y, _told(panel, "published, another network", value))
        for value in mark.other_network
    ]
    parts += [
        _square(panel.x(value), y, _told(panel, "published", value)) for value in mark.published
    ]
    return [*parts, _circle(panel.x(mark.ours), y, _told(panel, "ours", mark.ours))]


def _circle(x: float, y: float, told: str = "") -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_OURS}">{told}</circle>'


def _square(x: float, y: float, told: str = "") -> str:
    place = f'x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"'
    return f'<rect {place} fill="white" stroke="{_THEIRS}" stroke-width="2">{told}</rect>'


def _diamond(x: float, y: float, told: str = "") -> str:
    path = f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
    return f'<path d="{path}" fill="white" stroke="{_THEIRS}" stroke-width="1.5">{told}</path>'


def _told(panel: _Panel, who: str, value: float) -> str:
    return f"<title>{escape(f'{who}: {value:.3g} ({panel.name})')}</title>"


def _text(x: float, y: float, text: str, anchor: str = "start", *, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
        f' fill="{_INK}">{escape(text)}</text>'
    )
