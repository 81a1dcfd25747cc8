"""`worst_recall`: the class a model serves worst."""

from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.metrics import METRICS, Score, recalls, wilson


class WorstRecall:
    """Smallest share, over the classes with examples, of a class's examples that are found.

    The interval is Wilson's of that one class; that it is the worst of many is not corrected for,
    so a lucky test set looks better.
    """

    name = "worst_recall"
    tasks: tuple[str, ...] = ("image-classification", "keyword-spotting")

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Find the worst class; among equals, it is the one with the most examples.

        That one's interval is the narrowest.
        """
        worst = min(recalls(outputs, labels, classes), key=lambda one: (one.value, -one.examples))
        return Score(worst.value, wilson(worst.value * worst.examples, worst.examples))


METRICS.add(WorstRecall.name, WorstRecall())
