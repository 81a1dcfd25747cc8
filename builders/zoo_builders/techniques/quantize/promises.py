"""What a file holds after `quantize`. Pure, on a `Graph`."""

import math
from collections.abc import Sequence

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques import Step
from zoo_builders.techniques.quantize import engines
from zoo_builders.techniques.quantize.engines import (
    BLOCKWISE,
    EIGHT_BITS,
    FOUR_BITS,
    MINIMUM_DYNAMIC,
    MOVING,
)
from zoo_builders.techniques.quantize.params import Params, Rule
from zoo_builders.techniques.quantize.selection import (
    any_large,
    blocked,
    in_blocks,
    left_float,
    left_to_step,
    named,
    own,
)
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the dtypes of weights, activations and interface, and what is left in float.

    How coarse the scales are is stated too.
    """
    del steps
    search = {"allowed": engines.limits(params)[1]} if params.keep_float == "auto" else {}
    left = left_float(graph, params)
    besides = (*left, *(word for rule in params.rules for word in rule.layers))
    found = [
        promise.model_copy(update={"besides": besides, **search})
        for promise in _weights(graph, params)
    ]
    found += [_stays_float(graph, left)] if left else []
    found += _of_rules(graph, params)
    found += [promise.model_copy(update={"besides": besides}) for promise in _scales(graph, params)]
    if params.dtype in {"int8", "int16x8"} and not params.allow_float_fallback:
        value, kept = "int8" if params.dtype == "int8" else "int16", (*left, *_float_words(params))
        kept += MOVING if params.keep_float or left else ()
        twice = {
            name: 2 * number for name, number in search.items()
        }  # what goes in and what comes out
        found.append(
            Promise(
                technique="quantize", kind="activations_dtype", value=value, besides=kept, **twice
            )
        )
    return [
        *found,
        Promise(
            technique="quantize",
            kind="interface_dtype",
            value="int8" if params.interface == "int8" else "float32",
        ),
    ]


def _float_words(params: Params) -> tuple[str, ...]:
    return tuple(word for rule in params.rules if rule.dtype == "float32" for word in rule.layers)


def _weights(graph: Graph, params: Params) -> list[Promise]:
    """Say what weights are stored as, all or by operator.

    Nothing where rules and `keep_float` say it of every layer.
    """
    if graph.nodes and not left_to_step(graph, params) and (params.rules or engines.kept(params)):
        return []
    if params.dtype == "int4":
        eight = tuple(operator for operator in EIGHT_BITS if operator not in FOUR_BITS)
        return [
            Promise(technique="quantize", kind="weights_dtype", value="int4", operators=FOUR_BITS),
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value="int8",
                operators=eight,
                may_be_absent=True,
            ),
        ]
    small_too = params.dtype != "dynamic" or engines.made_by(params) == "litert"
    if not small_too and not any_large(graph):
        return [Promise(technique="quantize", kind="weights_dtype", value="float32")]
    stored = "float16" if params.dtype == "float16" else "int8"
    return [
        Promise(
            technique="quantize",
            kind="weights_dtype",
            value=stored,
            at_least_elements=0 if small_too else MINIMUM_DYNAMIC,
        )
    ]


def _stays_float(graph: Graph, words: tuple[str, ...]) -> Promise:
    """Promise float32 weights of what `words` name.

    Exactly these layers where the network is known.
    """
    layers = kernels_of(graph, [node.name for node in named(graph, words)])
    if layers:
        return Promise(technique="quantize", kind="weights_dtype", value="float32", layers=layers)
    return Promise(
        technique="quantize", kind="weights_dtype", value="float32", named=words, may_be_absent=True
    )


def _scales(graph: Graph, params: Params) -> list[Promise]:
    """Promise coarse or fine scales where they were asked for.

    One scale a channel is the rule and needs no word.
    """
    if (
        params.granularity == "channel"
        or params.dtype == "float16"
        or (graph.nodes and not left_to_step(graph, params))
    ):
        return []
    if params.granularity == "tensor":
        least = (
            MINIMUM_DYNAMIC
            if params.dtype == "dynamic" and engines.made_by(params) != "litert"
            else 0
        )
        return (
            [
                Promise(
                    technique="quantize",
                    kind="weights_granularity",
                    value="tensor",
                    at_least_elements=least,
                )
            ]
            if _any(graph, least)
            else []
        )
    layers = kernels_of(graph, [node.name for node in blocked(graph, params)])
    chosen = {"layers": layers} if layers else {"operators": BLOCKWISE}
    return [
        Promise.model_validate(
            {
                "technique": "quantize",
                "kind": "weights_granularity",
                "value": params.granularity,
                **chosen,
            }
        )
    ]


def _any(graph: Graph, least: int) -> bool:
    return not least or any_large(graph)


def _of_rules(graph: Graph, params: Params) -> list[Promise]:
    """State dtype and scales of the weights about which each rule decides."""
    return [
        promise
        for index, rule in enumerate(params.rules)
        for promise in _of_rule(graph, params, rule, params.rules[index + 1 :])
    ]


def _of_rule(graph: Graph, params: Params, rule: Rule, later: Sequence[Rule]) -> list[Promise]:
    if not graph.nodes:
        besides = (*engines.kept(params), *(word for other in later for word in other.layers))
        return [
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value=rule.dtype,
                named=rule.layers,
                besides=besides,
            )
        ]
    mine = own(graph, params, rule)
    if not mine:  # operators without weights: the engine refuses what it cannot do to them
        return [
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value=rule.dtype,
                named=rule.layers,
                may_be_absent=True,
            )
        ]
    layers = kernels_of(graph, [node.name for node in mine])
    stored = Promise(technique="quantize", kind="weights_dtype", value=rule.dtype, layers=layers)
    return [stored, *_scales_of_rule(graph, mine, rule, rule.granularity or params.granularity)]


def _scales_of_rule(graph: Graph, mine: Sequence[Node], rule: Rule, grain: str) -> list[Promise]:
    if rule.dtype == "float32":
        return []
    if grain.startswith("block"):
        fitting = [node for node in mine if rule.dtype == "int4" and in_blocks(node, grain)]
    else:  # a layer of one channel has one scale either way
        fitting = [
            node for node in mine if grain == "tensor" or (rule.granularity and _channels(node) > 1)
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
