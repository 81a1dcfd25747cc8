"""What each operator of a file costs: multiplications and bytes moved. Pure, from the flatbuffer.

The two sides of the roofline (Williams, Waterman & Patterson 2009): an operator takes at least as
long as its multiplications, and at least as long as moving its bytes. Where a runtime does not tell
where its time goes, this tells where it can go.
"""

import math
import re
from collections.abc import Mapping, Sequence

from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.tflite_file import Operator, Subgraph, Tensor, TfliteFile
from zoo_registry.model.record import OperatorCost

_FREE = frozenset({*weight_tensors.UNPACKING, "RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""Operators that are gone once the runtime has prepared the file (stored constants unfolded).

Operators that only name memory anew count too.
"""


def of_file(
    file: TfliteFile, found: Sequence[weight_tensors.Weight], *, skips: bool
) -> tuple[OperatorCost, ...]:
    """List the operators of the subgraph that runs, in its order, without those that cost nothing.

    Args:
        file: as read.
        found: the file's weights, with their zeros.
        skips: whether XNNPACK's sparse kernels are predicted on some processor: then zeros of 1x1
            convolutions cost nothing there.
    """
    graph = file.main
    own = {id(operator) for operator in graph.operators}
    zeros = {
        one.operator.index: float(one.zero.mean())
        for one in found
        if skips and one.values.size and id(one.operator) in own
    }
    return tuple(
        _cost(graph, operator, zeros) for operator in graph.operators if operator.code not in _FREE
    )


def _cost(graph: Subgraph, operator: Operator, zeros: Mapping[int, float]) -> OperatorCost:
    # DENSIFY and DEQUANTIZE of a constant run once, before the first inference
    read = [
        (_bytes(graph.tensors[index]), weight_tensors.stored(graph, index) is not None)
        for index in operator.inputs
        if index >= 0
    ]
    outputs = [graph.tensors[index] for index in operator.outputs]
    total = macs(graph, operator)
    return OperatorCost(
        name=outputs[0].name if outputs else "",
        operator=operator.code,
        macs=total,
        macs_skipped=(
            round(total * zeros.get(operator.index, 0.0)) if _is_pointwise(graph, operator) else 0
        ),
        weight_bytes=sum(size for size, stored in read if stored),
        activation_bytes=sum(size for size, stored in read if not stored)
        + sum(map(_bytes, outputs)),
    )


def _is_pointwise(graph: Subgraph, operator: Operator) -> bool:
    if operator.code == "FULLY_CONNECTED":
        return True
    return operator.code == "CONV_2D" and graph.tensors[operator.inputs[1]].shape[1:3] == (1, 1)


def _bytes(tensor: Tensor) -> int:
    bits = re.search(r"\d+$", tensor.dtype)  # float32, int4, …; bool and others count a byte
    return elements(tensor) * (int(bits.group()) if bits else 8) // 8


def macs(graph: Subgraph, operator: Operator) -> int:
    """Count the multiply-accumulates of one operator in one inference (see `inspection.inspect`).

    0 for all without weights.
    """
    if (
        operator.code not in weight_tensors.WITH_WEIGHTS - {"EMBEDDING_LOOKUP"}
        or len(operator.inputs) <= weight_tensors.WEIGHTS
        or not operator.outputs
    ):
        return 0
    filters = [abs(size) for size in graph.tensors[operator.inputs[weight_tensors.WEIGHTS]].shape]
    if operator.code == "TRANSPOSE_CONV":
        return elements(graph.tensors[operator.inputs[-1]]) * math.prod(filters[:-1])
    outputs = elements(graph.tensors[operator.outputs[0]])
    if operator.code == "DEPTHWISE_CONV_2D":
        return outputs * math.prod(filters[1:3])
    if operator.code == "CONV_3D":
        return outputs * math.prod(filters[:-1])
    if operator.code == "BATCH_MATMUL":
        return outputs * (filters[-2] if len(filters) > 1 else 1)
    return outputs * math.prod(filters[1:])


def elements(tensor: Tensor) -> int:
    """Count a tensor's elements; an unknown dimension counts as 1."""
    return math.prod(abs(size) for size in tensor.shape)
