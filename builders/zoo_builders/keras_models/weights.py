"""A Keras model's weights by layer and name, and back."""

from collections.abc import Collection
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models.render import render
from zoo_builders.networks.fold import Weights
from zoo_builders.networks.graph import Graph, Node
from zoo_registry.model.errors import BuildFailed


def weights_of(model: Any, graph: Graph) -> dict[str, dict[str, Any]]:
    """Read {layer: {weight name: array}}, in the order Keras keeps them."""
    return {
        node.name: dict(zip(node.weights, model.get_layer(node.name).get_weights(), strict=True))
        for node in graph.nodes
        if node.weights
    }


def render_with(graph: Graph, weights: Weights) -> Any:
    """Build the Keras model of `graph` with these weights."""
    model = render(graph)
    _set(model, graph, weights)
    return model


def put(model: Any, graph: Graph, weights: Weights, fresh: Collection[str] = ()) -> None:
    """Set the weights of every layer of `model` but those in `fresh`.

    Raises:
        BuildFailed: a layer gets no weights, or weights of another shape; all such layers are
            named.
    """
    wrong = [
        fault
        for node in graph.nodes
        if node.weights and node.name not in fresh
        if (fault := _misfit(node, weights))
    ]
    if wrong:
        raise BuildFailed(
            f"the weights do not fit the network: {'; '.join(wrong)}",
            hint="zoo validate MANIFEST   # names the network meant",
        )
    _set(model, graph, weights, fresh)


def _set(model: Any, graph: Graph, weights: Weights, fresh: Collection[str] = ()) -> None:
    for node in graph.nodes:
        if node.weights and node.name not in fresh:
            model.get_layer(node.name).set_weights(
                [weights[node.name][name] for name in node.weights]
            )


def _misfit(node: Node, weights: Weights) -> str:
    found = {name: tuple(array.shape) for name, array in weights.get(node.name, {}).items()}
    wanted = {name: tuple(shape) for name, shape in node.weights.items()}
    return (
        "" if found == wanted else f"layer {node.name}: expected {wanted}, found {found or 'none'}"
    )


def copied(model: Any) -> Any:
    """Clone a model with its weights.

    TFMOT's wrappers share layers with what they wrap, so every technique gets its own copy.
    """
    clone = tf.keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone
