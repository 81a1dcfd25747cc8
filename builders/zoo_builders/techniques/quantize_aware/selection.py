"""Which layers get fake quantization, and what TFMOT must be told of some.

Pure but for `output_configs`.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import Graph, Node

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize_aware.params import Params

KERNELS = ("Conv2D", "DepthwiseConv2D", "Dense")
PRESERVABLE = ("Conv2D", "Dense")
"""Kernels whose zeros and shared values are kept.

Depthwise ones are neither pruned nor clustered.
"""

WITH_RANGE = ("Multiply", "Rescaling")
"""Not in TFMOT's registry, but one integer operator each.

Their output is given a range as an Add's is.
"""


def quantized_layers(graph: Graph, params: "Params") -> tuple[str, ...]:
    """Name the layers that get fake quantization.

    The kernels picked, and what else works on quantized inputs only.
    """
    picked = set(layer_selection.chosen(params.layers, kernels(graph)))
    left = {name for rule in params.skip for name in rule.picks(graph.nodes[1:])}
    found = {node.name for node in last_fixed(graph) or graph.nodes[:1]}
    for node in graph.nodes[1:]:
        if node.is_fixed:
            continue
        wanted = node.name in picked if node.op in KERNELS else found.issuperset(node.inputs)
        found |= {node.name} if wanted and node.name not in left else set()
    return tuple(node.name for node in graph.nodes[1:] if node.name in found)


def kernels(graph: Graph) -> list[Node]:
    """List the layers with a kernel that can be quantized, in the graph's order."""
    return [node for node in graph.nodes if node.op in KERNELS and not node.is_fixed]


def own_configs(graph: Graph, params: "Params") -> dict[str, str]:
    """Give the layers that are quantized by a function of the user: layer → function."""
    rules = layer_selection.chosen(params.configs, graph.nodes[1:]) if params.configs else {}
    return {name: rule.function for name, rule in rules.items() if rule is not None}


def last_fixed(graph: Graph) -> tuple[Node, ...]:
    """Give the layer that ends a front end: integers begin at its output.

    A network without a front end has no such layer.
    """
    return graph.fixed[-1:]


def output_configs(graph: Graph, layers: Collection[str]) -> dict[str, Any]:
    """Give quantize configs for the layers TFMOT has none for."""
    from zoo_builders import tf

    names = [
        node.name
        for node in graph.nodes
        if node.name in layers and (node.op in WITH_RANGE or node.is_fixed)
    ]
    return {name: tf.quantize_configs.Default8BitOutputQuantizeConfig() for name in names}
