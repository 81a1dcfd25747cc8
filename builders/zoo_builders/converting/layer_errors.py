"""What quantization does to each layer of a file: measured tensor by tensor, by running it.

Two ways of looking, and both are told apart in the record (`Quantization.mode`):

    layer     each operator computed twice, quantized and float, from the same quantized inputs: its
              own error. Needs the debug file of `tensorflow_converter.quantize_calibrated`, in
              which a NumericVerify operator takes both results.
    network   the quantized file beside the float one, each on its own values: errors add up towards
              the output. Needs only the two files.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.techniques.quantize.engines import MOVING
from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.operator_names import layer_of
from zoo_builders.tflite.tflite_file import Operator, Subgraph, Tensor, TfliteFile
from zoo_registry.model.record import LayerError

EXAMPLES = 50
"""On how many calibration inputs errors are measured: each holds thousands of values a tensor."""

CEILING_DB = 120.0
"""Reported where quantized and float agree; no integer of the file resolves more."""

_VERIFY = "CUSTOM"


@dataclass(frozen=True, slots=True)
class Quantized:
    """An operator of a file that can be left in float.

    Attributes:
        known_as: the name people know it by (see `operator_names`).
        output: name of what it gives: how the converters are told of it.
    """

    code: str
    known_as: str
    output: str


def operators(float_file: TfliteFile) -> tuple[Quantized, ...]:
    """List the operators of a float file, in order."""
    graph = float_file.main
    shown = [
        operator
        for operator in graph.operators
        if operator.code not in weight_tensors.UNPACKING and operator.outputs
    ]
    return tuple(
        Quantized(
            operator.code,
            weight_tensors.known_as(graph, operator),
            graph.tensors[operator.outputs[0]].name,
        )
        for operator in shown
    )


def with_followers(float_file: TfliteFile, kept: Collection[str]) -> tuple[str, ...]:
    """Add to the operators called `kept` those that only pass on what these give.

    A `PAD` between two convolutions is one.
    """
    graph = float_file.main
    found = set(kept)
    for operator in graph.operators:
        source = (
            graph.producers.get(operator.inputs[0])
            if operator.code in MOVING and operator.inputs
            else None
        )
        if source is not None and graph.tensors[source.outputs[0]].name in found:
            found |= {graph.tensors[index].name for index in operator.outputs}
    return tuple(sorted(found))


@dataclass(slots=True)
class _Sums:
    """Signal and noise of one tensor, by channel, over all examples so far."""

    scale: float
    signal: Any = 0.0
    noise: Any = 0.0
    count: int = 0

    def add(self, reference: Array, found: Array) -> None:
        channels = reference.shape[-1] if reference.ndim else 1
        wanted, got = (
            np.asarray(values, np.float64).reshape(-1, channels) for values in (reference, found)
        )
        self.signal = self.signal + np.square(wanted).sum(axis=0)
        self.noise = self.noise + np.square(wanted - got).sum(axis=0)
        self.count += wanted.size

    def rmse_over_scale(self) -> float:
        return float((self.noise.sum() / self.count) ** 0.5 / self.scale) if self.scale else 0.0

    def sqnr_db(self) -> float:
        return float(_decibels(self.signal.sum(), self.noise.sum()))

    def sqnr_channels_db(self) -> float:
        """Average over the channels that carry a signal: a dead one says nothing."""
        live = self.signal > 0
        return (
            float(_decibels(self.signal[live], self.noise[live]).mean())
            if live.any()
            else CEILING_DB
        )


def _decibels(signal: Any, noise: Any) -> Any:
    tiny = np.finfo(np.float64).tiny
    return np.clip(
        10 * (np.log10(np.maximum(signal, tiny)) - np.log10(np.maximum(noise, tiny))),
        -CEILING_DB,
        CEILING_DB,
    )


def of_layers(
    calibrated: TfliteFile,
    debug: TfliteFile,
    examples: Array,
    report: Callable[[int, int, str], None],
) -> tuple[LayerError, ...]:
    """Measure each operator's own error with the converter's debug file, on inputs float32 [N, …].

    The errors come in the order of the file.

    Raises:
        MeasureFailed: the runtime cannot run the debug file.
    """
    graph, session = debug.main, Session(debug.data, kernels="builtin", keep_all=True)
    names = {operator.output for operator in operators(calibrated)}
    pairs = [
        (operator, _own_name(graph.tensors[operator.inputs[1]].name, names))
        for operator in _verified(graph)
    ]
    sums = {name: _Sums(graph.tensors[operator.inputs[0]].scales[0]) for operator, name in pairs}
    for done, example in enumerate(examples):
        report(done, len(examples), "errors by layer")
        session.run([example[None]])
        for operator, name in pairs:
            quantized, reference = operator.inputs
            sums[name].add(
                session.value(reference), _real(graph.tensors[quantized], session.value(quantized))
            )
    return tuple(_errors(operators(calibrated), sums))


def _verified(graph: Subgraph) -> list[Operator]:
    return [
        operator
        for operator in graph.operators
        if operator.code == _VERIFY and len(operator.inputs) == len(("quantized", "float"))
    ]


def _own_name(name: str, names: set[str]) -> str:
    """Undo the digits that the converter appends to tell two tensors of one name apart."""
    short = name
    while short and short not in names and short[-1].isdigit():
        short = short[:-1]
    return short if short in names else name


def of_network(
    float_file: TfliteFile,
    quantized_file: TfliteFile,
    examples: Array,
    report: Callable[[int, int, str], None],
) -> tuple[LayerError, ...]:
    """Compare what the operators of two files give for the same inputs [N, …].

    Only tensors that are integers in the second file are compared.

    Raises:
        MeasureFailed: the runtime cannot run one of them.
    """
    first, second = (
        Session(file.data, kernels="builtin", keep_all=True)
        for file in (float_file, quantized_file)
    )
    pairs = dict(_same(float_file.main, quantized_file.main))
    sums = {name: _Sums(tensor.scales[0]) for name, (_, tensor) in pairs.items()}
    for done, example in enumerate(examples):
        report(done, len(examples), "errors by layer")
        for session in (first, second):
            session.run([session.inputs[0].store(example[None])])
        for name, (reference, tensor) in pairs.items():
            sums[name].add(first.value(reference), _real(tensor, second.value(tensor.index)))
    return tuple(_errors(operators(float_file), sums))


def _same(first: Subgraph, second: Subgraph) -> Iterator[tuple[str, tuple[int, Tensor]]]:
    """Pair computed tensors of the two files by name and shape.

    The result maps a name to (index in the first, tensor of the second).
    """
    names = {
        first.tensors[operator.outputs[0]].name: operator.outputs[0]
        for operator in first.operators
        if operator.outputs
    }
    for operator in second.operators:
        tensor = second.tensors[operator.outputs[0]] if operator.outputs else None
        name = _own_name(tensor.name, set(names)) if tensor else ""
        if (
            tensor
            and name in names
            and len(tensor.scales) == 1
            and tensor.shape == first.tensors[names[name]].shape
        ):
            yield name, (names[name], tensor)


def _real(tensor: Tensor, stored: Array) -> Array:
    return (np.asarray(stored, np.float64) - tensor.zero_points[0]) * tensor.scales[0]


def _errors(found: Sequence[Quantized], sums: Mapping[str, _Sums]) -> Iterator[LayerError]:
    for operator in found:
        own = sums.get(operator.output)
        if own is not None and own.count:
            yield LayerError(
                layer=layer_of(operator.known_as),
                tensor=operator.output,
                operator=operator.code,
                rmse_over_scale=round(own.rmse_over_scale(), 6),
                sqnr_db=round(own.sqnr_db(), 3),
                sqnr_channels_db=round(own.sqnr_channels_db(), 3),
            )
