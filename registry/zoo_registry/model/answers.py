"""What an answer looks like: a page, the one best artifact, a plane with its front. Pure."""

import math

from zoo_registry.model.part import Value
from zoo_registry.model.query import Miss
from zoo_registry.model.summary import Summary


class NearMiss(Value):
    """An artifact that almost fits, and what it misses."""

    item: Summary
    misses: tuple[Miss, ...]

    @property
    def distance(self) -> float:
        """Sum of the relative misses; what was not measured counts as infinitely far."""
        return sum(math.inf if miss.by is None else miss.by for miss in self.misses)


class Page(Value):
    """One page of answers. `near_misses` is filled only when nothing fits."""

    items: tuple[Summary, ...]
    next_cursor: str | None = None
    near_misses: tuple[NearMiss, ...] = ()

    @property
    def candidates(self) -> tuple[Summary, ...]:
        """What fits, or else what nearly does."""
        return self.items or tuple(near.item for near in self.near_misses)


class Resolution(Value):
    """The one best artifact for a budget, and why."""

    chosen: Summary | None
    why: str
    alternatives: tuple[Summary, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()


class ParetoPoint(Value):
    """One artifact in the plane of two properties."""

    item: Summary
    x: float
    y: float
    on_front: bool
