"""What each variant costs and saves against its float file, ours and published, as an SVG picture: a line a variant, a panel a quantity.

Pure, standard library only. Filled circles are ours, hollow squares published; whiskers are the 95 % interval of ours.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

WIDTH, ROW, TOP, BOTTOM = 980, 26, 78, 46
_LABELS, _GAP, _PANEL = 150, 36, 245
_OURS, _THEIRS, _INK, _FAINT = "#1b6ca8", "#c4722e", "#333", "#e2e2e2"
_FEW, _ROUND = 4, (1, 2, 2.5, 5, 10)
_TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Mark:
    """One quantity of one variant: ours, its 95 % interval, and the published one, where they are known."""

    ours: float | None = None
    interval: tuple[float, float] | None = None
    published: float | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """All that has to fit into the panel."""
        return tuple(value for value in (self.ours, self.published, *(self.interval or ())) if value is not None)


@dataclass(frozen=True, slots=True)
class Dot:
    """One variant.

    Attributes:
        what: its name.
        points: change of quality against float, in percentage points.
        packed: packed size as a share of the float file's.
        latency: median latency as a share of the float file's, on the first device.
    """

    what: str
    points: Mark = Mark()
    packed: Mark = Mark()
    latency: Mark = Mark()


@dataclass(frozen=True, slots=True)
class _Panel:
    """One third of the picture: a scale from left to right, and the marks on it."""

    name: str
    left: float
    low: float
    high: float
    ticks: Sequence[float]
    base: float
    spell: Callable[[float], str]
    marks: Sequence[Mark]
    scale: Callable[[float], float] = float

    def x(self, value: float) -> float:
        low, high = self.scale(self.low), self.scale(self.high)
        return self.left + (self.scale(value) - low) / (high - low) * _PANEL


def draw(title: str, dots: Sequence[Dot]) -> str:
    """Draw one picture; without dots, one that says so. A panel of which nothing is known is left out."""
    height = TOP + ROW * max(1, len(dots)) + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    body = [*_legend(), *_body(dots, height)] if dots else [_text(WIDTH / 2, TOP + ROW / 2, "nothing built yet", "middle")]
    ground = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, _text(16, 24, title, size=15), *body, "</svg>", ""])


def _body(dots: Sequence[Dot], height: float) -> list[str]:
    parts = [_text(_LABELS - 8, TOP + ROW * (index + 0.5) + 4, dot.what, "end") for index, dot in enumerate(dots)]
    made = [panel for panel in (_quality(dots), _size(dots), _time(dots)) if any(mark.values for mark in panel.marks)]
    for place, anywhere in enumerate(made):
        panel = replace(anywhere, left=_LABELS + place * (_PANEL + _GAP))
        parts += _axis(panel, height)
        for index, mark in enumerate(panel.marks):
            parts += _mark(panel, TOP + ROW * (index + 0.5), mark)
    return parts


def _quality(dots: Sequence[Dot]) -> _Panel:
    marks = [dot.points for dot in dots]
    values = [value for mark in marks for value in mark.values]
    low, high = min([-0.5, *values]), max([0.5, *values])
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    return _Panel("change of top-1, points", 0, low, high, _round(low, high), 0.0, lambda tick: f"{tick:+g}" if tick else "0", marks)


def _size(dots: Sequence[Dot]) -> _Panel:
    marks = [dot.packed for dot in dots]
    high = 1.04 * max([1.0, *(value for mark in marks for value in mark.values)])
    return _Panel("packed size, share of float", 0, 0.0, high, _round(0.0, high), 1.0, lambda tick: f"{tick:.0%}", marks)


def _time(dots: Sequence[Dot]) -> _Panel:
    marks = [dot.latency for dot in dots]
    values = [value for mark in marks for value in mark.values if value > 0]
    low, high = 0.85 * min([0.5, *values]), 1.15 * max([1.2, *values])
    ticks = [tick for tick in _TIMES if low <= tick <= high]
    return _Panel("latency, share of float (logarithmic)", 0, low, high, ticks, 1.0, lambda tick: f"{tick:g}", marks, math.log)


def _round(low: float, high: float) -> list[float]:
    """Give a few round numbers between two."""
    rough = (high - low) / _FEW
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in _ROUND if unit * factor >= rough * (1 - 1e-9))
    return [round(step * count, 9) for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _legend() -> list[str]:
    return [
        f'<circle cx="22" cy="46" r="5" fill="{_OURS}"/>',
        _text(34, 50, "ours, with its 95 % interval"),
        f'<rect x="248" y="41" width="9" height="9" fill="white" stroke="{_THEIRS}" stroke-width="2"/>',
        _text(265, 50, "published: other data, other training, other machine"),
    ]


def _axis(panel: _Panel, height: float) -> list[str]:
    bottom = height - BOTTOM
    parts = [_text(panel.left + _PANEL / 2, height - 10, panel.name, "middle")]
    for tick in panel.ticks:
        parts.append(f'<path d="M{panel.x(tick):.1f} {TOP - 6}V{bottom:.1f}" stroke="{_FAINT}"/>')
        parts.append(_text(panel.x(tick), bottom + 16, panel.spell(tick), "middle"))
    return [*parts, f'<path d="M{panel.x(panel.base):.1f} {TOP - 6}V{bottom:.1f}" stroke="#888"/>']


def _mark(panel: _Panel, y: float, mark: Mark) -> list[str]:
    parts = []
    if mark.interval is not None:
        left, right = (panel.x(end) for end in mark.interval)
        parts.append(f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="{_OURS}" stroke-opacity="0.35" stroke-width="3"/>')
    if mark.ours is not None and mark.published is not None:
        ends = f"M{panel.x(mark.ours):.1f} {y:.1f}H{panel.x(mark.published):.1f}"
        parts.append(f'<path d="{ends}" stroke="#999" stroke-dasharray="2 3"/>')
    if mark.published is not None:
        square = f'x="{panel.x(mark.published) - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"'
        told = _told(panel, "published", mark.published)
        parts.append(f'<rect {square} fill="white" stroke="{_THEIRS}" stroke-width="2">{told}</rect>')
    if mark.ours is not None:
        circle = f'<circle cx="{panel.x(mark.ours):.1f}" cy="{y:.1f}" r="5" fill="{_OURS}">'
        parts.append(f"{circle}{_told(panel, 'ours', mark.ours)}</circle>")
    return parts


def _told(panel: _Panel, who: str, value: float) -> str:
    return f"<title>{escape(f'{who}: {value:.3g} ({panel.name})')}</title>"


def _text(x: float, y: float, text: str, anchor: str = "start", *, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_INK}">{escape(text)}</text>'
