"""Weight tensors as they stand in a file.

Found through DENSIFY and DEQUANTIZE, decoded, counted.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoo_builders.arrays import Array
from zoo_builders.tflite import sparse_tensors
from zoo_builders.tflite.tflite_file import BadFile, Operator, Subgraph, Tensor
from zoo_registry.model.record import TensorSparsity

WITH_WEIGHTS = frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "TRANSPOSE_CONV",
        "CONV_3D",
        "BATCH_MATMUL",
        "EMBEDDING_LOOKUP",
    }
)
"""Operators with weights."""

WEIGHTS, BIAS = 1, 2
"""Which inputs of theirs hold the weights, and the bias where one is added."""

CHANNEL_AXIS: Mapping[str, int] = {"DEPTHWISE_CONV_2D": 3, "CONV_3D": 4, "BATCH_MATMUL": -1}
"""Axis of the output channels where it is not the first."""

_WITH_BIAS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D"})

UNPACKING = ("DENSIFY", "DEQUANTIZE")
"""Operators that may stand between a stored tensor and the operator that reads it."""

_PACKED_BITS = {"int4": 4, "int2": 2}
_STORAGE = {"bfloat16": "uint16", "bool": "bool"}
_DENSE_PER_BYTE = 256
"""A sparse tensor may unfold to this many elements per byte of its values and indices.

99.6 % zeros stay far below.
"""


@dataclass(frozen=True, slots=True)
class Weight:
    """One stored weight tensor, the operator that reads it, and its values (dense, as stored).

    The operator's bias, if it is stored.
    """

    tensor: Tensor
    operator: Operator
    values: Array
    bias: Array | None = None

    @property
    def zero(self) -> Array:
        """Mask of the elements that mean exactly zero.

        The zero point for integers, 0 for floats.
        """
        import numpy as np

        if self.tensor.dtype == "bfloat16":
            return np.asarray((self.values & 0x7FFF) == 0)
        points = self.tensor.zero_points or (0,)
        if len(points) == 1:
            return np.asarray(self.values == points[0])
        along = [1] * self.values.ndim
        along[self.tensor.axis] = len(points)
        return np.asarray(self.values == np.asarray(points).reshape(along))

    @property
    def bias_zero(self) -> Array | None:
        """Mask of the elements of the bias that are zero (integer biases have the zero point 0)."""
        import numpy as np

        return None if self.bias is None else np.asarray(self.bias == 0)

    def describe(self) -> TensorSparsity:
        """Count zeros and distinct values."""
        import numpy as np

        axis = CHANNEL_AXIS.get(self.operator.code, 0)
        channels = (
            np.moveaxis(self.values, axis, 0) if self.values.ndim else self.values.reshape(1, 1)
        )
        return TensorSparsity(
            name=self.tensor.name,
            operator=self.operator.code,
            shape=self.values.shape,
            dtype=self.tensor.dtype,
            sparsity=float(np.mean(self.zero)) if self.values.size else 0.0,
            distinct=len(np.unique(self.values)),
            distinct_per_channel=_most_distinct(channels),
            encoded_sparse=self.tensor.sparse is not None,
            granularity=_granularity(self.tensor),
        )


def _granularity(tensor: Tensor) -> str:
    """Say what one scale stands for; empty of values without scales."""
    if tensor.block:
        return f"block{tensor.block}"
    return "" if not tensor.scales else "tensor" if len(tensor.scales) == 1 else "channel"


def _most_distinct(channels: Array) -> int:
    """Count the different values in each row of [channels, …], all rows at once.

    Give the largest count.
    """
    import numpy as np

    if not channels.size:
        return 0
    rows = np.sort(channels.reshape(len(channels), -1), axis=1)
    return int((rows[:, 1:] != rows[:, :-1]).sum(axis=1).max()) + 1


def find(graph: Subgraph) -> Iterator[Weight]:
    """Give every weight tensor of a subgraph once, in the order of the operators that read them.

    Raises:
        BadFile: a tensor's bytes do not fit its shape, or its sparse description is wrong.
    """
    seen = set[int]()
    for operator in graph.operators:
        tensor = of(graph, operator)
        if tensor is not None and tensor.index not in seen:
            seen.add(tensor.index)
            yield Weight(tensor, operator, values(tensor), _bias(graph, operator))


def of(graph: Subgraph, operator: Operator) -> Tensor | None:
    """Give the stored weights of an operator; None where it has none, or they are computed."""
    if operator.code not in WITH_WEIGHTS or len(operator.inputs) <= WEIGHTS:
        return None
    return stored(graph, operator.inputs[WEIGHTS])


def _bias(graph: Subgraph, operator: Operator) -> Array | None:
    """Decode the bias an operator adds; None where it adds none.

    Of a computed one nothing is known: one element that is not zero.
    """
    import numpy as np

    if operator.code not in _WITH_BIAS or max(operator.inputs[BIAS:], default=-1) < 0:
        return None
    tensor = stored(graph, operator.inputs[BIAS])
    return np.full(1, np.nan) if tensor is None else values(tensor)


def known_as(graph: Subgraph, operator: Operator) -> str:
    """Give the name an operator goes by.

    Its weight tensor's where it has one that is stored, else that of what it gives.
    """
    own = of(graph, operator)
    given = next(
        (graph.tensors[index].name for index in operator.outputs if index >= 0), operator.code
    )
    return own.name if own is not None and own.name else given


def stored(graph: Subgraph, index: int) -> Tensor | None:
    """Give the constant behind tensor `index`, through DENSIFY and DEQUANTIZE.

    None when it is computed.
    """
    for _ in range(len(UNPACKING) + 1):
        if index < 0:
            return None
        tensor, source = graph.tensors[index], graph.producers.get(index)
        if tensor.constant:
            return tensor
        if source is None or source.code not in UNPACKING or not source.inputs:
            return None
        index = source.inputs[0]
    return None


def constant(graph: Subgraph, index: int) -> Array | None:
    """Decode the constant behind tensor `index`, as `values` does; None when it is computed.

    Raises:
        BadFile: its bytes do not fit its shape.
    """
    tensor = stored(graph, index)
    return None if tensor is None else values(tensor)


def values(tensor: Tensor) -> Array:
    """Decode a constant to a dense array of its shape, as stored.

    Raises:
        BadFile: its bytes do not fit its shape.
    """
    if any(size < 0 for size in tensor.shape):
        raise BadFile(f"the constant tensor {tensor.name!r} has the shape {tensor.shape}")
    elements = math.prod(tensor.shape)
    if tensor.sparse is None:
        return _unpack(tensor, elements).reshape(tensor.shape)
    indices = sum(
        0 if level.indices is None else len(level.indices) for level in tensor.sparse.levels
    )
    if elements > _DENSE_PER_BYTE * (len(tensor.data) + indices):
        raise BadFile(
            f"the sparse tensor {tensor.name!r} claims {elements} elements from {len(tensor.data)}"
            " bytes"
        )
    return sparse_tensors.decode(_unpack(tensor, None), tensor.shape, tensor.sparse)


def _unpack(tensor: Tensor, elements: int | None) -> Array:
    """Read `elements` values (None = as many as there are) from the bytes."""
    import numpy as np

    bits = _PACKED_BITS.get(tensor.dtype)
    if bits:
        found = _unpack_bits(np.frombuffer(tensor.data, np.uint8), bits)[:elements]
    else:
        dtype = np.dtype(_STORAGE.get(tensor.dtype, tensor.dtype)).newbyteorder("<")
        if len(tensor.data) % dtype.itemsize:
            raise BadFile(f"tensor {tensor.name!r}: {len(tensor.data)} bytes of {tensor.dtype}")
        found = np.frombuffer(tensor.data, dtype)
    if elements is not None and len(found) != elements:
        raise BadFile(f"tensor {tensor.name!r} of shape {tensor.shape} holds {len(found)} values")
    return found


def _unpack_bits(packed: Array, bits: int) -> Array:
    """Split bytes into signed integers of `bits` bits, the lowest first."""
    import numpy as np

    per_byte = 8 // bits
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    small = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1).astype(np.int8)
    return np.where(small >= 1 << (bits - 1), small - (1 << bits), small).astype(np.int8)
