"""Tasks, one file each: what a model's outputs mean, and the metrics that say how good they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zoo_builders.metrics import Score
from zoo_registry.model.plugins import Kind

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["TASKS", "Score", "Task"]


class Task(Protocol):
    """One registered task: an instance of a class of its own file. The class docstring says what it measures (`zoo list tasks`).

    Attributes:
        name: what a manifest calls it.
        metrics: names of the metrics it reports; what goals and queries may name. A task without metrics needs no labels.
    """

    name: str
    metrics: tuple[str, ...]

    def score(self, outputs: "Array", labels: "Array", classes: Sequence[str]) -> Mapping[str, Score]:
        """Judge outputs [N, …] (real values) against labels [N]; a metric that says nothing for these data is left out."""

    def decide(self, outputs: "Array") -> "Array | None":
        """Reduce outputs [N, …] to one decision an example, [N]: two files agree where their decisions are equal.

        None where these outputs decide nothing (no scores, but values).
        """


TASKS: Kind[Task] = Kind("task", __name__)
