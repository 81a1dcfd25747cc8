"""What an answer looks like: a page, the one best artifact, a plane with its front. Pure."""

import math
from typing import Literal

from zoo_registry.model import platform
from zoo_registry.model.dataset import DataSet
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


class Unmeasured(Value):
    """Nobody measured on the platform that was asked for: where somebody did, and what to type.

    `nearest` are keys of platforms, those most like it first.
    """

    platform: str
    nearest: tuple[str, ...]
    bench: str

    @property
    def message(self) -> str:
        """Say it in one sentence."""
        near = "; ".join(f"{platform.told(key)} as {key}" for key in self.nearest)
        return (
            f"nobody measured on {platform.told(self.platform)} yet"
            f"{f'; nearest: {near}' if near else ''}"
        )


class Compared(Value):
    """How many artifacts are compared with each other on one data set, by which metric.

    `dataset` is None for those that have no such metric; `asked` is what `dataset=` takes.
    """

    metric: str
    dataset: DataSet | None
    asked: str
    artifacts: int


class Page(Value):
    """One page of answers.

    `datasets` says which of all that fits can be compared, most artifacts first.

    Where times decide there is one row for each artifact and platform: `Summary.platform` says
    which, and only its timings of that platform count. `near_misses` and `unmeasured` are filled
    only when nothing fits.
    """

    items: tuple[Summary, ...]
    next_cursor: str | None = None
    near_misses: tuple[NearMiss, ...] = ()
    unmeasured: Unmeasured | None = None
    datasets: tuple[Compared, ...] = ()

    @property
    def candidates(self) -> tuple[Summary, ...]:
        """What fits, or else what nearly does."""
        return self.items or tuple(near.item for near in self.near_misses)


class OnPlatform(Value):
    """What is best on one platform, and why; None where nothing fits there."""

    platform: str
    chosen: Summary | None
    why: str


class OnDataSet(Value):
    """What is best on one data set, and why."""

    dataset: DataSet | None
    asked: str
    chosen: Summary
    why: str


class Resolution(Value):
    """The one best artifact for a budget, and why.

    It is the best on one data set, `dataset`: the one that most of the fitting artifacts were
    scored on. `datasets` says what is best on each other.

    Where times decide it is the best on one platform, `chosen.platform`; `elsewhere` says what is
    best on each other platform that the question allows.
    """

    chosen: Summary | None
    why: str
    alternatives: tuple[Summary, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    elsewhere: tuple[OnPlatform, ...] = ()
    dataset: DataSet | None = None
    datasets: tuple[OnDataSet, ...] = ()
    unmeasured: Unmeasured | None = None


Mark = Literal["front", "band", "beaten", "noisy"]
"""Where a point stands: see `ranking.marks`."""


class ParetoPoint(Value):
    """One artifact in the plane of two properties.

    Nothing of its own data set and platform beats it where it is `on_front`. `mark` says more: one
    in the `band` cannot be told from the front. `interval` is that of `x`, where it is a time.
    """

    item: Summary
    x: float
    y: float
    on_front: bool
    dataset: DataSet | None = None
    mark: Mark | None = None
    interval: tuple[float, float] | None = None
