"""`image-classification`: one score per class; the highest names the image."""

from collections.abc import Mapping, Sequence

from zoo_builders import metrics
from zoo_builders.arrays import Array
from zoo_builders.tasks import TASKS, Score


class ImageClassification:
    """Share of images whose class has the highest score (top1), or one of the five highest (top5).

    The second where there are more than five classes.

    Beside them the mean and the worst recall over the classes: a model that is right about frequent
    classes only shows there. Equal scores count in favour of the lower class number.
    """

    name = "image-classification"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that name this task."""
        return metrics.of_task(self.name)

    def score(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Mapping[str, Score]:
        """Ask its metrics."""
        return metrics.measure(self.metrics, outputs, labels, classes)

    def decide(self, outputs: Array) -> Array:
        """Give the number of the best class for each example."""
        decided: Array = outputs.reshape(len(outputs), -1).argmax(axis=1)
        return decided


TASKS.add(ImageClassification.name, ImageClassification())
