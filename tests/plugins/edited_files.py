"""Small `.tflite` files as other tools write them, made by editing the committed ones.

No TensorFlow: the schema's object API says what is changed.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.tflite import litert
from zoo_builders.tflite.flatbuffer import pack

FILES = Path(__file__).resolve().parents[1] / "golden" / "files"


def edited(data: bytes, *changes: Callable[[Any, Any], None]) -> bytes:
    """Write a file anew after changes of its model, told (schema, model)."""
    schema = litert.schema()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for change in changes:
        change(schema, model)
    return pack(model)


def committed(name: str = "fp32") -> bytes:
    """A committed file."""
    return (FILES / f"{name}.tflite").read_bytes()


def open_batch(_: Any, model: Any) -> None:
    """Leave the batch open, as the converter does by default."""
    for tensor in model.subgraphs[0].tensors:
        if len(tensor.shape) in {2, 4} and not len(_data(model, tensor)):
            tensor.shapeSignature = [-1, *[int(size) for size in tensor.shape[1:]]]


def _data(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else data


def computed_reshape(schema: Any, model: Any) -> None:
    """Compute the shape of the last operator's input: SHAPE, STRIDED_SLICE, PACK, RESHAPE.

    So does the converter for Flatten where the batch is open.
    """
    graph = model.subgraphs[0]
    code = {
        name: _code(schema, model, name) for name in ("SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE")
    }
    last = graph.operators[-1]
    features = int(last.inputs[0])
    size = int(graph.tensors[features].shape[-1])
    shape = _tensor(schema, graph, "shape", [len(graph.tensors[features].shape)], 2)
    begin, end, step = (
        _constant(schema, model, graph, name, [value])
        for name, value in (("b", 0), ("e", 1), ("s", 1))
    )
    batch = _tensor(schema, graph, "batch", [], 2)
    columns = _constant(schema, model, graph, "columns", size, scalar=True)
    wanted = _tensor(schema, graph, "wanted", [2], 2)
    flat = _tensor(schema, graph, "flat", [1, size], 0)
    sizes = schema.ShapeOptionsT()
    sizes.outType = schema.TensorType.INT32
    slicing = schema.StridedSliceOptionsT()
    slicing.shrinkAxisMask = 1
    packing = schema.PackOptionsT()
    packing.valuesCount = 2
    graph.operators[-1:] = [
        _operator(schema, code["SHAPE"], [features], [shape], sizes, "ShapeOptions"),
        _operator(
            schema,
            code["STRIDED_SLICE"],
            [shape, begin, end, step],
            [batch],
            slicing,
            "StridedSliceOptions",
        ),
        _operator(schema, code["PACK"], [batch, columns], [wanted], packing, "PackOptions"),
        _operator(
            schema,
            code["RESHAPE"],
            [features, wanted],
            [flat],
            schema.ReshapeOptionsT(),
            "ReshapeOptions",
        ),
        last,
    ]
    last.inputs = [flat, *[int(one) for one in last.inputs[1:]]]


def _code(schema: Any, model: Any, name: str) -> int:
    made = schema.OperatorCodeT()
    made.builtinCode = getattr(schema.BuiltinOperator, name)
    made.deprecatedBuiltinCode, made.version = min(made.builtinCode, 127), 1
    model.operatorCodes.append(made)
    return len(model.operatorCodes) - 1


def _operator(
    schema: Any, code: int, inputs: list[int], outputs: list[int], options: Any, kind: str
) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    made.builtinOptions, made.builtinOptionsType = options, getattr(schema.BuiltinOptions, kind)
    return made


def _tensor(schema: Any, graph: Any, name: str, shape: list[int], kind: int) -> int:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, kind, 0
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def _constant(
    schema: Any, model: Any, graph: Any, name: str, value: Any, *, scalar: bool = False
) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.asarray(value, np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    index = _tensor(schema, graph, name, [] if scalar else [len(value)], 2)
    graph.tensors[index].buffer = len(model.buffers) - 1
    return index


def second_subgraph(schema: Any, model: Any) -> None:
    """Add the network once more with its classifier's bias moved: signatures `first`, `second`."""
    other = schema.ModelT.InitFromPackedBuf(pack(model), 0).subgraphs[0]
    bias = int(other.operators[-1].inputs[2])
    moved = schema.BufferT()
    values = np.frombuffer(bytes(_data(model, other.tensors[bias])), np.float32) + np.float32(7)
    moved.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(moved)
    other.tensors[bias].buffer, other.name = len(model.buffers) - 1, "other"
    model.subgraphs.append(other)
    model.signatureDefs = [
        signature(schema, model, key, number) for number, key in enumerate(("first", "second"))
    ]


def signature(schema: Any, model: Any, key: str, number: int) -> Any:
    """A signature of a subgraph: inputs `picture`, outputs `scores`, `scores_1`, …."""
    made, graph = schema.SignatureDefT(), model.subgraphs[number]
    made.signatureKey, made.subgraphIndex = key, number
    made.inputs = [_entry(schema, "picture", int(graph.inputs[0]))]
    made.outputs = [
        _entry(schema, "scores" if not at else f"scores_{at}", int(index))
        for at, index in enumerate(graph.outputs)
    ]
    return made


def _entry(schema: Any, name: str, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


def second_output(schema: Any, model: Any) -> None:
    """Give what the classifier reads as an output too, before its scores: `features`, `scores`."""
    graph = model.subgraphs[0]
    [scores], features = [int(i) for i in graph.outputs], int(graph.operators[-1].inputs[0])
    graph.outputs = [features, scores]
    made = signature(schema, model, "serving_default", 0)
    made.outputs[0].name, made.outputs[1].name = "features", "scores"
    model.signatureDefs = [made]


def custom_operator(name: str) -> Callable[[Any, Any], None]:
    """Make the last operator a custom one of that name."""

    def change(schema: Any, model: Any) -> None:
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM, 32
        made.customCode = name
        model.operatorCodes.append(made)
        operator = model.subgraphs[0].operators[-1]
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.builtinOptions, operator.builtinOptionsType = None, 0

    return change


def described(schema: Any, model: Any) -> None:
    """Add an entry of metadata and a signature with names of its own."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(b"\x10\0\0\0M001 what the file is for")
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or ()), entry]
    model.signatureDefs = [signature(schema, model, "classify", 0)]


def with_archive(data: bytes, files: dict[str, bytes], *, appended: bool = True) -> bytes:
    """Put files behind the flatbuffer: as the metadata library does, or as `cat a b` would."""
    out = io.BytesIO(data if appended else b"")
    with zipfile.ZipFile(out, "a") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue() if appended else data + out.getvalue()


def call_of(schema: Any, model: Any, *, subgraph: int, called: int) -> None:
    """Add a subgraph of one operator, CALL, that runs another one."""
    made = schema.SubGraphT()
    made.tensors, made.inputs, made.outputs, made.name = [], [], [], "caller"
    options = schema.CallOptionsT()
    options.subgraph = called
    code = _code(schema, model, "CALL")
    made.operators = [_operator(schema, code, [], [], options, "CallOptions")]
    model.subgraphs.insert(subgraph, made)
