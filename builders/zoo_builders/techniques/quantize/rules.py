"""Rules of `quantize`: which one decides about a layer, what it cannot do there.

And what it promises. Pure.

A word of a rule means what the file will call a layer: its name, a pattern, a type of operator (see
    `file_names`). Of several rules that
fit one layer the last decides; formulas of a front end stay as they are.
"""

import math
from collections.abc import Sequence

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.verdicts import Objection
from zoo_builders.techniques.quantize.params import FOUR_BITS, Params, Rule
from zoo_builders.tflite import operator_names
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise

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
    kept = {node.name for node in named(graph, params.kept)}
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


def objections(graph: Graph, params: Params) -> list[Objection]:
    """Refuse rules that decide nothing, layers that two keys claim.

    And scales and bits that a layer cannot have.
    """
    return [objection for rule in params.rules for objection in _objections(graph, params, rule)]


def _objections(graph: Graph, params: Params, rule: Rule) -> list[Objection]:
    kernels = [node for node in named(graph, rule.layers) if node.op in TYPES and not node.is_fixed]
    kept = {node.name for node in named(graph, params.kept)}
    own = _own(graph, params, rule)
    found = [
        Objection(
            node.name,
            f"keep_float leaves it in float, and a rule stores it as {rule.dtype}",
            "take it out of one of the two",
        )
        for node in kernels
        if node.name in kept
    ]
    if kernels and not own and not any(_is_other_operator(word) for word in rule.layers):
        fix = "drop the rule, or put it last"
        found.append(
            Objection(
                f"{{layers: {', '.join(rule.layers)}}}",
                "later rules decide about every layer it means",
                fix,
            )
        )
    return found + [objection for node in own if (objection := _unfit(node, rule)) is not None]


def _is_other_operator(word: str) -> bool:
    """Whether a word is a type of operator of which the network says nothing (`MEAN`)."""
    return word.isupper() and word not in TYPES.values()


def _unfit(node: Node, rule: Rule) -> Objection | None:
    if rule.dtype == "int4" and TYPES[node.op] not in FOUR_BITS:
        fix = f"add {{layers: {node.name}, dtype: int8}} to rules, as the last one"
        return Objection(
            node.name, f"{node.op} has no four-bit kernels, and a rule stores it as int4", fix
        )
    grain = rule.granularity or ""
    if grain.startswith("block") and not in_blocks(node, grain):
        why = (
            f"its {node.weights['kernel'][0]} inputs make no whole blocks"
            if node.op == "Dense"
            else f"{node.op} has no blocks of inputs"
        )
        fix = (
            f"add {{layers: {node.name}, dtype: int4, granularity: channel}} to rules, as the"
            " last one"
        )
        return Objection(node.name, f"a rule says granularity: {grain}, but {why}", fix)
    return None


def _own(graph: Graph, params: Params, rule: Rule) -> list[Node]:
    """List the layers with kernels about which just this rule decides."""
    return [node for node in graph.nodes if node.op in TYPES and deciding(node, params) is rule]


def promises(graph: Graph, params: Params) -> list[Promise]:
    """State dtype and scales of the weights about which each rule decides."""
    return [
        promise
        for index, rule in enumerate(params.rules)
        for promise in _promises(graph, params, rule, params.rules[index + 1 :])
    ]


def _promises(graph: Graph, params: Params, rule: Rule, later: Sequence[Rule]) -> list[Promise]:
    if not graph.nodes:
        besides = (*params.kept, *(word for other in later for word in other.layers))
        return [
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value=rule.dtype,
                named=rule.layers,
                besides=besides,
            )
        ]
    own = _own(graph, params, rule)
    if not own:  # operators without weights: the engine refuses what it cannot do to them
        return [
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value=rule.dtype,
                named=rule.layers,
                may_be_absent=True,
            )
        ]
    layers = kernels_of(graph, [node.name for node in own])
    stored = Promise(technique="quantize", kind="weights_dtype", value=rule.dtype, layers=layers)
    return [stored, *_scales(graph, own, rule, rule.granularity or params.granularity)]


def _scales(graph: Graph, own: Sequence[Node], rule: Rule, grain: str) -> list[Promise]:
    if rule.dtype == "float32":
        return []
    if grain.startswith("block"):
        fitting = [node for node in own if rule.dtype == "int4" and in_blocks(node, grain)]
    else:  # a layer of one channel has one scale either way
        fitting = [
            node for node in own if grain == "tensor" or (rule.granularity and _channels(node) > 1)
        ]
    layers = kernels_of(graph, [node.name for node in fitting])
    return (
        [Promise(technique="quantize", kind="weights_granularity", value=grain, layers=layers)]
        if layers
        else []
    )


def _channels(node: Node) -> int:
    kernel = next(shape for name, shape in node.weights.items() if name.endswith("kernel"))
    return (
        math.prod(kernel[-2:])
        if node.op == "DepthwiseConv2D"
        else kernel[-2]
        if node.op == "Conv2DTranspose"
        else kernel[-1]
    )
