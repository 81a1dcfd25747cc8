"""Whether a data set's examples are what a file's input takes: shapes, kinds of numbers, ranges.

A file from elsewhere does not say how its inputs were prepared. What can be seen to be wrong is
refused before anybody believes a number that was measured on it.
"""

import math
from collections.abc import Sequence

from zoo_builders.arrays import Array
from zoo_builders.tflite.litert import Port
from zoo_registry.model.errors import BuildFailed

CLIPPED = 0.25
"""Share of values beyond the ends of a quantized input's range from which examples are refused.

Inputs that were prepared as in training stay inside it but for a few at the ends.
"""

FEWEST_STEPS = 4
"""Steps of a quantized input that the values of examples must at least spread over."""


def shaped(wanted: Sequence[int], example: Sequence[int]) -> tuple[int, ...]:
    """Give the shape of an input with a batch of one, open sizes filled in from an example's shape.

    An example fits where it has the same sizes but for those of 1, or where the input is one row of
    as many numbers.

    Raises:
        BuildFailed: it does not; with both shapes.
    """
    sizes, given = list(wanted[1:]), [size for size in example if size != 1]
    if -1 in sizes:
        sizes = _filled(sizes, example)
    same = [size for size in sizes if size != 1] == given
    row = len(sizes) == 1 and sizes[0] == math.prod(example)
    if -1 not in sizes and (same or row):
        return (1, *sizes)
    raise BuildFailed(misfit(wanted, example), hint=way_out(wanted, example))


def _filled(sizes: Sequence[int], example: Sequence[int]) -> list[int]:
    if len(sizes) == len(example):
        return [given if size == -1 else size for size, given in zip(sizes, example, strict=True)]
    if len(sizes) == 1:
        return [math.prod(example)]
    plain = [size for size in example if size != 1]
    if len(sizes) == len(plain):
        return [given if size == -1 else size for size, given in zip(sizes, plain, strict=True)]
    return list(sizes)


def fits(wanted: Sequence[int], example: Sequence[int]) -> bool:
    """Whether an example of that shape can be fed (see `shaped`)."""
    try:
        shaped(wanted, example)
    except BuildFailed:
        return False
    return True


def misfit(wanted: Sequence[int], example: Sequence[int]) -> str:
    """Say that they do not fit."""
    return (
        f"the file takes inputs of shape {list(wanted)}, data and preprocessing give"
        f" {list(example)}"
    )


def way_out(wanted: Sequence[int], example: Sequence[int]) -> str:
    """Say what to change."""
    sizes = list(wanted[1:])
    rank = len(example)
    if len(sizes) == rank and rank > 1 and sizes == [example[-1], *example[:-1]]:
        return (
            "it takes channels first, as PyTorch does: convert it with channels last (onnx2tf does)"
        )
    if len(sizes) == rank == 3 and -1 not in sizes[:2]:  # noqa: PLR2004  height, width, channels
        if sizes[2] == example[2]:
            return f"write preprocess: [{{resize: [{sizes[0]}, {sizes[1]}]}}, …]"
        if (sizes[2], example[2]) == (1, 3):
            return (
                f"write preprocess: [{{grayscale: {{}}}}, {{resize: [{sizes[0]}, {sizes[1]}]}}, …]"
            )
    return "change data.args or data.preprocess so that they give what the file takes"


def demand(port: Port, examples: Array) -> None:
    """See that real values [N, …] can be what an input takes.

    Floats take all; whole numbers without a scale take whole numbers; those with one have a range.

    Raises:
        BuildFailed: they cannot; with both ranges, and what to write.
    """
    import numpy as np

    if not np.issubdtype(port.dtype, np.integer) or not examples.size:
        return
    low, high = float(examples.min()), float(examples.max())
    bottom, top = ends(port)
    if not port.scale:
        if (examples == np.rint(examples)).all() and bottom <= low and high <= top:
            return
        raise BuildFailed(
            f"the input {port.name!r} takes whole numbers as they are ({port.dtype}, no scale), and"
            f" the examples hold {low:g} to {high:g}",
            hint="leave rescale and standardize out of data.preprocess",
        )
    outside = (examples < bottom - port.scale) | (examples > top + port.scale)
    share = float(np.mean(outside))
    distinct = min(len(np.unique(examples[:8])), FEWEST_STEPS)
    if share > CLIPPED or (high - low) / port.scale < distinct - 1:
        raise BuildFailed(
            f"the input {port.name!r} ({port.dtype}) stands for {bottom:.4g} to {top:.4g}, and the"
            f" examples hold {low:g} to {high:g}: {share:.0%} of their values are cut off, or they"
            " fall on a few steps",
            hint=f"write preprocess: [{{rescale: [{bottom:.4g}, {top:.4g}]}}], or as in training",
        )


def ends(port: Port) -> tuple[float, float]:
    """Give what the lowest and the highest whole number of a port stand for."""
    import numpy as np

    limits = np.iinfo(port.dtype)
    low, high = int(limits.min) - port.zero_point, int(limits.max) - port.zero_point
    return low * (port.scale or 1.0), high * (port.scale or 1.0)
