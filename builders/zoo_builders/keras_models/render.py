"""Graph → Keras model, and back.

The pure half (reading a Keras configuration) is `keras_config`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models import front_end_layers
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.keras_config import graph_of_config, graph_of_file
from zoo_builders.networks.verdicts import Objection
from zoo_registry.model.errors import BuildFailed, Unsupported

__all__ = ["graph_of", "graph_of_file", "judged", "layer_of", "render"]


def render(graph: Graph) -> Any:
    """Build the functional Keras model that `graph` describes.

    Same layer names, fresh weights from the current seed.

    Raises:
        Unsupported: a node's class is no Keras layer, or Keras gives it another shape than the
            graph says.
    """
    keras = tf.keras
    first, *rest = graph.nodes
    values = {first.name: keras.Input(first.shape, name=first.name)}
    for node in rest:
        values[node.name] = layer_of(node)(*_arguments(node, values))
        found = tuple(values[node.name].shape[1:])
        if found != node.shape:
            raise Unsupported(
                f"{graph.name}: layer {node.name} has shape {found} in Keras, {node.shape} in the"
                " graph",
                hint="correct the network",
            )
    return keras.Model(values[first.name], values[graph.nodes[-1].name], name=graph.name)


def layer_of(node: Node) -> Any:
    """Make the Keras layer that a node describes, not yet connected.

    Raises:
        Unsupported: Keras has no class of that name.
    """
    kind = getattr(tf.keras.layers, node.op, None) or front_end_layers.classes().get(node.op)
    if kind is None:
        raise Unsupported(
            f"layer {node.name}: Keras has no layer class {node.op!r}", hint="correct the network"
        )
    return kind(name=node.name, **node.config)


def _arguments(node: Node, values: dict[str, Any]) -> tuple[Any, ...]:
    found = [values[name] for name in node.inputs]
    return (found,) if len(found) > 1 else (found[0],)


def graph_of(model: Any) -> Graph:
    """Read a functional or sequential Keras model back as a graph.

    Raises:
        Unsupported: it has a layer we have no description for, more than one input or output, or is
            a subclassed model.
    """
    return graph_of_config(model.__class__.__name__, model.get_config())


def judged(model: Any, technique: str, objections: Callable[[Graph], Sequence[Objection]]) -> Graph:
    """Read a model back and let a technique object to it.

    What planning could not ask of a network that is only known once it is built.

    Raises:
        BuildFailed: with every layer that cannot be, why, and a way out.
    """
    try:
        graph = graph_of(model)
    except Unsupported as error:
        hint = (
            f"{technique} must know every layer: replace these, or use prune and quantize: {{dtype:"
            " int8} instead, which take any"
        )
        raise BuildFailed(f"{technique} cannot be applied: {error.message}", hint=hint) from error
    refused = objections(graph)
    if refused:
        lines = "; ".join(f"layer {one.layer}: {one.reason}" for one in refused)
        ways = "; ".join(f"{one.layer}: {one.fix}" for one in refused)
        raise BuildFailed(f"{technique} cannot be applied: {lines}", hint=ways)
    return graph
