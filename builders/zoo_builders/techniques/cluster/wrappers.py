"""Kernels that share values while they train.

TFMOT's wrapper for whole kernels, a constraint for values of each channel.

TFMOT's own per-channel clustering builds a graph that grows with the channels, fails on a channel
of nothing but zeros, and silently leaves out convolutions without bias, so it is not used.

Everything that is no variable (which weights are zero, which group a weight is in) follows from
what `wrap` is given: a killed training is resumed by `wrap` with the same arguments, then the
variables of the checkpoint.
"""

from collections.abc import Mapping
from typing import Any

from zoo_builders import tf
from zoo_builders.techniques.cluster.selection import Target
from zoo_builders.techniques.projection import projection
from zoo_registry.model.errors import ProofFailed


def wrap(
    model: Any, targets: Mapping[str, Target], init: str, *, zeros: Mapping[str, Any], seed: int
) -> Any:
    """Give the model with shared values in the layers of `targets`.

    Args:
        model: plain; its layers are taken over, so it must be a copy of one's own.
        targets: layer → what it shall share.
        init: how the first values are found.
        zeros: layer → its kernel's zeros (bool), where they shall stay; others may lose them.
        seed: of what `init` draws.
    """

    def changed(layer: Any) -> Any:
        target = targets.get(layer.name)
        if target is None:
            return layer
        kept = zeros.get(layer.name)
        return (
            _constrained(layer, target, init, kept, seed)
            if target.per_channel
            else _wrapper(layer, target, init, kept)
        )

    clone = tf.keras.models.clone_model(model, clone_function=changed)
    for name, target in targets.items():
        if target.per_channel:
            layer, (kernel, *rest) = clone.get_layer(name), model.get_layer(name).get_weights()
            layer.set_weights([layer.kernel_constraint(kernel).numpy(), *rest])
    return clone


def _wrapper(layer: Any, target: Target, init: str, zeros: Any) -> Any:
    kinds = tf.tfmot.clustering.keras.CentroidInitialization
    start = {
        "kmeans++": kinds.KMEANS_PLUS_PLUS,
        "linear": kinds.LINEAR,
        "density": kinds.DENSITY_BASED,
        "random": kinds.RANDOM,
    }[init]
    return tf.clustering.cluster_weights(
        layer,
        number_of_clusters=target.clusters,
        cluster_centroids_init=start,
        preserve_sparsity=zeros is not None,
    )


def _constrained(layer: Any, target: Target, init: str, zeros: Any, seed: int) -> Any:
    """Make the layer anew, with a constraint that keeps each group of weights at its mean."""
    from zoo_builders.techniques.cluster.shared_values import groups_by_channel

    groups = groups_by_channel(
        layer.kernel.numpy(), target.clusters, init, seed, keep_zeros=zeros is not None
    )
    new = type(layer).from_config(layer.get_config())
    new.kernel_constraint = projection(zeros, groups)
    return new


def strip(model: Any) -> Any:
    """Give a model without TFMOT's wrappers; the layers keep their names and weights."""
    return tf.tfmot.clustering.keras.strip_clustering(model)


def settle(name: str, weights: dict[str, Any], zeros: Any, target: Target) -> int:
    """Put the kept zeros of a kernel (in place) back to exactly zero.

    Give how many values it has, or its channel with the most.

    Raises:
        ProofFailed: more than the target's.
    """
    import numpy as np

    if zeros is not None:
        weights["kernel"][zeros] = 0
    columns = np.moveaxis(weights["kernel"], -1, 0) if target.per_channel else [weights["kernel"]]
    distinct = max(len(np.unique(column)) for column in columns)
    if distinct > target.clusters:
        message = (
            f"layer {name}: {distinct} distinct weights after clustering; expected at most"
            f" {target.clusters}"
        )
        raise ProofFailed(message, hint="use init: linear or density, or more clusters")
    return distinct
