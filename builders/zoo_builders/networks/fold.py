"""Batch normalisation folded into the layer before it: same function, fewer layers.

Pure: graphs and numpy arrays.

For a convolution `y = k * x + b` followed by `gamma (y - mean) / sqrt(variance + epsilon) + beta`
(Ioffe & Szegedy 2015, inference form), one convolution with kernel `k s` and bias `(b - mean) s +
beta`, where `s = gamma / sqrt(variance + epsilon)` for each output channel, gives the same. The
converter does this too, but after clustering it would give every channel its own multiple of the
shared values.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo_builders.networks.graph import Graph, Node

Weights = Mapping[str, Mapping[str, Any]]
"""Layer → weight name → array."""

KERNELS = {"Conv2D": "kernel", "DepthwiseConv2D": "depthwise_kernel", "Dense": "kernel"}
"""Layers that normalisation can be folded into, and the name of their kernel."""


def foldable(graph: Graph) -> dict[str, str]:
    """Name the layers that can take in the batch normalisation behind them.

    Layer → batch normalisation.

    A layer can when it is linear up to the normalisation (no activation of its own) and nothing
    else reads its output.
    """
    found = {}
    for node in graph.nodes:
        readers = graph.consumers(node.name)
        alone = len(readers) == 1 and readers[0].op == "BatchNormalization"
        if node.op in KERNELS and alone and node.config.get("activation") is None:
            found[node.name] = readers[0].name
    return found


def fold(graph: Graph, weights: Weights) -> tuple[Graph, dict[str, dict[str, Any]]]:
    """Give the network without the normalisations that can be folded, and its weights."""
    new = {node.name: dict(weights[node.name]) for node in graph.nodes if node.weights}
    for layer, norm in foldable(graph).items():
        new[layer] = _folded(graph.node(layer), weights[layer], graph.node(norm), weights[norm])
        del new[norm]
    return folded(graph), new


def folded(graph: Graph) -> Graph:
    """Give the network without the normalisations that can be folded."""
    pairs = foldable(graph)
    gone = {norm: layer for layer, norm in pairs.items()}
    return Graph(
        graph.name,
        tuple(_without(node, pairs, gone) for node in graph.nodes if node.name not in gone),
    )


def _without(node: Node, pairs: Mapping[str, str], gone: Mapping[str, str]) -> Node:
    kept = replace(node, inputs=tuple(gone.get(name, name) for name in node.inputs))
    if node.name not in pairs:
        return kept
    shapes = {**node.weights, "bias": (node.shape[-1],)}
    return replace(kept, config={**node.config, "use_bias": True}, weights=shapes)


def _folded(
    layer: Node, own: Mapping[str, Any], norm: Node, statistics: Mapping[str, Any]
) -> dict[str, Any]:
    kernel = KERNELS[layer.op]
    channels = layer.shape[-1]
    scale = statistics.get("gamma", np.ones(channels)) / np.sqrt(
        np.asarray(statistics["moving_variance"], np.float64) + norm.config.get("epsilon", 1e-3)
    )
    bias = (
        own.get("bias", np.zeros(channels)) - statistics["moving_mean"]
    ) * scale + statistics.get("beta", 0.0)
    shape = own[kernel].shape
    per_output = scale.reshape(shape[-2:]) if layer.op == "DepthwiseConv2D" else scale
    return {kernel: (own[kernel] * per_output).astype(np.float32), "bias": bias.astype(np.float32)}
