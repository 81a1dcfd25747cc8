"""The dense twin of a sparsely stored file.

The same graph and the same numbers, every weight stored dense.

Beside its twin a sparse file shows whether the runtime gains anything from the zeros: all else is
equal.
"""

from typing import Any

from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.flatbuffer import pack, read, unpacked
from zoo_builders.tflite.tflite_file import BadFile, TfliteFile


def densify(data: bytes) -> bytes | None:
    """Write `data` with its sparse tensors unfolded and its DENSIFY operators left out.

    None when nothing in it is sparse.

    None, too, for files of which data stand behind the flatbuffer (those beyond 2 GB).

    Raises:
        BadFile: it cannot be read.
    """
    seen = read(data)
    if not any(
        operator.code == "DENSIFY" for graph in seen.subgraphs for operator in graph.operators
    ):
        return None
    model = unpacked(data)
    if any(buffer.offset > 1 for buffer in model.buffers):
        return None
    try:
        for index, graph in enumerate(model.subgraphs):
            _unfold(model, graph, seen, index)
    except (ValueError, TypeError, IndexError, MemoryError) as error:
        raise BadFile(f"damaged .tflite file: {type(error).__name__}: {error}") from error
    return pack(model)


def _unfold(model: Any, graph: Any, seen: TfliteFile, index: int) -> None:
    """Store the sparse tensors of one subgraph dense.

    What reads the output of a DENSIFY reads its input instead.
    """
    import numpy as np

    known = seen.subgraphs[index]
    for tensor in known.tensors:
        if tensor.sparse is not None:
            own = graph.tensors[tensor.index]
            own.sparsity = None
            model.buffers[own.buffer].data = np.frombuffer(
                weight_tensors.values(tensor).tobytes(), np.uint8
            )
    packed = {
        operator.index: operator for operator in known.operators if operator.code == "DENSIFY"
    }
    instead = {operator.outputs[0]: operator.inputs[0] for operator in packed.values()}
    for operator in graph.operators:
        operator.inputs = [instead.get(int(tensor), int(tensor)) for tensor in operator.inputs]
    graph.operators = [
        operator for place, operator in enumerate(graph.operators) if place not in packed
    ]
