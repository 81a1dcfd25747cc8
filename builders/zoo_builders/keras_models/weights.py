"""A Keras model's weights by layer and name, and back."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models.fake_quant_models import is_wrapper
from zoo_builders.keras_models.render import render
from zoo_builders.networks.fold import Weights
from zoo_builders.networks.graph import Graph, Node
from zoo_registry.model.errors import BuildFailed

_KERNELS = ("kernel", "depthwise_kernel", "embeddings")


def weights_of(model: Any, graph: Graph) -> dict[str, dict[str, Any]]:
    """Read {layer: {weight name: array}}, in the order Keras keeps them."""
    return {
        node.name: dict(zip(node.weights, model.get_layer(node.name).get_weights(), strict=True))
        for node in graph.nodes
        if node.weights
    }


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel of a layer as Keras keeps it: [..., in, out]; depthwise [height, width, in, n].

    Layers inside others are named with these: `attention/query`.
    """

    layer: str
    values: Any
    depthwise: bool = False


def kernels_of_model(model: Any) -> tuple[Kernel, ...]:
    """Read the kernel of every layer of any Keras model, in its order; no graph is needed."""
    return tuple(kernel for layer in model.layers for kernel in _kernels(layer))


def _kernels(layer: Any) -> Iterator[Kernel]:
    """Give the kernels of a layer and of those inside it: attention, nested models."""
    if is_wrapper(layer):
        yield from _own(layer, layer.layer.name)
        return
    inner = [module for module in layer.submodules if isinstance(module, tf.keras.layers.Layer)]
    yield from (() if inner else _own(layer, layer.name))
    for one in inner:
        if not any(isinstance(module, tf.keras.layers.Layer) for module in one.submodules):
            yield from _own(one, f"{layer.name}/{one.name}")


def _own(layer: Any, name: str) -> Iterator[Kernel]:
    for variable in layer.weights:
        kind = variable.name.rpartition("/")[2].partition(":")[0]
        if kind in _KERNELS:
            yield Kernel(name, variable.numpy(), depthwise=kind == "depthwise_kernel")


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
