"""Where the labels of a scatter go: beside their points, inside the plot, over nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Anchor = Literal["start", "middle", "end"]
_GLYPH, _HEIGHT = 6.0, 13.0  # width of a character and height of a line at 11 px, on the safe side


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: "Box") -> bool:
        """Whether `other` lies inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, slots=True)
class Label:
    """Text at a baseline position."""

    x: float
    y: float
    anchor: Anchor
    box: Box


def place(
    points: Sequence[tuple[float, float, str]], plot: Box, obstacles: Sequence[Box] = ()
) -> tuple[Label | None, ...]:
    """Choose a place for each label, the first in the sequence first; None where no place is free.

    Args:
        points: pixel position and text of each point, the most important first.
        plot: no label leaves it.
        obstacles: what labels must not cover besides the points themselves.
    """
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points] + list(obstacles)
    placed: list[Label | None] = []
    for x, y, text in points:
        free = (
            c
            for c in _candidates(x, y, len(text) * _GLYPH)
            if plot.holds(c.box) and not any(c.box.overlaps(b) for b in taken)
        )
        label = next(free, None)
        placed.append(label)
        if label is not None:
            taken.append(label.box)
    return tuple(placed)


def _candidates(x: float, y: float, width: float) -> tuple[Label, ...]:
    half = width / 2

    def label(at_x: float, at_y: float, anchor: Anchor) -> Label:
        left = {"start": at_x, "middle": at_x - half, "end": at_x - width}[anchor]
        return Label(at_x, at_y, anchor, Box(left, at_y - _HEIGHT + 3, left + width, at_y + 3))

    return (
        label(x + 9, y + 4, "start"),
        label(x - 9, y + 4, "end"),
        label(x, y - 10, "middle"),
        label(x, y + 18, "middle"),
        label(x + 7, y - 10, "start"),
        label(x - 7, y - 10, "end"),
        label(x + 7, y + 19, "start"),
        label(x - 7, y + 19, "end"),
    )
