"""`top1`: how often the highest score is right."""

from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.metrics import METRICS, Score, ranked, share_of


class Top1:
    """Share of examples whose class has the highest score; Wilson's interval."""

    name = "top1"
    tasks: tuple[str, ...] = ("image-classification", "keyword-spotting")

    def measure(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Score | None:
        """Count the hits."""
        del classes
        return share_of(ranked(outputs)[:, :1] == labels[:, None])


METRICS.add(Top1.name, Top1())
