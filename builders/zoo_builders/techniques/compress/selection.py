"""Which layers an algorithm compresses, and the network with others in their places. Pure."""

from collections.abc import Mapping, Sequence

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques.compress.algorithms import Algorithm, Params
from zoo_registry.model.errors import BuildFailed

ASKED = ("Conv2D", "Dense")
"""Layers an algorithm is asked about."""


def chosen(algorithm: Algorithm, graph: Graph, params: Params) -> tuple[Node, ...]:
    """List the layers that are compressed: that fit, are picked and are not skipped."""
    nodes = fitting(algorithm, graph, params)
    picked, skipped = (
        layer_selection.chosen(params.layers, nodes),
        {name for rule in params.skip for name in rule.picks(nodes)},
    )
    return tuple(node for node in nodes if node.name in picked and node.name not in skipped)


def fitting(algorithm: Algorithm, graph: Graph, params: Params) -> tuple[Node, ...]:
    """List the layers that fit, picked or not."""
    return tuple(
        node for node in graph.nodes if is_asked(node) and not algorithm.fits(node, params)
    )


def is_asked(node: Node) -> bool:
    """Whether an algorithm is asked about a layer."""
    return node.op in ASKED and not node.is_fixed


def replaced(graph: Graph, made: Mapping[str, Sequence[Node]]) -> Graph:
    """Give the network with other layers in the place of some.

    Name → layers, of which the last keeps name and shape.

    Raises:
        BuildFailed: the last one does not.
    """
    for name, into in made.items():
        if (into[-1].name, into[-1].shape) != (name, graph.node(name).shape):
            raise BuildFailed(
                f"in the place of {name}: the last layer is {into[-1].name} {into[-1].shape},"
                " expected name and shape as they were"
            )
    return Graph(
        graph.name, tuple(one for node in graph.nodes for one in made.get(node.name, (node,)))
    )
