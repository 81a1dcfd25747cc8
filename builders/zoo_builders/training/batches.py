"""The order and the changes of training batches.

Pure functions of (seed, epoch, example), so a training can be taken up at any step.

The order of an epoch is NumPy's PCG64 permutation under the seed (seed, epoch); what `augment` does
to an example is drawn from PCG64 under (seed, epoch, 1), one row for each example. Nothing else is
random, and nothing depends on the batches before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_builders import tf
from zoo_builders.training.settings import Crop, Train
from zoo_registry.model.errors import BuildFailed

if TYPE_CHECKING:
    import numpy as np

_IMAGE = 3


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples in memory.

    Attributes:
        take: gives (inputs float32 [B, ...], labels [B]) for a tensor of positions [B].
        shape: of one input.
    """

    take: Callable[[Any], tuple[Any, Any]]
    count: int
    shape: tuple[int, ...]


def order(seed: int, epoch: int, count: int) -> "np.ndarray[Any, Any]":
    """Give the examples' positions in the order of one epoch, int64 [count]."""
    import numpy as np

    return np.random.Generator(np.random.PCG64((seed, epoch))).permutation(count)


def changes(seed: int, epoch: int, count: int, augment: Sequence[Any]) -> "np.ndarray[Any, Any]":
    """Draw what `augment` does to each example in one epoch.

    Int32 [count, 3] of (flip 0 or 1, rows down, columns right).
    """
    import numpy as np

    random = np.random.Generator(np.random.PCG64((seed, epoch, 1)))
    drawn = np.zeros((count, 3), np.int32)
    for step in augment:
        if isinstance(step, Crop):
            drawn[:, 1:] = random.integers(-step.crop, step.crop, (count, 2), endpoint=True)
        else:
            drawn[:, 0] = random.integers(0, 2, count)
    return drawn


def passes(examples: Examples, train: Train, seed: int, *, epoch: int, step: int) -> Any:
    """Give one `tf.data` dataset over the batches from a step of an epoch to the last epoch's end.

    Raises:
        BuildFailed: `augment` asks for what these inputs cannot do.
    """
    _check(examples.shape, train.augment)
    tensorflow, steps = tf.tensorflow, steps_of(examples.count, train)
    shape = (examples.count, 4) if train.augment else (examples.count, 1)

    def one(number: Any) -> Any:
        rows = tensorflow.numpy_function(
            lambda at: _rows(examples.count, train, seed, int(at)), [number], tensorflow.int64
        )
        rows = tensorflow.ensure_shape(rows, shape)
        start = tensorflow.where(number == epoch, tensorflow.constant(step, tensorflow.int64), 0)
        return tensorflow.data.Dataset.range(start, steps).map(
            lambda at: rows[at * train.batch_size : (at + 1) * train.batch_size]
        )

    def batch(row: Any) -> tuple[Any, Any]:
        inputs, labels = examples.take(row[:, 0])
        return (_changed(inputs, row[:, 1:]) if train.augment else inputs), labels

    epochs = tensorflow.data.Dataset.range(epoch, train.epochs).flat_map(one)
    return epochs.map(batch, num_parallel_calls=1, deterministic=True).prefetch(2)


def steps_of(count: int, train: Train) -> int:
    """Batches in an epoch; the last one may be smaller."""
    return -(-count // train.batch_size)


def _rows(count: int, train: Train, seed: int, epoch: int) -> "np.ndarray[Any, Any]":
    """Give one epoch as int64 [count, 1 or 4].

    Position, and with `augment` what happens to the example there.
    """
    import numpy as np

    at = order(seed, epoch, count)
    if not train.augment:
        return at[:, None].astype(np.int64)
    return np.concatenate(
        [at[:, None], changes(seed, epoch, count, train.augment)[at]], axis=1
    ).astype(np.int64)


def _changed(inputs: Any, drawn: Any) -> Any:
    """Flip and shift images [B, H, W, C].

    Behind an edge lies the mirror image of what is before it.
    """
    tensorflow = tf.tensorflow
    height, width = inputs.shape[1:3]
    rows = _mirrored(tensorflow.range(height, dtype=tensorflow.int64)[None] + drawn[:, 1:2], height)
    columns = _mirrored(
        tensorflow.range(width, dtype=tensorflow.int64)[None] + drawn[:, 2:3], width
    )
    columns = tensorflow.where(drawn[:, :1] == 1, width - 1 - columns, columns)
    return tensorflow.gather(
        tensorflow.gather(inputs, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1
    )


def _mirrored(index: Any, size: int) -> Any:
    index = tf.tensorflow.abs(index)
    return size - 1 - tf.tensorflow.abs(size - 1 - index)


def _check(shape: tuple[int, ...], augment: Sequence[Any]) -> None:
    if augment and len(shape) != _IMAGE:
        raise BuildFailed(
            f"augment needs images [height, width, channels]; these inputs are {list(shape)}",
            hint="drop augment from train",
        )
    crop = max((step.crop for step in augment if isinstance(step, Crop)), default=0)
    if augment and crop >= min(shape[:2]):
        raise BuildFailed(
            f"augment: a crop of {crop} pixels of images {shape[0]}x{shape[1]}",
            hint=f"crop: {max(1, min(shape[:2]) // 8)}",
        )
