"""Constants of a `.tflite` that are not numbers.

NaN means nothing anywhere. Infinity is a fault in weights and biases alone: a mask of attention or
the padding before a maximum may be minus infinity.
"""

from collections.abc import Iterator

from zoo_builders.arrays import Array
from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.tflite_file import BadFile, Subgraph

_FLOATS = {"float32": "<f4", "float16": "<f2", "float64": "<f8"}


def problem(graph: Subgraph) -> str:
    """Name the first constant that holds what is no number; empty where all are.

    Of a file whose bytes do not fit its shapes nothing is said here.
    """
    try:
        return next(_wrong(graph), "")
    except BadFile:
        return ""


def _wrong(graph: Subgraph) -> Iterator[str]:
    import numpy as np

    for weight in weight_tensors.find(graph):
        told = f"{weight.tensor.name!r} (weights of {weight.operator.code})"
        for what, values in ((told, weight.values), (f"the bias beside {told}", weight.bias)):
            if values is not None and (found := _first(values, ~_finite(values))):
                yield f"{what} {found}"
    for tensor in graph.tensors:
        if not np.isfinite(tensor.scales).all():
            yield f"{tensor.name!r} has a scale that is no number"
        if tensor.constant and tensor.sparse is None and tensor.dtype in _FLOATS:
            values = np.frombuffer(tensor.data, _FLOATS[tensor.dtype])
            if found := _first(values, np.isnan(values)):
                yield f"{tensor.name!r} {found}"


def _finite(values: Array) -> Array:
    import numpy as np

    floats = values.dtype.kind == "f"
    found: Array = np.isfinite(values) if floats else np.ones(values.shape, bool)
    return found


def _first(values: Array, wrong: Array) -> str:
    import numpy as np

    if not wrong.any():
        return ""
    place = tuple(np.argwhere(wrong)[0].tolist())
    return f"holds {values[place]} at {list(place)} ({int(wrong.sum())} of {values.size} values)"
