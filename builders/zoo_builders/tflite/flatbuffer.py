"""Read a .tflite file (schema v3) into plain values, whatever its bytes are; write one.

The flatbuffer is untrusted: the generated accessors follow any offset and believe any length. Here
every vector's length is held against the file's own size before anyone walks it, the number of
things read is bounded for the whole file, and whatever an accessor trips over comes out as
`BadFile`.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from zoo_builders import file_kinds
from zoo_builders.arrays import Array
from zoo_builders.tflite import litert
from zoo_builders.tflite.tflite_file import (
    BadFile,
    Called,
    Level,
    Operator,
    Sparse,
    Subgraph,
    Tensor,
    TfliteFile,
)

IDENTIFIER = b"TFL3"
MAX_BYTES = 2 << 30

MAX_ITEMS = 1 << 20
"""Tensors, operators, dimensions and the like in one file.

Large language models stay under a tenth of it. Nor can a file hold more of them
than it has bytes."""

_SMALLEST = 8 + len(IDENTIFIER)


def read(data: bytes) -> TfliteFile:
    """Read a whole file.

    Raises:
        BadFile: not a .tflite file, cut off, or damaged; the message says where.
    """
    if not _SMALLEST <= len(data) <= MAX_BYTES or data[4:8] != IDENTIFIER:
        raise _no_tflite(data)
    try:
        return _Reader(data, litert.schema()).file()
    except _TRIPPED as error:
        raise _damaged(data, error) from error


def unpacked(data: bytes) -> Any:
    """Give the `ModelT` of a file that was read, to be changed and packed anew.

    Raises:
        BadFile: a part of it that nobody reads is damaged.
    """
    try:
        return litert.schema().ModelT.InitFromPackedBuf(data, 0)
    except _TRIPPED as error:
        raise _damaged(data, error) from error


_TRIPPED = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    KeyError,
)
"""What the generated accessors raise on bytes that are no model."""


def _damaged(data: bytes, error: Exception) -> BadFile:
    return BadFile(
        f"cut off or damaged .tflite file ({len(data):,} bytes): {type(error).__name__}: {error}",
        hint=f"compare its size and sha256 with the original's, or {file_kinds.AGAIN}",
    )


def _no_tflite(data: bytes) -> BadFile:
    """Say what the bytes are instead, where that is known."""
    kind = file_kinds.recognize(data)
    if kind is not None:
        return BadFile(f"not a .tflite file, but {kind.words}", hint=kind.hint)
    if data[4:8] == IDENTIFIER:
        return BadFile(f"{len(data)} bytes are no .tflite file ({_SMALLEST} to {MAX_BYTES})")
    return BadFile(
        f"not a .tflite file: identifier {data[4:8]!r} at byte 4, expected {IDENTIFIER!r}",
        hint=f"give a .tflite file, or {file_kinds.AGAIN}",
    )


def names(enumeration: Any) -> dict[int, str]:
    """Map the values of one of the schema's enumerations to their names."""
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}


class _Reader:
    """Walks the generated accessors, counting what it takes."""

    def __init__(self, data: bytes, schema: Any) -> None:
        self._data, self._schema, self._taken, self._copied = data, schema, 0, 0
        self._dtypes, self._codes = names(schema.TensorType), names(schema.BuiltinOperator)

    def _take(self, count: int, what: str, width: int = 4) -> int:
        """Allow `count` more items of at least `width` bytes each, or refuse."""
        self._taken += count
        if count * width > len(self._data) or self._taken > min(MAX_ITEMS, len(self._data)):
            raise BadFile(
                f"{what}: {count} of them do not fit into a file of {len(self._data)} bytes"
            )
        return count

    def _copy(self, size: int, what: str) -> None:
        """Allow `size` more bytes to be copied, or refuse.

        No file holds more than itself, however often it points there.
        """
        self._copied += size
        if self._copied > 2 * len(self._data):
            raise BadFile(
                f"{what}: the file's buffers add up to more than {self._copied} bytes, the file has"
                f" {len(self._data)}"
            )

    def _list(self, what: str, count: int, item: Callable[[int], Any], width: int = 4) -> list[Any]:
        return [item(index) for index in range(self._take(count, what, width))]

    def _ints(self, what: str, vector: Any) -> tuple[int, ...]:
        """Turn a vector that an accessor gives as an array (0 when absent) into a tuple."""
        if isinstance(vector, int):
            return ()
        self._take(len(vector), what, 1)
        return tuple(int(value) for value in vector)

    def file(self) -> TfliteFile:
        model = self._schema.Model.GetRootAs(self._data, 0)
        codes = self._list(
            "operator codes",
            model.OperatorCodesLength(),
            lambda i: self._code(model.OperatorCodes(i)),
        )
        buffers = self._list(
            "buffers", model.BuffersLength(), lambda i: self._buffer(model.Buffers(i))
        )
        subgraphs = self._list(
            "subgraphs",
            model.SubgraphsLength(),
            lambda i: self._subgraph(model.Subgraphs(i), codes, buffers),
        )
        if not subgraphs:
            raise BadFile("the file holds no subgraph")
        called = self._list(
            "signatures",
            model.SignatureDefsLength(),
            lambda i: self._called(model.SignatureDefs(i), subgraphs),
        )
        main = next((one for one in called if one.subgraph == 0), Called("", 0, {}, {}))
        metadata = self._list(
            "metadata", model.MetadataLength(), lambda i: self._noted(model.Metadata(i), buffers)
        )
        return TfliteFile(
            self._data,
            tuple(subgraphs),
            {index: name for name, index in main.inputs.items()},
            {index: name for name, index in main.outputs.items()},
            tuple(called),
            tuple(metadata),
        )

    def _noted(self, entry: Any, buffers: list[bytes]) -> tuple[str, bytes]:
        if entry.Buffer() >= len(buffers):
            raise BadFile(f"metadata names buffer {entry.Buffer()} of {len(buffers)}")
        return self._text(entry.Name()), buffers[entry.Buffer()]

    def _code(self, code: Any) -> tuple[str, str]:
        """Give the operator's name, and of a custom one its own."""
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = str(self._codes.get(number, f"BUILTIN_{number}"))
        return name, self._text(code.CustomCode()) if name == "CUSTOM" else ""

    def _buffer(self, buffer: Any) -> bytes:
        start, size = buffer.Offset(), buffer.Size()
        if start > 1 and size:  # large files keep their data behind the flatbuffer
            if start + size > len(self._data):
                raise BadFile(f"a buffer ends at byte {start + size} of {len(self._data)}")
            self._copy(size, "buffers")
            return bytes(self._data[start : start + size])
        array = buffer.DataAsNumpy()
        if isinstance(array, int):
            return b""
        self._copy(len(array), "buffers")
        return bytes(array)

    def _subgraph(self, graph: Any, codes: list[tuple[str, str]], buffers: list[bytes]) -> Subgraph:
        tensors = self._list(
            "tensors", graph.TensorsLength(), lambda i: self._tensor(i, graph.Tensors(i), buffers)
        )
        operators = self._list(
            "operators",
            graph.OperatorsLength(),
            lambda i: self._operator(i, graph.Operators(i), codes),
        )
        inputs, outputs = (
            self._ints("inputs", graph.InputsAsNumpy()),
            self._ints("outputs", graph.OutputsAsNumpy()),
        )
        named = [
            *inputs,
            *outputs,
            *(
                i
                for operator in operators
                for i in (*operator.inputs, *operator.outputs)
                if i != -1
            ),
        ]
        wrong = next((index for index in named if not 0 <= index < len(tensors)), None)
        if wrong is not None:
            raise BadFile(f"an operator names tensor {wrong} of {len(tensors)}")
        return Subgraph(self._text(graph.Name()), tuple(tensors), tuple(operators), inputs, outputs)

    def _text(self, raw: bytes | None) -> str:
        return str((raw or b""), "utf-8", "replace")

    def _tensor(self, index: int, tensor: Any, buffers: list[bytes]) -> Tensor:
        dtype, buffer = self._dtypes.get(tensor.Type()), tensor.Buffer()
        if dtype is None:
            raise BadFile(f"tensor {index} has the unknown type {tensor.Type()}")
        if buffer >= len(buffers):
            raise BadFile(f"tensor {index} names buffer {buffer} of {len(buffers)}")
        quantization, sparsity = tensor.Quantization(), tensor.Sparsity()
        scales = () if quantization is None else self._floats(quantization.ScaleAsNumpy())
        zeros = (
            ()
            if quantization is None
            else self._ints("zero points", quantization.ZeroPointAsNumpy())
        )
        return Tensor(
            index,
            self._text(tensor.Name()),
            self._shape(tensor),
            dtype.lower(),
            buffers[buffer],
            scales,
            zeros,
            axis=0 if quantization is None else quantization.QuantizedDimension(),
            sparse=sparsity and self._sparse(sparsity),
            variable=bool(tensor.IsVariable()),
            block=0 if quantization is None else self._block(quantization),
        )

    def _block(self, quantization: Any) -> int:
        """Read the size of the blocks that share a scale; 0 for any other kind of scale.

        Their scales stand in a tensor of their own.
        """
        details = quantization.Details()
        if (
            details is None
            or quantization.DetailsType() != self._schema.QuantizationDetails.BlockwiseQuantization
        ):
            return 0
        blocks = self._schema.BlockwiseQuantization()
        blocks.Init(details.Bytes, details.Pos)
        if blocks.BlockSize() <= 0:
            raise BadFile(f"a tensor has blocks of {blocks.BlockSize()} values")
        return int(blocks.BlockSize())

    def _floats(self, vector: Any) -> tuple[float, ...]:
        if isinstance(vector, int):
            return ()
        self._take(len(vector), "scales")
        return tuple(float(value) for value in vector)

    def _shape(self, tensor: Any) -> tuple[int, ...]:
        shape = self._ints("dimensions", tensor.ShapeAsNumpy())
        signature = self._ints("dimensions", tensor.ShapeSignatureAsNumpy())
        if any(size < -1 for size in (*shape, *signature)):
            raise BadFile(f"a tensor has the shape {shape}")
        return signature if len(signature) == len(shape) else shape

    def _sparse(self, sparsity: Any) -> Sparse:
        levels = self._list(
            "sparse dimensions",
            sparsity.DimMetadataLength(),
            lambda i: self._level(sparsity.DimMetadata(i)),
        )
        order = self._ints("traversal order", sparsity.TraversalOrderAsNumpy())
        return Sparse(order, self._ints("block map", sparsity.BlockMapAsNumpy()), tuple(levels))

    def _level(self, level: Any) -> Level:
        if level.Format() == self._schema.DimensionType.DENSE:
            return Level("dense", int(level.DenseSize()))
        segments = self._indices(level.ArraySegmentsType(), level.ArraySegments())
        return Level(
            "csr", 0, segments, self._indices(level.ArrayIndicesType(), level.ArrayIndices())
        )

    def _indices(self, kind: int, table: Any) -> Array:
        import numpy as np

        name = names(self._schema.SparseIndexVector).get(kind, "NONE")
        if name == "NONE" or table is None:
            raise BadFile(f"a sparse dimension stores its indices as type {kind}")
        vector = getattr(self._schema, name)()
        vector.Init(table.Bytes, table.Pos)
        values = vector.ValuesAsNumpy()
        if isinstance(values, int):
            return np.zeros(0, np.int64)
        self._copy(values.nbytes, "sparse indices")
        return np.asarray(values, np.int64)

    def _operator(self, index: int, operator: Any, codes: list[tuple[str, str]]) -> Operator:
        number = operator.OpcodeIndex()
        if number >= len(codes):
            raise BadFile(f"operator {index} has the code {number} of {len(codes)}")
        inputs, outputs = (
            self._ints("operands", operator.InputsAsNumpy()),
            self._ints("results", operator.OutputsAsNumpy()),
        )
        code, custom = codes[number]
        return Operator(index, code, inputs, outputs, self._options(code, operator), custom)

    def _options(self, code: str, operator: Any) -> dict[str, int]:
        names, table = _OPTIONS.get(code), operator.BuiltinOptions()
        if table is not None:
            self._whole(table)
        if names is None or table is None:
            return {}
        options = getattr(self._schema, names[0])()
        options.Init(table.Bytes, table.Pos)
        return {name: int(getattr(options, name)()) for name in names[1]}

    def _whole(self, table: Any) -> None:
        """See that a table lies inside the file, whether or not its fields are read."""
        place = table.Pos - struct.unpack_from("<i", self._data, table.Pos)[0]
        if place < 0:
            raise BadFile(f"a table at byte {table.Pos} points before the file")
        _, size = struct.unpack_from("<HH", self._data, place)
        if table.Pos + size > len(self._data):
            raise BadFile(f"a table ends at byte {table.Pos + size} of {len(self._data)}")

    def _called(self, signature: Any, subgraphs: list[Subgraph]) -> Called:
        number = signature.SubgraphIndex()
        if number >= len(subgraphs):
            raise BadFile(f"a signature names subgraph {number} of {len(subgraphs)}")
        inputs = self._list("signature inputs", signature.InputsLength(), signature.Inputs)
        outputs = self._list("signature outputs", signature.OutputsLength(), signature.Outputs)
        called = Called(
            self._text(signature.SignatureKey()), number, self._names(inputs), self._names(outputs)
        )
        wrong = [
            index
            for index in (*called.inputs.values(), *called.outputs.values())
            if index >= len(subgraphs[number].tensors)
        ]
        if wrong:
            raise BadFile(f"the signature {called.key!r} names the tensor {wrong[0]}")
        return called

    def _names(self, maps: list[Any]) -> dict[str, int]:
        return {self._text(entry.Name()): entry.TensorIndex() for entry in maps}


_WINDOW = (
    "Padding",
    "StrideW",
    "StrideH",
    "DilationWFactor",
    "DilationHFactor",
    "FusedActivationFunction",
)
_OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", _WINDOW),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", (*_WINDOW, "DepthMultiplier")),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
    ),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "CALL": ("CallOptions", ("Subgraph",)),
    "CALL_ONCE": ("CallOnceOptions", ("InitSubgraphIndex",)),
    "IF": ("IfOptions", ("ThenSubgraphIndex", "ElseSubgraphIndex")),
    "WHILE": ("WhileOptions", ("CondSubgraphIndex", "BodySubgraphIndex")),
}


def pack(model: Any) -> bytes:
    """Give the bytes of a `ModelT`."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
