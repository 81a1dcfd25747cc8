"""`keyword-spotting`: one score per keyword; the highest names what was said."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo_builders import metrics
from zoo_builders.tasks import TASKS, Score

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class KeywordSpotting:
    """Share of recordings whose keyword is the highest score (top1).

    Beside it: how that is spread over the keywords.

    `macro_recall` counts every keyword the same, `worst_recall` is the keyword that is missed most:
    a device that does not understand "stop" is of no use, however good its average.
    """

    name = "keyword-spotting"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that name this task."""
        return metrics.of_task(self.name)

    def score(
        self, outputs: "Array", labels: "Array", classes: Sequence[str]
    ) -> Mapping[str, Score]:
        """Ask its metrics."""
        return metrics.measure(self.metrics, outputs, labels, classes)

    def decide(self, outputs: "Array") -> "Array":
        """Give the number of the best keyword for each recording."""
        decided: Array = outputs.reshape(len(outputs), -1).argmax(axis=1)
        return decided


TASKS.add(KeywordSpotting.name, KeywordSpotting())
