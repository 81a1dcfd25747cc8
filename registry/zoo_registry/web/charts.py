"""Numbers as SVG, drawn on the server.

No script, no style attribute, every text escaped, colours by class.

A chart never is the only place of a number: the tables beside it hold the same values as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markupsafe import Markup

from zoo_registry.web.labels import Box, Label, place
from zoo_registry.web.scales import Scale, fit, tick_text

Kind = Literal["chosen", "front", "band", "beaten", "noisy"]
_KINDS: tuple[Kind, ...] = ("chosen", "front", "band", "beaten", "noisy")
_EMPTY = Markup()


@dataclass(frozen=True, slots=True)
class Dot:
    """One point of a scatter.

    `note` is read out and shown on hovering; `bar` is the interval of y, `across` that of x, where
    they are known.
    """

    x: float
    y: float
    label: str
    note: str
    href: str
    kind: Kind
    bar: tuple[float, float] | None = None
    across: tuple[float, float] | None = None
    leads: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows. `limit` is the budget.

    `factor` multiplies the tick texts (100 for shares shown as percent).
    """

    title: str
    limit: float | None = None
    factor: float = 1.0
    may_log: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of a drawing in pixels, and an id that is unique on the page."""

    width: int
    height: int
    ident: str


@dataclass(frozen=True, slots=True)
class _Plane:
    """The plot's rectangle with its two scales."""

    box: Box
    x: Scale
    y: Scale


def scatter(dots: Sequence[Dot], x: Axis, y: Axis, frame: Frame) -> Markup:
    """Draw points with the front: x is better small, y is better large.

    The front is a stair; where intervals of x are known it is a band, as wide as they are.

    Points are links; those on the front are labelled first, a label that has no room is left to the
    hover text. The part of the plane inside both limits is shaded. Without points the result is
    empty.
    """
    if not dots:
        return _EMPTY
    plane = _plane(dots, x, y, frame)
    ordered = sorted(dots, key=lambda dot: _KINDS.index(dot.kind))
    corners = _corners(plane, [(dot.x, dot.y) for dot in dots if _leads(dot)])
    parts = (
        _grid(plane, x, y, frame),
        _budget(plane, x, y),
        _stairs(corners),
        _band(plane, dots),
        _points(plane, ordered, corners),
    )
    return Markup(
        '<svg class="scatter" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group"'
        ' aria-labelledby="{i}-t"><title id="{i}-t">{t}</title>{body}</svg>'
    ).format(
        w=frame.width,
        h=frame.height,
        i=frame.ident,
        t=f"{y.title} over {x.title}",
        body=_EMPTY.join(parts),
    )


def _plane(dots: Sequence[Dot], x: Axis, y: Axis, frame: Frame) -> _Plane:
    box = Box(46, 12, frame.width - 12, frame.height - 40)
    xs = [end for dot in dots for end in (dot.x, *(dot.across or ()))]
    ys = [end for dot in dots for end in (dot.y, *(dot.bar or ()))]
    x_scale = fit(_with_limit(xs, x.limit), box.left, box.right, may_log=x.may_log)
    return _Plane(box, x_scale, fit(_with_limit(ys, y.limit), box.bottom, box.top))


def _with_limit(values: list[float], limit: float | None) -> list[float]:
    """Add the limit to what the scale must show.

    Unless it lies so far off that the points would be squeezed together.
    """
    span = (max(values) - min(values)) or abs(values[0]) * 0.2
    near = limit is not None and min(values) - span <= limit <= max(values) + span
    return [*values, limit] if near and limit is not None else values


def _grid(plane: _Plane, x: Axis, y: Axis, frame: Frame) -> Markup:
    box, below = plane.box, frame.height - 6
    across, up = (
        max(2, int((box.right - box.left) // 80)),
        max(2, int((box.bottom - box.top) // 45)),
    )
    title = f"{x.title} →" + (" (log)" if plane.x.log else "")
    return _EMPTY.join(
        [
            *(
                _line(box, plane.y.at(tick), tick_text(tick * y.factor))
                for tick in plane.y.ticks(up)
            ),
            *(
                _tick(box, plane.x.at(tick), tick_text(tick * x.factor))
                for tick in plane.x.ticks(across)
            ),
            Markup('<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                box.left, box.bottom, box.right
            ),
            Markup('<text class="title" x="{:.1f}" y="{}" text-anchor="end">{}</text>').format(
                box.right, below, title
            ),
            Markup('<text class="title" x="4" y="{}">↑ {}</text>').format(below, y.title),
        ]
    )


def _line(box: Box, at: float, text: str) -> Markup:
    return Markup(
        '<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/><text x="{:.1f}" y="{:.1f}"'
        ' text-anchor="end">{}</text>'
    ).format(box.left, at, box.right, box.left - 7, at + 4, text)


def _tick(box: Box, at: float, text: str) -> Markup:
    return Markup(
        '<path class="tick" d="M{:.1f} {:.1f}v4"/><text x="{:.1f}" y="{:.1f}"'
        ' text-anchor="middle">{}</text>'
    ).format(at, box.bottom, at, box.bottom + 17, text)


def _budget(plane: _Plane, x: Axis, y: Axis) -> Markup:
    if x.limit is None and y.limit is None:
        return _EMPTY
    right = plane.box.right if x.limit is None else plane.x.at(x.limit)
    bottom = plane.box.bottom if y.limit is None else plane.y.at(y.limit)
    return Markup(
        '<rect class="budget" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>within'
        " the budget</title></rect>"
    ).format(
        plane.box.left,
        plane.box.top,
        max(right - plane.box.left, 0),
        max(bottom - plane.box.top, 0),
    )


def _leads(dot: Dot) -> bool:
    """Whether a point is on the front; the chosen one need not be."""
    return dot.kind == "front" or (dot.kind == "chosen" and dot.leads)


def _band(plane: _Plane, dots: Sequence[Dot]) -> Markup:
    """Fill what lies between the stairs of the front's lower and of its upper ends."""
    front = sorted((dot for dot in dots if _leads(dot) and dot.across), key=lambda dot: dot.x)
    low = _corners(plane, [(dot.across[0], dot.y) for dot in front if dot.across])
    high = _corners(plane, [(dot.across[1], dot.y) for dot in front if dot.across])
    if not low or not high:
        return _EMPTY
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (*low, *reversed(high)))
    return Markup('<path class="band" d="M{}Z"><title>cannot be told apart</title></path>').format(
        path
    )


def _corners(
    plane: _Plane, points: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    """Give the pixels at which the stair line of the front turns.

    Each step goes right first, then up.
    """
    front = sorted(set(points))
    at = [(plane.x.at(x), plane.y.at(y)) for x, y in front]
    turns = [point for (_, y), (x, new_y) in pairwise(at) for point in ((x, y), (x, new_y))]
    return (at[0], *turns) if turns else ()


def _stairs(corners: Sequence[tuple[float, float]]) -> Markup:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    return Markup('<path class="front" d="M{}"/>').format(path) if path else _EMPTY


def _points(plane: _Plane, dots: Sequence[Dot], corners: Sequence[tuple[float, float]]) -> Markup:
    lines = [
        Box(min(left, right) - 1, min(top, bottom) - 1, max(left, right) + 1, max(top, bottom) + 1)
        for (left, top), (right, bottom) in pairwise(corners)
    ]
    places = place(
        [(plane.x.at(dot.x), plane.y.at(dot.y), dot.label) for dot in dots], plane.box, lines
    )
    drawn = [_point(plane, dot, label) for dot, label in zip(dots, places, strict=True)]
    # Drawn last = on top: the most important point of a heap must be the one that can be clicked.
    return _EMPTY.join(reversed(drawn))


def _point(plane: _Plane, dot: Dot, label: Label | None) -> Markup:
    x, y, text, whisker = plane.x.at(dot.x), plane.y.at(dot.y), _EMPTY, _EMPTY
    if label is not None:
        text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
            label.x, label.y, label.anchor, dot.label
        )
    if dot.bar is not None:
        whisker = Markup('<path class="whisker" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
            x, plane.y.at(dot.bar[0]), plane.y.at(dot.bar[1])
        )
    if dot.across is not None:
        left, right = (plane.x.at(end) for end in dot.across)
        whisker += Markup('<path class="whisker" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            left, y, right
        )
    return Markup(
        '<a class="dot {kind}" href="{href}" aria-label="{note}">{whisker}<circle class="hit"'
        ' cx="{x:.1f}" cy="{y:.1f}" r="12"/><circle class="mark" cx="{x:.1f}" cy="{y:.1f}"'
        ' r="{r}"><title>{note}</title></circle>{text}</a>'
    ).format(
        kind=dot.kind,
        href=dot.href,
        note=dot.note,
        whisker=whisker,
        x=x,
        y=y,
        r=6 if dot.kind == "chosen" else 4.5,
        text=text,
    )


def interval_scale(ends: Sequence[float], reference: float, width: int = 120) -> Scale:
    """Choose one scale for all interval bars of a table, so that their lengths can be compared."""
    return fit([*ends, reference], 3, width - 3, may_log=True)


def interval_bar(
    scale: Scale, value: float, low: float, high: float, reference: float | None = None
) -> Markup:
    """Draw an interval with its value as a dot and, if given, the reference as a line.

    The text stands beside it.
    """
    width = scale.end + 3
    line = _EMPTY
    if reference is not None:
        line = Markup('<path class="reference" d="M{:.1f} 1v14"/>').format(scale.at(reference))
    return Markup(
        '<svg class="interval" viewBox="0 0 {w:.0f} 16" width="{w:.0f}" height="16"'
        ' aria-hidden="true">{line}<path class="range" d="M{low:.1f} 8H{high:.1f}"/><circle'
        ' cx="{at:.1f}" cy="8" r="3"/></svg>'
    ).format(w=width, line=line, low=scale.at(low), high=scale.at(high), at=scale.at(value))


def share_bar(share: float, width: int = 90) -> Markup:
    """Draw a share of one as a filled bar. The text stands beside it."""
    filled = min(max(share, 0.0), 1.0) * width
    return Markup(
        '<svg class="share" viewBox="0 0 {w} 8" width="{w}" height="8" aria-hidden="true"><rect'
        ' class="whole" width="{w}" height="8" rx="2"/><rect class="part" width="{part:.1f}"'
        ' height="8" rx="2"/></svg>'
    ).format(w=width, part=filled)
