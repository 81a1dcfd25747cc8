"""`fidelity`: data without labels.

How closely a file follows the float32 file it comes from, and nothing else.
"""

from collections.abc import Mapping, Sequence

from zoo_builders.arrays import Array
from zoo_builders.tasks import TASKS, Score

_SCORES = 2


class Fidelity:
    """No metrics and no labels.

    Agreement with float32 alone, by signal-to-noise ratio and, where the outputs are scores, by
    top-1.

    For models whose labelled data nobody here has, such as one trained on ImageNet or a `.tflite`
    from elsewhere: inputs of the right kind are enough. Labels that the data have are not looked
    at.
    """

    name = "fidelity"

    @property
    def metrics(self) -> tuple[str, ...]:
        """None: there are no labels to hold outputs against."""
        return ()

    def score(self, outputs: Array, labels: Array, classes: Sequence[str]) -> Mapping[str, Score]:
        """Say nothing."""
        del outputs, labels, classes
        return {}

    def decide(self, outputs: Array) -> Array | None:
        """Give the number of each example's highest output, where outputs are scores; else None."""
        flat = outputs.reshape(len(outputs), -1)
        scores = (
            flat.shape[1] > 1
            and max(outputs.shape[1:]) == flat.shape[1]
            and outputs.ndim >= _SCORES
        )
        return flat.argmax(axis=1) if scores else None


TASKS.add(Fidelity.name, Fidelity())
