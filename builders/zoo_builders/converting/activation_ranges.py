"""Ranges of activations in a calibrated float file.

They are narrowed, so that a few outliers do not make every other value coarse.

The converter writes the smallest and the largest value that each tensor took on the calibration
inputs, and 255 steps are spread over all between. Here the values themselves are counted, and a
range keeps a share of them (percentile calibration; Wu et al. 2020, "Integer quantization for deep
learning inference", section 5.1). Inputs and outputs of the file keep their ranges: clipped scores
would be equal.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.techniques.quantize.engines import MOVING
from zoo_builders.tflite import litert
from zoo_builders.tflite.flatbuffer import pack, read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.tflite_file import TfliteFile

_BINS = 4096
_FLOAT32 = 0


def narrow(
    calibrated: TfliteFile,
    inputs: Array,
    percentile: float,
    report: Callable[[int, int, str], None],
) -> TfliteFile:
    """Give the calibrated file with ranges that keep `percentile` % of the values in its tensors.

    The values are those for `inputs`, the calibration inputs, float32 [N, …].

    Raises:
        MeasureFailed: the runtime cannot run it.
    """
    model = litert.schema().ModelT.InitFromPackedBuf(calibrated.data, 0)
    spans = _spans(model)
    counts = _counted(calibrated.data, inputs, spans, report)
    ends = {index: kept(counts[index], *span, percentile) for index, span in spans.items()}
    for operator in calibrated.main.operators:
        if (
            operator.code in MOVING and operator.outputs[0] in ends
        ):  # the same values in another place: one scale holds for both
            taken = [ends[index] for index in operator.inputs if index in ends] or [
                spans[operator.outputs[0]]
            ]
            ends[operator.outputs[0]] = min(low for low, _ in taken), max(high for _, high in taken)
    for index, (low, high) in ends.items():
        quantization = model.subgraphs[0].tensors[index].quantization
        quantization.min, quantization.max = [low], [high]
    return read(pack(model))


def kept(counts: Array, low: float, high: float, percentile: float) -> tuple[float, float]:
    """Cut what is beyond `percentile` % of a histogram of equal bins over [low, high].

    Half of it is cut at either end.

    A range keeps 0, which quantization must be able to say.
    """
    edges, share = np.linspace(low, high, len(counts) + 1), np.cumsum(counts) / max(1, counts.sum())
    tail = (1 - percentile / 100) / 2
    first, last = (
        int(np.searchsorted(share, tail, side="right")),
        int(np.searchsorted(share, 1 - tail)),
    )
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last, len(counts) - 1) + 1]))


def _spans(model: Any) -> Mapping[int, tuple[float, float]]:
    """Map each tensor to its calibrated range with 0 in it.

    Only tensors count that operators write and that are not results of the file.
    """
    graph = model.subgraphs[0]
    ports = {int(index) for index in (*graph.inputs, *graph.outputs)}
    written: Collection[int] = {
        int(index) for operator in graph.operators for index in operator.outputs
    } - ports
    found = {}
    for index in sorted(written):
        quantization = graph.tensors[index].quantization
        if (
            graph.tensors[index].type == _FLOAT32
            and quantization is not None
            and quantization.min is not None
            and len(quantization.min) == 1
        ):
            low, high = min(0.0, float(quantization.min[0])), max(0.0, float(quantization.max[0]))
            if low < high:
                found[index] = (low, high)
    return found


def _counted(
    calibrated: bytes,
    inputs: Array,
    spans: Mapping[int, tuple[float, float]],
    report: Callable[[int, int, str], None],
) -> Mapping[int, Array]:
    """Count the values of each tensor in equal bins over its range."""
    session = Session(calibrated, kernels="builtin", keep_all=True)
    counts = {index: np.zeros(_BINS, np.int64) for index in spans}
    for done, example in enumerate(inputs):
        report(done, len(inputs), "ranges of activations")
        session.run([np.asarray(example, np.float32)[None]])
        for index, total in counts.items():
            np.add(
                total,
                np.histogram(np.clip(session.value(index), *spans[index]), _BINS, spans[index])[0],
                out=total,
            )
    return counts
