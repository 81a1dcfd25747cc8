"""`cluster`: let the weights of each kernel share a few values (Han et al. 2016, "Deep Compression")."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo_builders.graph import Graph
from zoo_builders.proof import Promise
from zoo_builders.specs import Spec
from zoo_builders.techniques import TECHNIQUES, Context, Objection, Step, Technique

DOC = """Weight clustering with fine-tuning.

Shrinks the compressed download (few distinct values compress well); changes neither the file's raw size nor its latency. Batch
normalisation is folded into the convolution before it first, because the converter would otherwise multiply every channel by its own factor
and make the shared values distinct again. Depthwise kernels and biases are not clustered.
"""

_CLUSTERABLE = ("Conv2D", "Dense")
_PER_CHANNEL = ("int8", "int16x8", "dynamic")


class Params(Spec):
    """What a manifest may say about `cluster`."""

    clusters: Annotated[int, Field(ge=3, le=1024)] = Field(
        default=16, description="distinct values in each clustered tensor, zero included"
    )
    init: Literal["kmeans++", "linear", "density", "random"] = Field(
        default="kmeans++", description="how the first shared values are found"
    )
    preserve: Literal["none", "sparsity"] = Field(default="none", description="sparsity: weights that prune set to zero stay zero")
    fold_batch_norm: bool = Field(
        default=True, description="fold batch normalisation first, so that values stay shared in the finished file"
    )
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(default=3, description="epochs of fine-tuning")
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(default=None, description="default: the base's")
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(default=1e-4, description="small: the shared values only drift into place")

    @property
    def most(self) -> int:
        """Most values that any clustered kernel shares."""
        return self.clusters


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse what would lose the zeros of `prune`, what comes after `quantize`, and networks without kernels to cluster."""
    names = {step.technique for step in before}
    found = []
    if "prune" in names and params.preserve != "sparsity":
        found.append(Objection(graph.name, "clustering after prune moves its zeros", "set preserve: sparsity"))
    if params.preserve == "sparsity" and "prune" not in names:
        found.append(
            Objection(graph.name, "preserve: sparsity, but no earlier step makes zeros", "put prune before cluster, or drop preserve")
        )
    if "quantize" in names:
        found.append(Objection(graph.name, "clustering after quantize would undo it", "put cluster before quantize"))
    if not clustered_layers(graph, params):
        found.append(
            Objection(graph.name, f"no Conv2D or Dense has more than {params.clusters} weights", "drop cluster, or lower clusters")
        )
    return found


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the number of distinct values: per tensor in float files; per channel once int8 scales are per channel, or unfolded."""
    del graph
    stored = [getattr(step.params, "dtype", "int8") for step in steps if step.technique in {"quantize", "quantize_aware"}]
    per_channel = any(dtype in _PER_CHANNEL for dtype in stored) or not params.fold_batch_norm
    return [
        Promise(
            technique="cluster",
            kind="distinct_at_most",
            value=params.clusters,
            operators=("CONV_2D", "FULLY_CONNECTED"),
            per="channel" if per_channel else "tensor",
        )
    ]


def clustered_layers(graph: Graph, params: Params) -> tuple[str, ...]:
    """Name the layers whose kernels are clustered: those with more weights than values to share."""
    kernels = {node.name: node.weights["kernel"] for node in graph.nodes if node.op in _CLUSTERABLE}
    return tuple(name for name, shape in kernels.items() if _size(shape) > params.clusters)


def _size(shape: Sequence[int]) -> int:
    import math

    return math.prod(shape)


def apply(model: Any, params: Params, context: Context) -> Any:
    """Fold batch normalisation, wrap the kernels, fine-tune, strip, and insist on the distinct values and kept zeros.

    Raises:
        ProofFailed: a kernel ended with more distinct values than clusters, or lost zeros it should have kept.
    """
    from zoo_builders import tf
    from zoo_builders.fit import fine_tuning, fit

    graph, weights, plain = _folded(model, params)
    layers = clustered_layers(graph, params)
    zeros = {name: weights[name]["kernel"] == 0 for name in layers} if params.preserve == "sparsity" else {}
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    wrapped = _wrap(plain, layers, params)
    history = fit(wrapped, context, train, note="cluster")
    stripped = tf.tfmot.clustering.keras.strip_clustering(wrapped)
    context.keep("history", {"epochs": history})
    context.keep("distinct", {name: _settle(stripped.get_layer(name), zeros.get(name), params.clusters) for name in layers})
    return stripped


def _folded(model: Any, params: Params) -> tuple[Graph, dict[str, dict[str, Any]], Any]:
    from zoo_builders import fold
    from zoo_builders.keras_weights import render_with, weights_of
    from zoo_builders.render import graph_of

    graph = graph_of(model)
    weights = weights_of(model, graph)
    if not params.fold_batch_norm:
        return graph, weights, model
    graph, weights = fold.fold(graph, weights)
    return graph, weights, render_with(graph, weights)


def _wrap(model: Any, layers: Sequence[str], params: Params) -> Any:
    from zoo_builders import tf

    kinds = tf.tfmot.clustering.keras.CentroidInitialization
    init = {"kmeans++": kinds.KMEANS_PLUS_PLUS, "linear": kinds.LINEAR, "density": kinds.DENSITY_BASED, "random": kinds.RANDOM}[params.init]
    settings = {
        "number_of_clusters": params.clusters,
        "cluster_centroids_init": init,
        "preserve_sparsity": params.preserve == "sparsity",
    }
    wrap = tf.clustering.cluster_weights
    return tf.keras.models.clone_model(model, clone_function=lambda layer: wrap(layer, **settings) if layer.name in layers else layer)


def _settle(layer: Any, zeros: Any, clusters: int) -> int:
    """Put the kept zeros back to exactly zero; give the number of distinct values."""
    import numpy as np

    from zoo_registry.model.errors import ProofFailed

    kernel, *rest = layer.get_weights()
    if zeros is not None:
        kernel[zeros] = 0
        layer.set_weights([kernel, *rest])
    distinct = len(np.unique(kernel))
    if distinct > clusters:
        message = f"layer {layer.name}: {distinct} distinct weights after clustering; expected at most {clusters}"
        raise ProofFailed(message, hint="use init: linear or density, or more clusters")
    return distinct


CLUSTER = TECHNIQUES.add(
    "cluster",
    Technique(
        "cluster", Params, apply, check, promises, DOC, modules=("zoo_builders.fit", "zoo_builders.fold", "zoo_builders.keras_weights")
    ),
)
