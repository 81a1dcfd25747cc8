"""Tasks, one file each: what a model's outputs mean, and the metrics that say how good they are."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from zoo_builders.arrays import Array
from zoo_builders.metrics import Score
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.plugins import Kind

__all__ = ["TASKS", "Score", "Task", "refuse_other_classes"]


class Task(Protocol):
    """One registered task: an instance of a class of its own file.

    The class docstring says what it measures (`zoo list tasks`).

    Attributes:
        name: what a manifest calls it.
    """

    name: str

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics it reports (`metrics.of_task`); what goals and queries may name.

        A task without metrics needs no labels.
        """

    def score(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Mapping[str, Score]:
        """Judge outputs [N, …] (real values) against labels [N].

        A metric that says nothing for these data is left out.
        """

    def decide(self, outputs: Array) -> Array | None:
        """Reduce outputs [N, …] to one decision an example, [N].

        Two files agree where their decisions are equal.

        None where these outputs decide nothing (no scores, but values).
        """


TASKS: Kind[Task] = Kind("task", "tasks", __name__, like=Task)


def refuse_other_classes(task: str, outputs: Sequence[int | None], classes: Sequence[str]) -> None:
    """Insist that a model of one score a class has the classes of the data.

    Other numbers would be scored against the wrong ones.

    `outputs` is the shape of what it gives for one example. Says nothing of tasks that ask for no
    labels.

    Raises:
        BuildFailed: with both numbers.
    """
    scores = math.prod(size or 1 for size in outputs)
    if TASKS.get(task).metrics and classes and scores != len(classes):
        raise BuildFailed(
            f"the data have {len(classes)} classes, the network gives {scores} scores",
            hint=(
                "change base.args (classes: …); for a network with classes of its own,"
                " data.args.classes names a file with their order"
            ),
        )
