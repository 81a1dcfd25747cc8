"""What each way to optimize costs and saves, published and ours, as an SVG picture: one line a way, change of quality beside packed size.

Pure, standard library only. Filled circles are ours, hollow squares published; whiskers are the 95 % interval of our quality.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, ROW, TOP, BOTTOM = 820, 26, 74, 46
_LABELS, _GAP, _PANEL = 150, 40, 290
_OURS, _THEIRS, _INK, _FAINT = "#1b6ca8", "#c4722e", "#333", "#e2e2e2"
_FEW, _ROUND = 5, (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Dot:
    """One way: what it is called, and its two numbers, ours and published, where they are known.

    Attributes:
        points: change of quality against float in percentage points; `interval` the 95 % interval of ours.
        packed: share of the float file's packed size.
    """

    what: str
    points: float | None
    packed: float | None
    interval: tuple[float, float] | None = None
    published_points: float | None = None
    published_packed: float | None = None


@dataclass(frozen=True, slots=True)
class _Panel:
    """One half of the picture: a scale from left to right."""

    left: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return self.left + (value - self.low) / (self.high - self.low) * _PANEL

    def ticks(self) -> list[float]:
        """Give a few round numbers on the scale."""
        rough = (self.high - self.low) / _FEW
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in _ROUND if unit * factor >= rough)
        return [step * count for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def draw(title: str, dots: Sequence[Dot]) -> str:
    """Draw one picture; without dots, one that says so."""
    height = TOP + ROW * max(1, len(dots)) + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    body = _body(dots, height) if dots else [_text(WIDTH / 2, TOP + ROW / 2, "nothing built yet", "middle")]
    caption = _text(16, 22, title, size=15)
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="white"/>', caption, *body, "</svg>", ""]
    )


def _body(dots: Sequence[Dot], height: float) -> list[str]:
    quality, size = _panels(dots)
    parts = [*_legend(), *_axis(quality, height, "change of top-1 against float, points", lambda tick: f"{tick:+.1f}")]
    parts += _axis(size, height, "packed size, share of the float file", lambda tick: f"{tick:.0%}")
    parts.append(f'<path d="M{quality.x(0):.1f} {TOP - 6}V{height - BOTTOM}" stroke="#999"/>')
    for index, dot in enumerate(dots):
        y = TOP + ROW * (index + 0.5)
        parts += [_text(_LABELS - 8, y + 4, dot.what, "end"), *_whisker(quality, y, dot.interval)]
        parts += _pair(quality, y, dot.points, dot.published_points, lambda value: f"{value:+.2f} points")
        parts += _pair(size, y, dot.packed, dot.published_packed, lambda value: f"{value:.0%} of float")
    return parts


def _panels(dots: Sequence[Dot]) -> tuple[_Panel, _Panel]:
    changes = [value for dot in dots for value in (dot.points, dot.published_points, *(dot.interval or ())) if value is not None]
    sizes = [value for dot in dots for value in (dot.packed, dot.published_packed) if value is not None]
    low, high = min([-0.5, *changes]), max([0.5, *changes])
    margin = 0.06 * (high - low)
    return _Panel(_LABELS, low - margin, high + margin), _Panel(_LABELS + _PANEL + _GAP, 0.0, max([1.0, *sizes]) * 1.04)


def _legend() -> list[str]:
    return [
        f'<circle cx="22" cy="42" r="5" fill="{_OURS}"/>', _text(34, 46, "ours, with the 95 % interval of its top-1"),
        f'<rect x="318" y="37" width="9" height="9" fill="white" stroke="{_THEIRS}" stroke-width="2"/>',
        _text(335, 46, "published: other data, other training"),
    ]  # fmt: skip


def _axis(panel: _Panel, height: float, name: str, spell: Callable[[float], str]) -> list[str]:
    bottom = height - BOTTOM
    parts = [_text(panel.left + _PANEL / 2, height - 10, name, "middle")]
    for tick in panel.ticks():
        parts.append(f'<path d="M{panel.x(tick):.1f} {TOP - 6}V{bottom:.1f}" stroke="{_FAINT}"/>')
        parts.append(_text(panel.x(tick), bottom + 16, spell(tick), "middle"))
    return parts


def _whisker(panel: _Panel, y: float, interval: tuple[float, float] | None) -> list[str]:
    if interval is None:
        return []
    left, right = (panel.x(end) for end in interval)
    return [f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="{_OURS}" stroke-opacity="0.35" stroke-width="3"/>']


def _pair(panel: _Panel, y: float, ours: float | None, theirs: float | None, spell: Callable[[float], str]) -> list[str]:
    parts = []
    if ours is not None and theirs is not None:
        parts.append(f'<path d="M{panel.x(ours):.1f} {y:.1f}H{panel.x(theirs):.1f}" stroke="#999" stroke-dasharray="2 3"/>')
    if theirs is not None:
        told = escape(f"published: {spell(theirs)}")
        x = panel.x(theirs) - 4.5
        square = f'<rect x="{x:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="white" stroke="{_THEIRS}" stroke-width="2">'
        parts.append(f"{square}<title>{told}</title></rect>")
    if ours is not None:
        told = escape(f"ours: {spell(ours)}")
        parts.append(f'<circle cx="{panel.x(ours):.1f}" cy="{y:.1f}" r="5" fill="{_OURS}"><title>{told}</title></circle>')
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start", *, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_INK}">{escape(text)}</text>'
