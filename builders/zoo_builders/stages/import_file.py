"""Stage `import`: a finished float .tflite file takes the place of a Keras model.

Once it is seen to be one that can be worked with.
"""

import math

from zoo_builders.stage import Job
from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.tflite_file import Subgraph, Tensor
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.files import write_bytes

FILE = "model.tflite"
_HINT = "start from the float32 file it was made from"


def run(job: Job) -> None:
    """Copy the file of role `tflite` to `model.tflite`, its bytes unchanged.

    Raises:
        BadFile: it is no .tflite file, cut off, or damaged.
        Unsupported: it is not float32 through and through, or its one input is not a batch of one
            of a known shape.
        MeasureFailed: the runtime does not take it; the message is its own.
    """
    data = job.files["tflite"].read_bytes()
    graph = read(data).main
    _demand_one_input(graph)
    _demand_float(graph)
    Session(data)
    write_bytes(job.out / FILE, data)
    job.progress(1, 1, "import")


def _demand_one_input(graph: Subgraph) -> None:
    ports = [graph.tensors[index] for index in graph.inputs]
    if len(ports) != 1:
        names = ", ".join(port.name for port in ports) or "none"
        raise Unsupported(
            f"the file has {len(ports)} inputs ({names}); one is expected",
            hint="cut it into files with one input each",
        )
    [port] = ports
    if not port.shape or port.shape[0] != 1 or any(size < 1 for size in port.shape):
        raise Unsupported(
            f"the input {port.name!r} has the shape {list(port.shape)}; expected a batch of one,"
            " every size known",
            hint="convert it so",
        )


def _demand_float(graph: Subgraph) -> None:
    """Refuse what is quantized, halved or sparse already.

    Nothing can be measured against it, and no quantizer takes it.
    """
    for index in (*graph.inputs, *graph.outputs):
        _float32(graph.tensors[index], "an input or output")
    for operator in graph.operators:
        tensor = weight_tensors.of(graph, operator)
        if tensor is not None:
            _float32(tensor, f"a weight of {operator.code}")
    if not any(
        tensor.constant and tensor.dtype == "float32" and math.prod(tensor.shape) > 1
        for tensor in graph.tensors
    ):
        raise Unsupported("the file holds no float32 weights", hint=_HINT)


def _float32(tensor: Tensor, what: str) -> None:
    if tensor.dtype != "float32":
        raise Unsupported(
            f"{tensor.name!r} ({what}) is stored as {tensor.dtype}; expected float32", hint=_HINT
        )
    if tensor.sparse is not None:
        raise Unsupported(
            f"{tensor.name!r} ({what}) is stored sparse; expected every value", hint=_HINT
        )
