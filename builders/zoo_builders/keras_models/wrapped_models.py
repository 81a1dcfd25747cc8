"""Models as TFMOT's guides save them: with its training wrappers still around the layers.

The wrappers are taken off; the layers within keep what was trained.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models.weights import render_with
from zoo_builders.networks.graph import Graph, Node
from zoo_registry.model.errors import BuildFailed


def stripped(path: Path, graph: Graph) -> Any:
    """Load a wrapped model; give the plain one of `graph` with the weights within the wrappers.

    Pruned weights are zero where the mask says so; clustered ones are their cluster's value; those
    with fake quantization are what was trained, not yet rounded.

    Raises:
        BuildFailed: TFMOT cannot load it, or a layer's weights are not found.
    """
    model = _load(path)
    arrays = dict(_arrays(model, graph))
    return render_with(graph, arrays)


def _load(path: Path) -> Any:
    tfmot = tf.tfmot
    with ExitStack() as scopes:
        scopes.enter_context(tfmot.sparsity.keras.prune_scope())
        scopes.enter_context(tfmot.clustering.keras.cluster_scope())
        scopes.enter_context(tfmot.quantization.keras.quantize_scope())
        try:
            model = tf.keras.models.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BuildFailed(
                f"{path.name} cannot be loaded with TFMOT's wrappers: {error}",
                hint=(
                    "strip it where it was made: tfmot.sparsity.keras.strip_pruning(model)"
                    " .save('NAME.h5'), or strip_clustering; or save it as .h5"
                ),
            ) from error
    stripped_of_clusters: Any = tfmot.clustering.keras.strip_clustering(model)
    return stripped_of_clusters


def _arrays(model: Any, graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    layers = dict(_layers(model))
    for node in graph.nodes:
        if node.weights:
            yield node.name, _of_layer(layers[node.name], node)


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Give every layer by the name that it has without its wrapper."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
            continue
        inner = getattr(layer, "layer", None)
        yield (layer if inner is None else inner).name, layer


def _of_layer(layer: Any, node: Node) -> dict[str, Any]:
    """Find a node's weights among a layer's own and its wrapper's, by the last part of their names.

    A pruning wrapper's mask is applied.
    """
    held = {
        weight.name.rpartition("/")[2].partition(":")[0]: weight.numpy() for weight in layer.weights
    }
    lost = [name for name in node.weights if name not in held]
    if lost:
        raise BuildFailed(
            f"layer {node.name}: found no {', '.join(lost)} within its wrapper",
            hint="strip the model where it was made, and save it again",
        )
    found = {name: held[name] for name in node.weights}
    kernel = next((name for name in found if name.endswith("kernel")), None)
    if "mask" in held and kernel is not None:
        found[kernel] = found[kernel] * held["mask"]
    return found
