"""Metrics, one file each: numbers that say how good a model's outputs are.

Each names the tasks it judges, which then report it.

A metric is an instance of a class of its own file; higher is better for all of them. Their names
are what goals (`top1: {min: 0.9}`) and queries (`--min-top1 0.9`) use.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zoo_builders.arrays import Array
from zoo_registry.model.plugins import Kind

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class ClassShare:
    """What a metric is for one class alone: its name, its examples, the value."""

    label: str
    examples: int
    value: float


@dataclass(frozen=True, slots=True)
class Score:
    """One metric over one split, with its 95 % interval.

    `classes` is there where the metric is made of one value a class.
    """

    value: float
    ci95: tuple[float, float]
    classes: tuple[ClassShare, ...] = ()


class Metric(Protocol):
    """One registered metric: an instance of a class of its own file.

    The class docstring says what it measures (`zoo list metrics`).

    Attributes:
        name: how goals, queries and records call it: lower case letters, digits, underscores.
        tasks: names of the tasks that report it.
    """

    name: str
    tasks: tuple[str, ...]

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Judge scores [N, classes] against labels [N].

        None where the metric says nothing for these data.
        """


METRICS: Kind[Metric] = Kind("metric", "metrics", __name__, like=Metric)
_FIRST = "top1"


def of_task(task: str) -> tuple[str, ...]:
    """Name the metrics that judge a task.

    `top1` comes first: files are compared by it where nothing else is said. The others follow by
    name.
    """
    return tuple(
        sorted(
            (name for name in METRICS.names() if task in METRICS.get(name).tasks),
            key=lambda name: (name != _FIRST, name),
        )
    )


def wilson(hits: float, total: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share (Wilson 1927).

    It holds all shares that the hits do not contradict.
    """
    share, z2 = hits / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def share_of(right: Array) -> Score:
    """Give the share of examples for which any entry of their row of `right` [N, K] is true."""
    hits, total = int(right.any(axis=1).sum()), len(right)
    return Score(hits / total, wilson(hits, total))


def ranked(outputs: Array) -> Array:
    """Give the class numbers of each example from the highest score to the lowest.

    Among equal scores, the lower number comes first.
    """
    import numpy as np

    return np.argsort(-outputs.reshape(len(outputs), -1), axis=1, kind="stable")


def recalls(outputs: Array, labels: Array, classes: Sequence[str]) -> tuple[ClassShare, ...]:
    """Give the recall of each class that has examples.

    It is the share of the class's examples whose highest score is that class.
    """
    import numpy as np

    right = ranked(outputs)[:, 0] == labels
    return tuple(
        ClassShare(
            classes[number] if number < len(classes) else str(number),
            int((labels == number).sum()),
            float(right[labels == number].mean()),
        )
        for number in np.unique(labels).tolist()
    )


def measure(
    names: Sequence[str], outputs: Array, labels: Array, classes: Sequence[str]
) -> Mapping[str, Score]:
    """Measure what several metrics say of the same outputs.

    One that says nothing for these data is left out.
    """
    found = {name: METRICS.get(name).measure(outputs, labels, classes) for name in names}
    return {name: score for name, score in found.items() if score is not None}
