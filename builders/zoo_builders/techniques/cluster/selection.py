"""Which kernels `cluster` touches, and how many values each shares.

Pure, on a `Graph`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import Graph, Node

if TYPE_CHECKING:
    from zoo_builders.techniques.cluster.params import LayerRule, Params

CLUSTERABLE = ("Conv2D", "Dense")


@dataclass(frozen=True, slots=True)
class Target:
    """What shall become of one kernel: so many values, in all of it or in each output channel."""

    clusters: int
    per_channel: bool


def clustered_layers(graph: Graph, params: "Params") -> dict[str, Target]:
    """Name the layers whose kernels are clustered, in graph order.

    Those picked that have more weights than values to share.
    """
    nodes = candidates(graph)
    left = {name for rule in params.skip for name in rule.picks(nodes)}
    found = {
        name: target_of(graph.node(name), rule, params)
        for name, rule in layer_selection.chosen(params.layers, nodes).items()
        if name not in left
    }
    return {
        name: target
        for name, target in found.items()
        if weights(graph.node(name), target) > target.clusters
    }


def candidates(graph: Graph) -> list[Node]:
    """List the layers whose kernels can be clustered, in the graph's order."""
    return [node for node in graph.nodes if node.op in CLUSTERABLE and not node.is_fixed]


def target_of(node: Node, rule: "LayerRule | None", params: "Params") -> Target:
    """Say what shall become of a kernel, as its rule says, or else the step."""
    clusters = params.clusters if rule is None or rule.clusters is None else rule.clusters
    per_channel = (
        params.per_channel if rule is None or rule.per_channel is None else rule.per_channel
    )
    return Target(clusters, per_channel and node.op == "Conv2D")


def weights(node: Node, target: Target) -> int:
    """Count the weights that share the values."""
    shape = node.weights["kernel"]
    return math.prod(shape[:-1] if target.per_channel else shape)
