"""Which layers quantization-aware training can take, which not and why. Pure, on a `Graph`.

TFMOT 0.8.1's 8-bit registry (`default_8bit_quantize_registry.py`) matches by exact class, and its
layout transforms accept a batch normalisation only right behind a linear convolution or Dense.
"""

from zoo_builders.networks import verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques.quantize_aware.selection import KERNELS, WITH_RANGE

EIGHT_BIT_SOUND = "the file takes recordings, of which eight bits leave 256 steps of loudness"


_PLAIN = frozenset(
    {
        "Add",
        "AveragePooling2D",
        "Concatenate",
        "Conv2D",
        "Dense",
        "DepthwiseConv2D",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling2D",
        "InputLayer",
        "LeakyReLU",
        "MaxPooling2D",
        "ReLU",
        "Reshape",
        "Softmax",
        "UpSampling2D",
        "ZeroPadding2D",
    }
)


KNOWN = _PLAIN | frozenset(WITH_RANGE) | {"Activation", "BatchNormalization"}
"""Classes that are int8 in the file, Rescaling and normalisation within limits."""


OWN_ACTIVATIONS = frozenset({"linear", "relu", "softmax", "sigmoid", "tanh", "gelu"})
"""What a kernel's own `activation` may be.

With swish the product in its middle would have no range.
"""


ACTIVATION_LAYERS = OWN_ACTIVATIONS | {"relu6", "swish"}


_FLOAT = "or leave it float: skip: [{{name: {}}}]"


def objection(graph: Graph, node: Node) -> Objection | None:
    """Say why a layer cannot be quantized and what to change; None where it can."""
    reason, change = _trouble(graph, node)
    return Objection(node.name, reason, f"{change}, {_FLOAT.format(node.name)}") if reason else None


def _trouble(graph: Graph, node: Node) -> tuple[str, str]:
    if node.op == "BatchNormalization":
        return _normalisation(graph, node)
    if node.op == "Rescaling":
        two = node.config.get("scale", 1.0) != 1.0 and node.config.get("offset", 0.0) != 0.0
        return (
            (
                "Rescaling scales and shifts: two operations with no range between them",
                "move it into preprocess",
            )
            if two
            else ("", "")
        )
    if node.op == "Activation":
        return _activation(node, ACTIVATION_LAYERS)
    if node.op in KERNELS:
        return _activation(node, OWN_ACTIVATIONS)
    if node.op in _PLAIN or node.op in WITH_RANGE:
        return "", ""
    return (
        f"quantization-aware training knows no {node.op}",
        "use quantize: {dtype: int8}, which needs no training",
    )


def _activation(node: Node, known: frozenset[str]) -> tuple[str, str]:
    name = node.config.get("activation") or "linear"
    if name in known:
        return "", ""
    if name in ACTIVATION_LAYERS:
        return (
            f"activation {name!r} within a {node.op} stays float",
            "put it into an Activation layer of its own",
        )
    return (
        f"quantization-aware training knows no activation {name!r}",
        f"use one of {', '.join(sorted(known))}",
    )


def _normalisation(graph: Graph, node: Node) -> tuple[str, str]:
    before = graph.node(node.inputs[0])
    if before.op not in KERNELS:
        return (
            f"batch normalisation behind {before.op}: int8 has no operator for it",
            "put it right behind a convolution or Dense",
        )
    if before.config.get("activation") not in {None, "linear"}:
        return (
            f"batch normalisation behind {before.name}, which has an activation",
            "put the activation into a layer of its own behind it",
        )
    return "", ""


def verdict(graph: Graph, node: Node, *, chosen: bool, kept: str) -> Verdict:
    """Say what happens to a layer; `kept` is what the recipe preserves, in words."""
    if node.is_fixed:
        return Verdict(
            applies=False, reason=f"{FORMULA}; stays float", fix=verdicts.NOTHING_LEARNED
        )
    found = objection(graph, node)
    if found is not None:
        return Verdict(applies=False, reason=found.reason, fix=found.fix)
    if not chosen:
        return Verdict(
            applies=False, reason="left in float", fix="pick it in layers, or drop it from skip"
        )
    if node.op == "BatchNormalization":
        return Verdict(applies=True, reason=f"folded into {node.inputs[0]} by the converter")
    if node.op == "DepthwiseConv2D":
        return Verdict(applies=True, reason=f"{kept}: nothing to preserve here" if kept else "")
    return Verdict(applies=True, reason=f"preserves {kept}" if kept else "")


def hard_swishes(graph: Graph) -> list[str]:
    """Name the products that end a hard-swish, x * relu6(x + 3) / 6, spelled out in layers."""
    return [
        node.name
        for node in graph.nodes
        if node.op == "Multiply" and any(_gates(graph, node, gate) for gate in node.inputs)
    ]


def _gates(graph: Graph, product: Node, name: str) -> bool:
    """Whether `name` is a hard sigmoid of the other factor."""
    ops, node = [], graph.node(name)
    while node.op in {"Rescaling", "ReLU"}:
        ops.append((node.op, node.config.get("max_value", 6)))
        node = graph.node(node.inputs[0])
    return ops == [("Rescaling", 6), ("ReLU", 6), ("Rescaling", 6)] and node.name in product.inputs
