"""Accuracy over latency as an SVG picture: one point a file, the Pareto front as a line. Pure, standard library only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 30, 50
_TICKS = 5
_LABEL_PX = 11


@dataclass(frozen=True, slots=True)
class Point:
    """One file: its name, median latency in ms, quality as a share."""

    name: str
    latency_ms: float
    quality: float
    noisy: bool = False


def front(points: Sequence[Point]) -> list[Point]:
    """Give the points that no other beats: none is as fast and better, or as good and faster; by rising latency."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.latency_ms, -p.quality, p.name)):
        if not found or point.quality > found[-1].quality:
            found.append(point)
    return found


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values go on the page; latency is logarithmic, ratios being what matters."""

    low: tuple[float, float]
    high: tuple[float, float]

    @classmethod
    def over(cls, points: Sequence[Point]) -> "_Scale":
        times, shares = [math.log(p.latency_ms) for p in points], [p.quality for p in points]
        margin = max(0.08 * (max(times) - min(times)), 0.05), max(0.08 * (max(shares) - min(shares)), 0.005)
        return cls((min(times) - margin[0], min(shares) - margin[1]), (max(times) + margin[0], max(shares) + margin[1]))

    def place(self, latency_ms: float, quality: float) -> tuple[float, float]:
        across = (math.log(latency_ms) - self.low[0]) / (self.high[0] - self.low[0])
        up = (quality - self.low[1]) / (self.high[1] - self.low[1])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[tuple[float, float]]:
        steps = [index / (_TICKS - 1) for index in range(_TICKS)]
        between = [(self.low[axis], self.high[axis] - self.low[axis]) for axis in (0, 1)]
        return [(math.exp(between[0][0] + step * between[0][1]), between[1][0] + step * between[1][1]) for step in steps]


def draw(points: Sequence[Point], title: str = "top-1 over median latency") -> str:
    """Draw; without points, a page that says so."""
    body = _plot(points, title) if points else [_text(WIDTH / 2, HEIGHT / 2, "nothing measured yet", "middle")]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="{_LABEL_PX}">'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *body, "</svg>", ""]
    )


def _plot(points: Sequence[Point], title: str) -> list[str]:
    scale = _Scale.over(points)
    best = front(points)
    line = " ".join("{:.1f},{:.1f}".format(*scale.place(p.latency_ms, p.quality)) for p in best)
    return [
        *_axes(scale, title),
        f'<polyline points="{line}" fill="none" stroke="#1b6ca8" stroke-width="1.5"/>',
        *(_dot(point, scale, on_front=point in best) for point in points),
        *_labels(points, scale),
    ]


def _axes(scale: _Scale, title: str) -> list[str]:
    parts = [_text(LEFT, TOP - 12, title), _text((WIDTH - RIGHT + LEFT) / 2, HEIGHT - 12, "median latency, ms (logarithmic)", "middle")]
    for latency_ms, quality in scale.ticks():
        x, y = scale.place(latency_ms, quality)
        parts += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4" fill="none"/>']
        parts += [_text(LEFT - 6, y + 4, f"{quality:.1%}", "end"), _text(x, HEIGHT - BOTTOM + 16, f"{latency_ms:.3g}", "middle")]
    return parts


def _dot(point: Point, scale: _Scale, *, on_front: bool) -> str:
    x, y = scale.place(point.latency_ms, point.quality)
    fill = "#1b6ca8" if on_front else "#b0b0b0"
    told = f"{point.name}: {point.latency_ms:.4g} ms, {point.quality:.2%}" + (", noisy" if point.noisy else "")
    dashed = ' stroke="#c0392b" stroke-dasharray="2 2"' if point.noisy else ""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}"{dashed}><title>{escape(told)}</title></circle>'


def _labels(points: Sequence[Point], scale: _Scale) -> list[str]:
    """Place names beside their points, pushed down where they would overlap."""
    parts: list[str] = []
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (-p.quality, p.latency_ms, p.name)):
        x, y = scale.place(point.latency_ms, point.quality)
        while any(abs(y - other) < _LABEL_PX and abs(x - beside) < RIGHT for beside, other in taken):
            y += 1
        taken.append((x, y))
        parts.append(_text(x + 8, y + 4, point.name))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'
