"""Which layers the words of `keep_float` and `rules` mean, and which rule decides about one. Pure.

A word means what the file will call a layer: its name, a pattern, a type of operator (see
`operator_names`). Of several rules that fit one layer the last decides; formulas of a front end
stay as they are.
"""

import math
from collections.abc import Sequence

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques.quantize import engines
from zoo_builders.techniques.quantize.engines import FRONT_END, MINIMUM_DYNAMIC
from zoo_builders.techniques.quantize.params import Params, Rule
from zoo_builders.tflite import operator_names

TYPES = {
    "Conv2D": "CONV_2D",
    "Dense": "FULLY_CONNECTED",
    "DepthwiseConv2D": "DEPTHWISE_CONV_2D",
    "Conv2DTranspose": "TRANSPOSE_CONV",
}
"""Class of a layer with a kernel → what the file calls its operator."""


def named(graph: Graph, words: Sequence[str]) -> list[Node]:
    """Give the layers that words mean, a layer's name standing for what the file will call it."""
    return [
        node
        for node in graph.nodes
        if operator_names.any_of(words, TYPES.get(node.op, node.op), node.name)
    ]


def deciding(node: Node, params: Params) -> Rule | None:
    """Give the rule that decides about a layer: the last that fits it."""
    if node.is_fixed:
        return None
    fits = (
        rule
        for rule in reversed(params.rules)
        if operator_names.any_of(rule.layers, TYPES.get(node.op, node.op), node.name)
    )
    return next(fits, None)


def left_to_step(graph: Graph, params: Params) -> list[Node]:
    """List the layers with kernels about which neither a rule nor `keep_float` decides."""
    kept = {node.name for node in named(graph, engines.kept(params))}
    learned = [node for node in graph.nodes if node.op in TYPES and not node.is_fixed]
    return [node for node in learned if node.name not in kept and deciding(node, params) is None]


def in_blocks(node: Node, granularity: str) -> bool:
    """Whether a layer's weights can have a scale for each block of inputs.

    Dense, and divided into whole ones.
    """
    return (
        node.op == "Dense"
        and node.weights["kernel"][0] % int(granularity.removeprefix("block")) == 0
    )


def left_float(graph: Graph, params: Params) -> tuple[str, ...]:
    """Give words for what stays float: layers that are named, and a front end."""
    return (
        *engines.kept(params),
        *(FRONT_END if graph.fixed and params.dtype != "float16" else ()),
    )


def of_type(nodes: Sequence[Node], operators: Sequence[str]) -> list[Node]:
    """List the layers that the file will hold as one of these operators."""
    return [node for node in nodes if TYPES.get(node.op) in operators]


def blocked(graph: Graph, params: Params) -> list[Node]:
    """Give the dense layers that follow the step and whose inputs divide into whole blocks.

    Other layers get one scale a channel.
    """
    return [node for node in left_to_step(graph, params) if in_blocks(node, params.granularity)]


def any_large(graph: Graph) -> bool:
    """Whether any kernel is large enough for `dynamic`.

    Of a network nobody can read yet, it is taken for granted.
    """
    return not graph.nodes or any(is_large(node) for node in graph.nodes)


def is_large(node: Node) -> bool:
    """Whether one of its kernels is large enough for `dynamic`."""
    return any(
        math.prod(shape) >= MINIMUM_DYNAMIC
        for name, shape in node.weights.items()
        if name.endswith("kernel")
    )


def own(graph: Graph, params: Params, rule: Rule) -> list[Node]:
    """List the layers with kernels about which just this rule decides."""
    return [node for node in graph.nodes if node.op in TYPES and deciding(node, params) is rule]
