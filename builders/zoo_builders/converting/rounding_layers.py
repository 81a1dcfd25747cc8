"""Rounding a whole Keras model to eight-bit weights, layer by layer.

Each layer is rounded for the inputs it will really get.

Two copies of the network, batch normalisation folded, run side by side over calibration inputs: one
as it was, one with every layer so far rounded. A layer is rounded for the inputs that the second
gives it (`rounding`), and its bias takes up the mean of what is still between the two (bias
correction: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.2; measured here).
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_builders.converting import rounding
from zoo_builders.keras_models.render import graph_of, layer_of
from zoo_builders.keras_models.weights import render_with, weights_of
from zoo_builders.networks import fold
from zoo_builders.networks.graph import Graph, Node, pair

Report = Callable[[int, int, str], None]

EXAMPLES = 100
"""Calibration inputs that are run through the network.

The values of two layers for all of them are held at a time.
"""

_ROWS = 20_000
"""Inputs of a layer (windows of a convolution) that its moments are taken over.

They are drawn from all inputs, with a fixed seed.
"""

_BATCH = 16


def rounded(model: Any, inputs: Array, report: Report = lambda *_: None) -> Any:
    """Give the model with normalisation folded and every kernel on the converter's 8-bit grid.

    Args:
        model: a functional or sequential Keras model.
        inputs: calibration inputs, float32 [N, …]; the first `EXAMPLES` are used.
        report: told of progress: done, total, layer.

    Raises:
        Unsupported: the model is no graph of layers.
    """
    graph = graph_of(model)
    graph, weights = fold.fold(graph, weights_of(model, graph))
    walk = _Walk(graph, weights, inputs[:EXAMPLES])
    for done, node in enumerate(graph.nodes[1:], start=1):
        report(done, len(graph.nodes), f"round {node.name}")
        walk.pass_through(
            node, {name for later in graph.nodes[done + 1 :] for name in later.inputs}
        )
    return render_with(graph, walk.weights)


@dataclass(slots=True)
class _Walk:
    """Both copies on their way through the network.

    They hold what each layer gave, as long as another still needs it.
    """

    graph: Graph
    weights: dict[str, dict[str, Any]]
    inputs: Array
    original: dict[str, Array] = field(default_factory=dict)
    now: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.graph.nodes[0].name
        self.original[first] = self.now[first] = self.inputs

    def pass_through(self, node: Node, needed: AbstractSet[str]) -> None:
        """Round the node if it has a kernel, and run both copies through it.

        What the nodes behind it do not need (`needed`) is forgotten.
        """
        before = self.weights.get(node.name, {})
        reference = _run(node, before, [self.original[name] for name in node.inputs])
        if _is_rounded(node):
            self.weights[node.name] = self._round(node, before)
        self.original[node.name] = reference
        self.now[node.name] = _run(
            node, self.weights.get(node.name, {}), [self.now[name] for name in node.inputs]
        )
        for kept in (self.original, self.now):
            for name in [name for name in kept if name not in needed]:
                del kept[name]

    def _round(self, node: Node, before: Mapping[str, Any]) -> dict[str, Any]:
        name, found = fold.KERNELS[node.op], self.now[node.inputs[0]]
        after = {**before, name: _rounded_kernel(node, np.asarray(before[name]), found)}
        if "bias" in before:
            linear = replace(node, config={**node.config, "activation": None})
            wanted = _run(linear, before, [self.original[node.inputs[0]]])
            given = _run(linear, after, [found])
            after["bias"] = before["bias"] + (wanted - given).reshape(-1, node.shape[-1]).mean(
                axis=0
            )
        return after


def _is_rounded(node: Node) -> bool:
    """Whether its weights are rounded here.

    Those of others are left to the converter, which rounds to the nearest step.
    """
    return node.op in fold.KERNELS and not node.is_fixed and node.config.get("groups", 1) == 1


def _run(node: Node, weights: Mapping[str, Any], inputs: list[Array]) -> Array:
    layer = layer_of(node)
    layer.build(
        [(None, *one.shape[1:]) for one in inputs]
        if len(inputs) > 1
        else (None, *inputs[0].shape[1:])
    )
    layer.set_weights([weights[name] for name in node.weights])
    pieces = []
    for start in range(0, len(inputs[0]), _BATCH):
        batch = [tf.tensorflow.constant(one[start : start + _BATCH]) for one in inputs]
        pieces.append(np.asarray(layer(batch if len(batch) > 1 else batch[0], training=False)))
    return np.concatenate(pieces)


def _rounded_kernel(node: Node, kernel: Array, inputs: Array) -> Array:
    if node.op == "Dense":
        rows = _some(inputs.reshape(-1, inputs.shape[-1]))
        return rounding.compensated(kernel, _moments(rows)).astype(np.float32)
    windows = _windows(node, kernel.shape[:2], inputs)
    if node.op == "Conv2D":
        flat = kernel.reshape(-1, kernel.shape[-1])
        return (
            rounding.compensated(flat, _moments(windows)).reshape(kernel.shape).astype(np.float32)
        )
    return _depthwise(kernel, windows)


def _depthwise(kernel: Array, windows: Array) -> Array:
    """Round each output channel for the windows of the one input channel it looks at."""
    size, channels = kernel.shape[0] * kernel.shape[1], kernel.shape[2]
    each, best = kernel.reshape(size, channels, -1), np.empty((size, channels, kernel.shape[3]))
    for channel in range(channels):
        moments = _moments(windows.reshape(-1, size, channels)[:, :, channel])
        for output in range(kernel.shape[3]):
            best[:, channel, output] = rounding.chosen(each[:, channel, output], moments)
    return best.reshape(kernel.shape).astype(np.float32)


def _windows(node: Node, size: tuple[int, ...], inputs: Array) -> Array:
    """Cut what each output looks at out of the inputs: [windows, height x width x channels].

    Only some of the windows are kept.
    """
    each = max(1, _ROWS // len(inputs))
    random = np.random.Generator(np.random.PCG64(0))
    found = []
    for start in range(0, len(inputs), _BATCH):
        strides, rates = (pair(node.config.get(key, 1)) for key in ("strides", "dilation_rate"))
        padding = str(node.config.get("padding", "valid")).upper()
        batch = inputs[start : start + _BATCH]
        cut = tf.tensorflow.image.extract_patches(
            batch, [1, *size, 1], [1, *strides, 1], [1, *rates, 1], padding
        )
        rows = np.asarray(cut).reshape(len(cut), -1, cut.shape[-1])
        found.append(rows[:, random.permutation(rows.shape[1])[:each]].reshape(-1, cut.shape[-1]))
    return np.concatenate(found)


def _some(rows: Array) -> Array:
    picked = np.random.Generator(np.random.PCG64(0)).permutation(len(rows))[:_ROWS]
    chosen: Array = rows[picked]
    return chosen


def _moments(rows: Array) -> Array:
    wide = rows.astype(np.float64)
    moments: Array = wide.T @ wide / len(wide)
    return moments
