"""`top5`: how often the right class is among the five highest scores."""

from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.metrics import METRICS, Score, ranked, share_of

_FIVE = 5


class Top5:
    """Share of examples whose class is among the five highest scores.

    Counted where there are more than five classes; Wilson's interval.
    """

    name = "top5"
    tasks: tuple[str, ...] = ("image-classification",)

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Count the hits; of five classes or fewer, every one is among the five highest.

        And nothing is said.
        """
        order = ranked(outputs)
        if max(len(classes), order.shape[1]) <= _FIVE:
            return None
        return share_of(order[:, :_FIVE] == labels[:, None])


METRICS.add(Top5.name, Top5())
