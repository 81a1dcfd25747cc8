"""`top5`: how often the right class is among the five highest scores."""

from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.metrics import METRICS, Score, ranked, share_of

_FIVE = 5


class Top5:
    """Share of examples whose class is among the five highest scores.

    It is counted where there are more than five classes. The interval is Wilson's.
    """

    name = "top5"
    tasks: tuple[str, ...] = ("image-classification",)

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Count the hits; give None for five classes or fewer.

        With so few, every class is among the five highest.
        """
        order = ranked(outputs)
        if max(len(classes), order.shape[1]) <= _FIVE:
            return None
        return share_of(order[:, :_FIVE] == labels[:, None])


METRICS.add(Top5.name, Top5())
