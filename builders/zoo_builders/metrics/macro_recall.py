"""`macro_recall`: top-1 when every class counts the same, however many examples it has."""

import math
from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.metrics import METRICS, Score, recalls, wilson


class MacroRecall:
    """Mean over the classes of the share of their examples that are found.

    Carries the share of every class.

    Classes without examples do not count. The interval joins the classes' Wilson intervals by the
    square-and-add rule for sums of independent estimates (Zou and Donner 2008, "Construction of
    confidence limits about effect measures").
    """

    name = "macro_recall"
    tasks: tuple[str, ...] = ("image-classification", "keyword-spotting")

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Average the recalls."""
        found = recalls(outputs, labels, classes)
        mean = sum(one.value for one in found) / len(found)
        limits = [(one.value, *wilson(one.value * one.examples, one.examples)) for one in found]
        below = math.sqrt(sum((value - low) ** 2 for value, low, _ in limits)) / len(found)
        above = math.sqrt(sum((high - value) ** 2 for value, _, high in limits)) / len(found)
        return Score(mean, (max(0.0, mean - below), min(1.0, mean + above)), found)


METRICS.add(MacroRecall.name, MacroRecall())
