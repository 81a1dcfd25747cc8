"""How far outputs of one file may be off: from the file, and from its golden outputs.

unit     what errors are counted in: the quantization step of what feeds the softmax (or of the
output, where there is no softmax), at least a 32nd of the standard deviation of the
golden values, which is what a step of int8 comes to
limits   a number of units by how the file computes; measured, see `LIMITS`
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.agreement import Limits, Measure, Rule
from zoo_builders.tflite.tflite_file import Subgraph, Tensor, TfliteFile

Encoding = Literal["float32", "float16", "dynamic", "int8", "int8-per-tensor", "int16x8", "int4"]

LIMITS: dict[Encoding, tuple[float, float]] = {
    "float32": (0.05, 0.05),
    "float16": (0.5, 1.0),
    "dynamic": (1.0, 4.0),
    "int8": (2.0, 8.0),
    "int8-per-tensor": (2.0, 8.0),
    "int16x8": (0.25, 1.0),
    "int4": (1.0, 4.0),
}
"""Units that the median example may be off: at least, and where kernels of this file differ much.

Between the two it is `MARGIN` times what two kernels of this machine were seen to differ on the
golden examples. Measured by `benchmarks/agreement_of_kernels.py`: see
`docs/agreement-of-kernels.md` for how far good kernels are apart.
"""

MARGIN, MOST = 3.0, 3.0
"""Times what was seen on nine examples of ten; and how far an exception begins beyond `typical`."""

_SEEN = 0.9

RARE, SURE = 0.02, 1e-4
"""Share of examples of a good file that may be exceptions; chance that more of a set are."""

_STEPS_OF_SD = 32
_FLOAT_RESOLUTION, _LEAST = 1e-6, 1e-6
_KERNEL_STEPS = {"int8": 1.0, "uint8": 1.0, "int16": 8.0}
"""Steps of its output that one softmax kernel may be off another's, fed the same."""

_PASSED = frozenset({"DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_ODDS = frozenset({"SOFTMAX", "LOGISTIC"})
_SAME, _ALL = 0.1, 1.0


def rule(file: TfliteFile, outputs: Sequence[Array], seen: Sequence[Array] | None = None) -> Rule:
    """Say when outputs count as these golden ones, [examples, …] a port, as stored.

    `seen` are outputs by other kernels that are right too; without them the limits are wide.
    """
    return limits_of(encoding(file), file.main, outputs, seen)


def limits_of(
    kind: Encoding, graph: Subgraph, outputs: Sequence[Array], seen: Sequence[Array] | None = None
) -> Rule:
    """Say it of a graph that is known to compute in an encoding."""
    limits = tuple(
        _limits(kind, _scale(graph, index, golden), golden, None if seen is None else seen[port])
        for port, (index, golden) in enumerate(zip(graph.outputs, outputs, strict=True))
    )
    return Rule(kind, limits, exceptions(len(outputs[0])))


def _scale(graph: Subgraph, index: int, golden: Array) -> Limits:
    """Say how errors of an output are told; `typical` is one unit."""
    source, port = _Source.of(graph, index), graph.tensors[index]
    stepped = _step(port) > 0
    if not stepped and np.issubdtype(golden.dtype, np.integer):
        return Limits("same", 0.0, 1.0, 0.0, _SAME, _ALL)
    measure: Measure = "log-odds" if source.code in _ODDS else "values"
    resolution = 0.0
    if measure == "log-odds":
        steps = source.step * _KERNEL_STEPS.get(source.tensor.dtype, 1.0)
        resolution = steps or _FLOAT_RESOLUTION
    offset, factor = (port.zero_points[0], port.scales[0]) if stepped else (0, 1.0)
    scale = Limits(measure, float(offset), factor, resolution, 0.0, 0.0)
    step = source.fed_by if measure == "log-odds" else source.step
    return replace(scale, typical=max(step, _step_of_spread(scale, golden)))


def _limits(kind: Encoding, scale: Limits, golden: Array, seen: Array | None) -> Limits:
    if scale.measure == "same":
        return scale
    least, widest = (units * scale.typical for units in LIMITS[kind])
    typical = widest
    if seen is not None:
        usual = float(np.quantile(scale.errors(seen, golden), _SEEN))
        typical = min(widest, max(least, MARGIN * usual))
    return replace(scale, typical=_rounded(typical), most=_rounded(MOST * typical))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _step_of_spread(scale: Limits, golden: Array) -> float:
    """Give what a step of int8 would come to, were these all values: never 0."""
    values = scale.told(golden)
    if not values.size:
        return _LEAST
    return max(float(values.std()) / _STEPS_OF_SD, float(np.abs(values).max()) * _LEAST, _LEAST)


def exceptions(examples: int) -> int:
    """Give the least k such that of a good file more than k are exceptions with chance `SURE`.

    Binomial, with the share `RARE`.
    """
    chance = (1 - RARE) ** examples
    total, k = chance, 0
    while 1 - total > SURE:
        k += 1
        chance *= (examples - k + 1) / k * RARE / (1 - RARE)
        total += chance
    return k


def encoding(file: TfliteFile) -> Encoding:
    """Say how a file computes, by what its operators read and its weights are stored in.

    The coarsest arithmetic in it counts.
    """
    computed = {
        file.main.tensors[index].dtype
        for operator in file.main.operators
        if operator.code not in _PASSED
        for index in operator.outputs
        if not file.main.tensors[index].constant
    }
    weights = list(_weights(file))
    if computed & {"int8", "uint8"}:
        wide = all(len(tensor.scales) == 1 for tensor in weights)
        return "int8-per-tensor" if wide and weights else "int8"
    if "int16" in computed:
        return "int16x8"
    stored = {tensor.dtype for tensor in weights}
    for dtypes, name in _STORED:
        if stored & dtypes:
            return name
    return "float32"


_STORED: tuple[tuple[frozenset[str], Encoding], ...] = (
    (frozenset({"int4", "int2"}), "int4"),
    (frozenset({"int8", "uint8"}), "dynamic"),
    (frozenset({"float16", "bfloat16"}), "float16"),
)


def _weights(file: TfliteFile) -> list[Tensor]:
    """List constant tensors of several channels that operators with weights read.

    They may stand behind operators that unpack them.
    """
    found = []
    for graph in file.subgraphs:
        for operator in graph.operators:
            if operator.code in weight_tensors.WITH_WEIGHTS:
                found += [_unpacked(graph, index) for index in operator.inputs[:2] if index >= 0]
    return [tensor for tensor in found if tensor.constant and max(tensor.shape, default=1) > 1]


def _unpacked(graph: Subgraph, index: int) -> Tensor:
    while (operator := graph.producers.get(index)) is not None:
        if operator.code not in weight_tensors.UNPACKING:
            break
        index = operator.inputs[0]
    return graph.tensors[index]


@dataclass(frozen=True, slots=True)
class _Source:
    """What an output comes from.

    Attributes:
        code: the first operator behind it that computes; empty where it is an input.
        tensor: what that operator writes.
        step: coarsest quantization step between it and the output; 0 of floats.
        fed_by: step of what that operator reads; 0 of floats.
    """

    code: str
    tensor: Tensor
    step: float
    fed_by: float

    @classmethod
    def of(cls, graph: Subgraph, index: int) -> "_Source":
        tensor, step = graph.tensors[index], 0.0
        while True:
            step = max(step, _step(tensor))
            operator = graph.producers.get(tensor.index)
            if operator is None:
                return cls("", tensor, step, 0.0)
            before = graph.tensors[operator.inputs[0]]
            if operator.code not in _PASSED:
                return cls(operator.code, tensor, step, _step(before))
            tensor = before


def _step(tensor: Tensor) -> float:
    return tensor.scales[0] if tensor.scales and tensor.dtype in _KERNEL_STEPS else 0.0
