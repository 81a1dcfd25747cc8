"""A Keras model's weights by layer and name, and back."""

from typing import Any

from zoo_builders import tf
from zoo_builders.fold import Weights
from zoo_builders.graph import Graph
from zoo_builders.render import render


def weights_of(model: Any, graph: Graph) -> dict[str, dict[str, Any]]:
    """Read {layer: {weight name: array}}, in the order Keras keeps them."""
    return {
        node.name: dict(zip(node.weights, model.get_layer(node.name).get_weights(), strict=True)) for node in graph.nodes if node.weights
    }


def render_with(graph: Graph, weights: Weights) -> Any:
    """Build the Keras model of `graph` with these weights."""
    model = render(graph)
    for node in graph.nodes:
        if node.weights:
            model.get_layer(node.name).set_weights([weights[node.name][name] for name in node.weights])
    return model


def copied(model: Any) -> Any:
    """Clone a model with its weights: TFMOT's wrappers share layers with what they wrap, so every technique gets its own copy."""
    clone = tf.keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone
