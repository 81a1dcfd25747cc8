"""How large the file of a recipe will be, before it is made.

Pure: counts weights, operators and quantization parameters of a `Graph`.

The raw size is arithmetic: what the converter stores for each weight (FlatBuffers schema of TFLite,
lite/schema/schema.fbs), plus the bytes that operators, tensors and their names take, which were
fitted to real files. The gzip size is an estimate: float weights of a trained network hardly
compress, zeros and shared values do. Both carry the error that a test holds against files of the
converter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.verdicts import Verdict
from zoo_builders.preflight.latency_forecast import Stored
from zoo_builders.techniques import TECHNIQUES, Step

RAW_ERROR = 0.06
"""Share by which the raw size may be off: operators' and tensors' bytes are an average, …"""

RAW_SLACK = 1300
"""… but never fewer bytes than these, which are a larger share of a small file."""

GZIP_ERROR = 0.2
"""Share by which the gzip size may be off: it depends on the values that training finds."""

SPARSE_FROM = 0.3
"""Share of zeros from which the converter tries to store a tensor sparse."""

_OPERATOR, _TENSOR, _FILE, _SCALE = 130, 120, 1000, 12
"""Bytes that some parts of a file take.

The parts are an operator, a tensor (its name included), the file itself, and a scale with its zero
point.
"""

_SPARSE: Mapping[Stored, int] = {"float32": 480, "float16": 270}
"""Bytes that the description of a sparse tensor takes.

A float16 one is widened by an operator in any case.
"""

_FUSED = frozenset({"ReLU", "Activation", "BatchNormalization"})
_GONE = frozenset({"InputLayer", "Dropout"})
_WITH_CONSTANT = frozenset({"ZeroPadding2D", "GlobalAveragePooling2D", "Flatten", "Reshape"})
_KERNELS = frozenset({"Conv2D", "DepthwiseConv2D", "Dense", "SeparableConv2D"})
WIDTH: Mapping[Stored, tuple[float, int]] = {
    "float32": (4, 4),
    "float16": (2, 2),
    "dynamic": (1, 4),
    "int8": (1, 4),
    "int16x8": (1, 8),
    "int4": (0.5, 4),
    "other": (1, 4),
}
"""Bytes of a weight and of a bias."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a recipe puts into the file.

    Attributes:
        stored: how weights and activations are stored.
        zeros: layer → share of zeros in its kernel.
        distinct: layer → number of different values in its kernel.
        floats: layers whose kernels stay float32 although others are quantized.
    """

    stored: Stored = "float32"
    zeros: Mapping[str, float] = field(default_factory=dict)
    distinct: Mapping[str, int] = field(default_factory=dict)
    floats: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Size:
    """Predicted bytes, raw (of which encoding) and after gzip at level 9.

    Each comes with the share by which it may be off.
    """

    raw: int
    gzip: int
    encoding: str
    raw_error: float
    gzip_error: float


def contents(
    last: Graph,
    met: Sequence[Graph],
    steps: Sequence[Step],
    verdicts: Sequence[Mapping[str, Verdict]],
) -> Contents:
    """Say what a recipe leaves in the file.

    This follows from what its steps promise and which layers each of them touches.
    """
    zeros: dict[str, float] = {}
    distinct: dict[str, int] = {}
    floats: set[str] = set()
    for graph, step, said in zip(met, steps, verdicts, strict=True):
        touched = [name for name, verdict in said.items() if verdict.applies]
        for promise in TECHNIQUES.get(step.technique).promises(graph, step.params, steps):
            named = [tensor.layer for tensor in promise.layers] or touched
            if promise.kind == "sparsity_at_least":
                zeros |= {name: max(zeros.get(name, 0.0), float(promise.value)) for name in named}
            elif promise.kind == "distinct_at_most":
                distinct |= dict.fromkeys(named, int(float(promise.value)))
        if "quantize" in TECHNIQUES.get(step.technique).converts(step.params, steps):
            floats |= {name for name, verdict in said.items() if not verdict.applies}
    stored = (
        "float32"
        if all(node.name in floats for node in last.nodes if node.kernel_weights)
        else stored_as(steps)
    )
    return Contents(stored, zeros, distinct, frozenset(floats))


def stored_as(steps: Sequence[Step]) -> Stored:
    """Give how the converter will store the model, from what the steps ask of it."""
    asked: dict[str, Any] = {}
    for index, step in enumerate(steps):
        asked |= TECHNIQUES.get(step.technique).converts(step.params, steps[: index + 1])
    settings = asked.get("quantize")
    if not settings:
        return "float32"
    dtype = str(settings.get("dtype", "other"))
    # a key of the table is one of its words
    return dtype if dtype in WIDTH else "other"  # type: ignore[return-value]


def size(graph: Graph, inside: Contents) -> Size:
    """Predict the bytes of the file that holds `inside`."""
    kernels = {node.name: node.kernel_weights for node in graph.nodes if node.kernel_weights}
    dense = round(sum(count * _weight_bytes(inside, name) for name, count in kernels.items()))
    rest = _overhead(graph, inside, len(kernels)) + _biases(graph, inside.stored)
    spared = sum(_saved(graph.node(name), inside) for name in kernels)
    sparse = inside.stored in {"float32", "float16"} and spared > 0
    raw = dense + rest - (spared if sparse else 0)
    squeezed = sum(
        count * _entropy(name, inside, indexed=sparse) for name, count in kernels.items()
    )
    squeezed += _squeezed_rest(graph, inside.stored, rest)
    return Size(
        raw,
        round(squeezed),
        "sparse" if sparse else "dense",
        max(RAW_ERROR, RAW_SLACK / raw),
        GZIP_ERROR,
    )


def kernels(graph: Graph) -> int:
    """Count the weights in all kernels: what an inference multiplies with."""
    return sum(node.kernel_weights for node in graph.nodes)


def _weight_bytes(inside: Contents, name: str) -> float:
    return 4 if name in inside.floats else WIDTH[inside.stored][0]


def folded(graph: Graph, node: Node) -> bool:
    """Whether a layer vanishes into the one before it.

    These are normalisations and activations behind the only reader of a layer with a kernel.
    """
    producer = graph.node(node.inputs[0])
    alone = len(graph.consumers(producer.name)) == 1 and producer.config.get("activation") is None
    if node.op == "BatchNormalization":
        return alone and producer.op in _KERNELS
    activation = (
        node.op == "ReLU"
        and node.config.get("max_value") in (None, 6, 1)
        and not node.config.get("negative_slope")
    )
    named = node.op == "Activation" and node.config.get("activation") in {"relu", "relu6", "linear"}
    takes = (
        producer.op in _KERNELS
        or producer.op == "Add"
        or (producer.op == "BatchNormalization" and folded(graph, producer))
    )
    return alone and takes and (activation or named)


def _operators(graph: Graph) -> list[Node]:
    return [
        node
        for node in graph.nodes
        if node.op not in _GONE and not (node.op in _FUSED and folded(graph, node))
    ]


def _biases(graph: Graph, stored: Stored) -> int:
    """Give the bytes of the biases: every kernel has one in the file.

    It does not matter whether the layer had it or its normalisation gave it.
    """
    width = WIDTH[stored][1]
    return sum(node.shape[-1] * width for node in graph.nodes if node.kernel_weights) + sum(
        2 * node.shape[-1] * width for node in _operators(graph) if node.op == "BatchNormalization"
    )


def _overhead(graph: Graph, inside: Contents, kernels: int) -> int:
    stored, operators = inside.stored, _operators(graph)
    ops = len(operators) + sum(node.op == "BatchNormalization" for node in operators)
    tensors = 1 + ops + 2 * kernels + sum(node.op in _WITH_CONSTANT for node in operators)
    if stored == "float16":
        ops, tensors = ops + 2 * kernels, tensors + 2 * kernels
    channels = {node.name: node.shape[-1] for node in graph.nodes if node.kernel_weights}
    scales = 0
    if stored in {"int8", "int16x8", "other"}:
        ops, tensors = ops + 2, tensors + 2
        each = 2 * _SCALE + (10 if stored == "int16x8" else 0)
        scales = each * sum(channels.values()) + tensors * 20
    elif stored in {"dynamic", "int4"}:
        scales = _SCALE * sum(c for name, c in channels.items() if name not in inside.floats)
    return _FILE + ops * _OPERATOR + tensors * _TENSOR + scales


def _saved(node: Node, inside: Contents) -> int:
    """Bytes that leaving out the zeros of one kernel saves.

    These are its values, less one index for each kept value and one offset for each row.
    """
    share, count = inside.zeros.get(node.name, 0.0), node.kernel_weights
    if share < SPARSE_FROM:
        return 0
    rows, columns = node.shape[-1], count // max(1, node.shape[-1])
    index = 1 if columns <= 256 else 2  # noqa: PLR2004  indices are bytes where they fit
    kept = round(count * (1 - share))
    offset = 1 if kept < 256 else 2 if kept < 65536 else 4  # noqa: PLR2004  offsets too
    return (
        round((count - kept) * WIDTH[inside.stored][0])
        - kept * index
        - (rows + 1) * offset
        - _SPARSE.get(inside.stored, 0)
    )


def _entropy(name: str, inside: Contents, *, indexed: bool) -> float:
    """Bytes that one weight of a layer takes after gzip.

    Where zeros are left out, it takes more bytes to say where they were.
    """
    plain = 0.93 * _weight_bytes(inside, name)
    share = inside.zeros.get(name, 0.0)
    if name in inside.distinct:
        plain = min(plain, 0.18 * math.log2(max(2, inside.distinct[name])))
    holes = (
        -(share * math.log2(share) + (1 - share) * math.log2(1 - share)) / 8
        if 0 < share < 1
        else 0.0
    )
    return (1 - share) * plain + (2.0 if indexed else 1.3) * holes


def _squeezed_rest(graph: Graph, stored: Stored, rest: int) -> float:
    biases = _biases(graph, stored)
    return 0.9 * biases + 0.35 * (rest - biases)
