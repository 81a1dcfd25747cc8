"""`image-classification`: one score per class; the highest names the image."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo_builders.tasks import TASKS, Score

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_Z95 = 1.959963984540054
_FIVE = 5


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share (Wilson 1927): of all shares, those the hits do not contradict."""
    share, z2 = hits / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


class ImageClassification:
    """Share of images whose class is the highest score (top1), or among the five highest (top5, where there are more than five classes).

    Intervals are Wilson's at 95 %: right also near 0 and 1, and for small splits. Equal scores count in favour of the lower class number.
    """

    name = "image-classification"
    metrics: tuple[str, ...] = ("top1", "top5")

    def score(self, outputs: "Array", labels: "Array", classes: Sequence[str]) -> Mapping[str, Score]:
        """Count hits among the best and the five best scores."""
        import numpy as np

        ranked = np.argsort(-outputs.reshape(len(outputs), -1), axis=1, kind="stable")
        right = ranked == labels[:, None]
        found = {"top1": _share(right[:, :1])}
        if max(len(classes), ranked.shape[1]) > _FIVE:
            found["top5"] = _share(right[:, :_FIVE])
        return found

    def decide(self, outputs: "Array") -> "Array":
        """Give the number of the best class for each example."""
        import numpy as np

        return np.asarray(np.argmax(outputs.reshape(len(outputs), -1), axis=1))


def _share(right: "Array") -> Score:
    hits, total = int(right.any(axis=1).sum()), len(right)
    return Score(hits / total, wilson(hits, total))


TASKS.add(ImageClassification.name, ImageClassification())
