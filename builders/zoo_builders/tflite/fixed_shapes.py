"""A file whose input shapes are open gets fixed ones, so that delegates and browsers take it whole.

TensorFlow's converter writes an open batch by default (`shape_signature` -1). LiteRT then computes
shapes while it runs: where the network flattens or reshapes, by operators of their own (SHAPE,
PACK, …), behind which no delegate works. Here the runtime itself is asked, once, what every shape
is when the input is fixed. Shapes are written down, and operators that compute only shapes become
the constants they give.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from zoo_builders.arrays import Array
from zoo_builders.tflite import litert
from zoo_builders.tflite.flatbuffer import pack, unpacked
from zoo_builders.tflite.tflite_file import BadFile, Operator, Subgraph, TfliteFile
from zoo_registry.model.errors import MeasureFailed, Unsupported

SHAPED_BY_VALUES = frozenset(
    {
        "WHERE",
        "UNIQUE",
        "RANGE",
        "SEGMENT_SUM",
        "SPARSE_TO_DENSE",
        "NON_MAX_SUPPRESSION_V4",
        "NON_MAX_SUPPRESSION_V5",
        "CUSTOM",
        "DELEGATE",
        "IF",
        "WHILE",
        "CALL",
        "STABLEHLO_WHILE",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_DYNAMIC_SLICE",
    }
)
"""Operators that give sizes which depend on values, or on what another subgraph gives."""

KEPT = frozenset({"READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE", "CALL_ONCE", "RANDOM_UNIFORM"})
KEPT |= {"RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "HASHTABLE", "HASHTABLE_FIND"}
"""Operators that are no function of their inputs: what they give is never written down."""

_WHOLE = frozenset({"int32", "int64"})
_SIZE_FIRST = frozenset({"FILL", "TRANSPOSE_CONV"})
"""Operators that are told the size of what they give by their first operand."""
_PICKING = frozenset({"GATHER", "GATHER_ND", "EMBEDDING_LOOKUP", "SELECT", "SELECT_V2"})
"""Operators whose whole numbers are places or values, not sizes."""


def is_open(file: TfliteFile) -> bool:
    """Whether an input of the first subgraph leaves a size open."""
    return any(-1 in file.main.tensors[index].shape for index in file.main.inputs)


def fix(file: TfliteFile, shape: Sequence[int], example: Array) -> bytes:
    """Write the file anew with its one input fixed to `shape`.

    `example`, as stored, of that shape, is run once to learn what each tensor's shape is.

    Raises:
        Unsupported: the file does not run with that shape, or it cannot be written anew.
        BadFile: it is damaged.
    """
    if _has_data_behind(file):
        raise Unsupported(
            "its weights stand behind the flatbuffer (a file beyond 2 GB), which is not edited",
            hint="convert it with a fixed batch: tf.TensorSpec((1, …))",
        )
    [index] = file.main.inputs
    seen = _observed(file, shape, example)
    known = _known(file.main, seen)
    try:
        return _written(file, index, tuple(shape), seen, known)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise BadFile(f"damaged .tflite file: {type(error).__name__}: {error}") from error


def _has_data_behind(file: TfliteFile) -> bool:
    """Whether bytes of tensors stand behind the flatbuffer, as in files beyond 2 GB."""
    model = litert.schema().Model.GetRootAs(file.data, 0)
    return any(model.Buffers(i).Offset() > 1 for i in range(model.BuffersLength()))


def _observed(file: TfliteFile, shape: Sequence[int], example: Array) -> dict[int, Array]:
    """Run the file once with its input in that shape; give every tensor that can be read."""
    try:
        session = litert.Session(file.data, kernels="builtin", keep_all=True, shape=shape)
        session.run([example])
    except MeasureFailed as error:
        raise Unsupported(
            f"the file does not run with an input of {list(shape)}: {error.message}",
            hint="convert it with a fixed batch: tf.TensorSpec((1, …))",
        ) from error
    found = {}
    for tensor in file.main.tensors:
        if tensor.dtype not in {"resource", "variant", "string"}:
            with suppress(MeasureFailed):
                found[tensor.index] = session.value(tensor.index)
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """What is sure whatever the input's values are.

    Attributes:
        shapes: tensors whose shape never changes.
        values: tensors whose values never change, computed ones among them.
    """

    shapes: set[int]
    values: set[int]


def _known(graph: Subgraph, seen: Mapping[int, Array]) -> _Known:
    """Follow the operators in their order from the constants and the fixed input."""
    constant = {t.index for t in graph.tensors if t.constant}
    known = _Known({*constant, *graph.inputs}, set(constant))
    known.shapes.update(t.index for t in graph.tensors if t.variable)
    for operator in graph.operators:
        given = [index for index in operator.inputs if index >= 0]
        if not _is_shaped(graph, operator, given, known):
            continue
        known.shapes.update(index for index in operator.outputs if index >= 0)
        pure = operator.code not in KEPT and bool(given)
        if pure and (operator.code == "SHAPE" or known.values.issuperset(given)):
            known.values.update(index for index in operator.outputs if index in seen)
    return known


def _is_shaped(graph: Subgraph, operator: Operator, given: Sequence[int], known: _Known) -> bool:
    """Whether an operator's outputs have one shape for all inputs.

    Whole numbers behind the first operand may decide a shape (of RESHAPE): they must be known.
    """
    if operator.code == "RANGE":
        return known.values.issuperset(given)
    if operator.code in SHAPED_BY_VALUES or not known.shapes.issuperset(given):
        return False
    if operator.code in _SIZE_FIRST:
        return known.values.issuperset(given[:1])
    whole = [index for index in given[1:] if graph.tensors[index].dtype in _WHOLE]
    return operator.code in _PICKING or known.values.issuperset(whole)


def _written(
    file: TfliteFile, entry: int, shape: tuple[int, ...], seen: Mapping[int, Array], known: _Known
) -> bytes:
    import numpy as np

    schema = litert.schema()
    model = unpacked(file.data)
    graph = model.subgraphs[0]
    graph.tensors[entry].shape = list(shape)
    for index, value in seen.items():
        if index in known.shapes and not file.main.tensors[index].constant:
            graph.tensors[index].shape = list(value.shape)
    for index in (entry, *known.shapes):
        graph.tensors[index].shapeSignature = None
    kept = _needed(file.main, known)
    for operator in file.main.operators:
        if operator.index not in kept:
            continue
        for index in operator.inputs:
            if index in known.values and not file.main.tensors[index].constant:
                made = schema.BufferT()
                made.data = np.frombuffer(seen[index].tobytes(), np.uint8)
                model.buffers.append(made)
                graph.tensors[index].buffer = len(model.buffers) - 1
    graph.operators = [one for place, one in enumerate(graph.operators) if place in kept]
    return pack(model)


def _needed(graph: Subgraph, known: _Known) -> set[int]:
    """Give the operators that still compute something: not those of which all outputs are known."""
    computed = set(graph.outputs)
    return {
        operator.index
        for operator in graph.operators
        if not operator.outputs
        or not known.values.issuperset(operator.outputs)
        or computed.intersection(operator.outputs)
        or operator.code in KEPT
    }


def difference(old: bytes, new: bytes, shape: Sequence[int], examples: Sequence[Array]) -> float:
    """Run both files on examples as stored; `shape` is what the old one leaves open.

    Give the largest difference between outputs, as a share of the old ones' range in that example.

    Raises:
        Unsupported: outputs have other shapes than they had.
        MeasureFailed: one of them does not run.
    """
    first = litert.Session(old, kernels="builtin", shape=shape)
    second = litert.Session(new, kernels="builtin")
    return max(
        _off(before, after)
        for example in examples
        for before, after in zip(first.run([example]), second.run([example]), strict=True)
    )


def _off(before: Array, after: Array) -> float:
    import numpy as np

    if before.shape != after.shape:
        raise Unsupported(
            f"with a fixed batch an output has the shape {after.shape}, not {before.shape}",
            hint="convert it with a fixed batch: tf.TensorSpec((1, …))",
        )
    span = float(np.ptp(before.astype(np.float64))) if before.size else 0.0
    off = np.abs(before.astype(np.float64) - after.astype(np.float64))
    return float(off.max(initial=0.0)) / (span or max(1.0, float(np.abs(before).max(initial=0))))
