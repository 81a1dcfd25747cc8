"""Which layer each weight tensor of a finished file came from: by shape, values and position.

Names do not tell: the converter calls the last kernel of a network `StatefulPartitionedCall:01`,
and a tensor that two layers share has no name at all. Values do. Folding a batch normalisation
scales a kernel channel by channel and quantizing rounds it, so channels are compared by their
direction (the cosine of the angle between them), which neither changes much.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from zoo_builders.arrays import Array
from zoo_builders.keras_models.weights import Kernel
from zoo_builders.tflite.weight_tensors import CHANNEL_AXIS, Weight

ALIKE = 0.9
"""The least mean cosine of the channels of a kernel and of the tensor it became.

Kernels of 4 bits reach 0.97 and more, kernels of other layers stay near 0.
"""

_NEARER = 1e-6
"""What a place in the order of the file counts, where values alone decide nothing."""


def origins(kernels: Sequence[Kernel], weights: Sequence[Weight]) -> tuple[tuple[str, ...], ...]:
    """Name the layers behind each of `weights`; none where no kernel is alike.

    Layers with equal kernels are told apart by their order. Where the file stores them once, the
    tensor has all their names.
    """
    likeness = np.array(
        [[_alike(kernel, weight) for weight in weights] for kernel in kernels], np.float64
    ).reshape(len(kernels), len(weights))
    found: list[list[str]] = [[] for _ in weights]
    for row, column in _assigned(likeness):
        found[column].append(kernels[row].layer)
    return tuple(tuple(names) for names in found)


def _assigned(likeness: Array) -> Iterator[tuple[int, int]]:
    """Give each kernel a tensor of its own where there are enough, else the one most alike."""
    rows, columns = likeness.shape
    apart = np.abs(np.linspace(0, 1, rows)[:, None] - np.linspace(0, 1, columns)[None, :])
    chosen = dict(zip(*linear_sum_assignment(_NEARER * apart - likeness), strict=True))
    for row in range(rows if columns else 0):
        column = int(chosen.get(row, -1))
        if column < 0 or likeness[row, column] < ALIKE:
            column = int(likeness[row].argmax())
        if likeness[row, column] >= ALIKE:
            yield row, column


def _alike(kernel: Kernel, weight: Weight) -> float:
    """Give the mean cosine of the channels, 0 where the sizes do not fit."""
    if kernel.values.size != weight.values.size or not kernel.values.size:
        return 0.0
    stored = _channels(_centred(weight), CHANNEL_AXIS.get(weight.operator.code, 0))
    return max((_cosine(rows, stored) for rows in _spellings(kernel, stored.shape)), default=0.0)


def _spellings(kernel: Kernel, shape: tuple[int, ...]) -> Iterator[Array]:
    """Spell a kernel as rows of output channels in every way that fits `shape`."""
    values = np.asarray(kernel.values, np.float64)
    if kernel.depthwise:
        options: tuple[Array, ...] = (
            np.moveaxis(values, (2, 3), (0, 1)).reshape(-1, *values.shape[:2]),
        )
    elif values.ndim > 1:  # a transposed convolution keeps its outputs before its inputs
        swapped = np.swapaxes(values, -1, -2)
        options = (np.moveaxis(values, -1, 0), np.moveaxis(swapped, -1, 0))
        options += (values.reshape(values.shape[0], -1).T, values)
    else:
        options = ()
    for option in options:
        rows = option.reshape(len(option), -1)
        if rows.shape == shape:
            yield rows


def _centred(weight: Weight) -> Array:
    """Give values that are 0 where the weight is; scales are left out but for those of blocks."""
    tensor, values = weight.tensor, np.asarray(weight.values)
    if tensor.dtype == "bfloat16":
        return np.asarray((values.astype(np.uint32) << 16).view(np.float32), np.float64)
    along = [1] * values.ndim
    if len(tensor.zero_points) > 1:
        along[tensor.axis] = -1
    points = np.asarray(tensor.zero_points or (0,))
    centred = np.asarray(values, np.float64) - (points.reshape(along) if values.ndim else points)
    if tensor.block and len(tensor.scales) * tensor.block == values.size:
        centred *= np.repeat(np.asarray(tensor.scales), tensor.block).reshape(values.shape)
    return np.asarray(centred)


def _channels(values: Array, axis: int) -> Array:
    rows = np.moveaxis(values, axis, 0) if values.ndim else values.reshape(1)
    return rows.reshape(len(rows), -1)


def _cosine(one: Array, other: Array) -> float:
    """Give the mean over rows; a row of zeros is like a row of zeros only."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    empty = ~one.any(axis=1) & ~other.any(axis=1)
    cosines = np.abs((one * other).sum(axis=1)) / np.where(lengths > 0, lengths, 1.0)
    return float(np.where(empty, 1.0, cosines).mean())


def named(found: Sequence[Sequence[str]], weights: Sequence[Weight]) -> Mapping[str, object]:
    """Spell origins for `layers.json`: the layers of each weight tensor, in the file's order."""
    return {
        "tensors": [
            {"name": weight.tensor.name, "layers": list(layers)}
            for weight, layers in zip(weights, found, strict=True)
        ]
    }
