"""`Net`: writes a `Graph` layer by layer, as the networks in `models/` do.

Shapes without the batch: (height, width, channels).

What it writes is what counts (`Graph.digest` is part of a base's fingerprint); how it writes it is
not.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from zoo_builders.networks.graph import Graph, Node, Shape, in_keras_order, pair, slid

Size = int | tuple[int, int]
"""Of a window or a stride: one number for both, or (height, width)."""

Sides = int | tuple[tuple[int, int], tuple[int, int]]
"""Of padding: one number for all four sides, or ((top, bottom), (left, right))."""

_BATCH_NORM = {"momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True}
"""Keras' own; what equals them is not written down.

So that a graph reads back from Keras as it was.
"""


def _differing(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in config.items()
        if name not in defaults or value != defaults[name]
    }


class Place(TypedDict, total=False):
    """Where a layer stands: its name (default: its class and a number), and the layer before it."""

    name: str | None
    after: str | None


class Net:
    """Writes a `Graph` layer by layer.

    Every method adds one layer after `after` (default: the last) and returns its name. Sizes of
    windows and strides are one number where both sides are equal.
    """

    def __init__(self, name: str, shape: Shape) -> None:
        self._name = name
        self._nodes: list[Node] = [Node("input", "InputLayer", {}, (), shape)]

    @property
    def last(self) -> str:
        """Name of the layer added last."""
        return self._nodes[-1].name

    def shape(self, name: str | None = None) -> Shape:
        """Output shape of a layer, the last by default."""
        return next(node.shape for node in self._nodes if node.name == (name or self.last))

    def _add(self, op: str, config: dict[str, Any], shape: Shape, **at: Unpack[Place]) -> str:
        return self._join(op, config, shape, (at.get("after") or self.last,), at.get("name"))

    def _join(
        self,
        op: str,
        config: dict[str, Any],
        shape: Shape,
        inputs: tuple[str, ...],
        name: str | None,
    ) -> str:
        name = name or f"{op.lower()}_{sum(node.op == op for node in self._nodes)}"
        if any(old.name == name for old in self._nodes):
            raise ValueError(f"network {self._name}: two layers are called {name!r}")
        self._nodes.append(Node(name, op, config, inputs, shape))
        return name

    def _weigh(self, name: str, **weights: Shape | None) -> str:
        """Give the layer `name`, the last one, its weights; None stands for one it has not."""
        held = {weight: shape for weight, shape in weights.items() if shape is not None}
        self._nodes[-1] = replace(self._nodes[-1], weights=held)
        return name

    def conv(
        self,
        filters: int,
        kernel: Size = 1,
        stride: Size = 1,
        *,
        padding: str = "valid",
        bias: bool = True,
        activation: str | None = None,
        **at: Unpack[Place],
    ) -> str:
        """Add a 2-D convolution."""
        given = self.shape(at.get("after"))
        config: dict[str, Any] = {"filters": filters, "kernel_size": kernel, "strides": stride}
        config |= {"padding": padding, "use_bias": bias, "activation": activation}
        name = self._add("Conv2D", config, (*slid(given, kernel, stride, padding), filters), **at)
        learned = (*pair(kernel), given[-1], filters)
        return self._weigh(name, kernel=learned, bias=(filters,) if bias else None)

    def depthwise(
        self,
        kernel: Size = 3,
        stride: Size = 1,
        *,
        padding: str = "same",
        bias: bool = True,
        **at: Unpack[Place],
    ) -> str:
        """Add a depthwise convolution with depth multiplier 1."""
        given = self.shape(at.get("after"))
        config = {"kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": bias}
        shape = (*slid(given, kernel, stride, padding), given[-1])
        name = self._add("DepthwiseConv2D", config, shape, **at)
        learned = (*pair(kernel), given[-1], 1)
        return self._weigh(name, depthwise_kernel=learned, bias=given[-1:] if bias else None)

    def batch_norm(
        self, *, name: str | None = None, after: str | None = None, **config: float
    ) -> str:
        """Add batch normalisation over the channels.

        `config` is Keras' own (momentum, epsilon, scale=False, center=False).
        """
        shape, kept = self.shape(after), _differing(config, _BATCH_NORM)
        name = self._add("BatchNormalization", kept, shape, name=name, after=after)
        each = shape[-1:]
        return self._weigh(
            name,
            gamma=each if kept.get("scale", True) else None,
            beta=each if kept.get("center", True) else None,
            moving_mean=each,
            moving_variance=each,
        )

    def relu(self, *, max_value: float | None = None, **at: Unpack[Place]) -> str:
        """Add a ReLU, clipped at `max_value` if given (6 for ReLU6)."""
        config = {} if max_value is None else {"max_value": max_value}
        return self._add("ReLU", config, self.shape(at.get("after")), **at)

    def zero_pad(self, amount: Sides = 1, **at: Unpack[Place]) -> str:
        """Add explicit zeros: `amount` on all four sides, or by side.

        Four equal sides are the only padding that XNNPACK's sparse path takes before a stride.
        """
        (top, bottom), (left, right) = (
            ((amount, amount),) * 2 if isinstance(amount, int) else amount
        )
        if top == bottom == left == right:
            amount = top
        height, width, channels = self.shape(at.get("after"))
        shape = (height + top + bottom, width + left + right, channels)
        return self._add("ZeroPadding2D", {"padding": amount}, shape, **at)

    def max_pool(
        self,
        size: Size = 2,
        stride: Size | None = None,
        *,
        padding: str = "valid",
        **at: Unpack[Place],
    ) -> str:
        """Add max pooling; the stride is the window's size unless it is given."""
        return self._pool("MaxPooling2D", size, stride, padding, **at)

    def avg_pool(
        self,
        size: Size = 2,
        stride: Size | None = None,
        *,
        padding: str = "valid",
        **at: Unpack[Place],
    ) -> str:
        """Add average pooling; zeros added by `same` do not count in the mean.

        The stride is the window's size unless it is given.
        """
        return self._pool("AveragePooling2D", size, stride, padding, **at)

    def _pool(
        self, op: str, size: Size, stride: Size | None, padding: str, **at: Unpack[Place]
    ) -> str:
        asked = {"strides": size if stride is None else stride, "padding": padding}
        config = {"pool_size": size} | _differing(asked, {"strides": size, "padding": "valid"})
        given = self.shape(at.get("after"))
        shape = (*slid(given, size, asked["strides"], padding), given[-1])
        return self._add(op, config, shape, **at)

    def global_pool(self, *, keepdims: bool = True, **at: Unpack[Place]) -> str:
        """Add global average pooling.

        `keepdims` is what the XNNPACK policy asks for when it is not the last layer.
        """
        channels = self.shape(at.get("after"))[-1]
        shape = (1, 1, channels) if keepdims else (channels,)
        return self._add("GlobalAveragePooling2D", {"keepdims": keepdims}, shape, **at)

    def flatten(self, **at: Unpack[Place]) -> str:
        """Add a flattening to one dimension."""
        return self._add("Flatten", {}, (math.prod(self.shape(at.get("after"))),), **at)

    def dense(self, units: int, *, activation: str | None = None, **at: Unpack[Place]) -> str:
        """Add a fully connected layer with bias."""
        *outer, features = self.shape(at.get("after"))
        config = {"units": units, "activation": activation}
        name = self._add("Dense", config, (*outer, units), **at)
        return self._weigh(name, kernel=(features, units), bias=(units,))

    def add(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise sum of two layers."""
        return self._join("Add", {}, self._spread(left, right), (left, right), name)

    def multiply(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise product of two layers.

        A side of size 1 is spread over the other's.
        """
        return self._join("Multiply", {}, self._spread(left, right), (left, right), name)

    def _spread(self, left: str, right: str) -> Shape:
        return tuple(max(pair) for pair in zip(self.shape(left), self.shape(right), strict=True))

    def concat(self, inputs: Sequence[str], *, name: str | None = None) -> str:
        """Put layers of equal height and width behind each other, channel by channel."""
        shape = (*self.shape(inputs[0])[:-1], sum(self.shape(one)[-1] for one in inputs))
        return self._join("Concatenate", {}, shape, tuple(inputs), name)

    def reshape(self, shape: Shape, **at: Unpack[Place]) -> str:
        """Give the same values another shape (without the batch)."""
        return self._add("Reshape", {"target_shape": shape}, shape, **at)

    def dropout(self, rate: float, **at: Unpack[Place]) -> str:
        """Drop a share of the values while training; nothing in the finished file."""
        return self._add("Dropout", {"rate": rate}, self.shape(at.get("after")), **at)

    def activation(self, kind: str, **at: Unpack[Place]) -> str:
        """Add an activation by Keras' name for it."""
        return self._add("Activation", {"activation": kind}, self.shape(at.get("after")), **at)

    def rescale(self, scale: float = 1.0, offset: float = 0.0, **at: Unpack[Place]) -> str:
        """Add `x * scale + offset` with two fixed numbers."""
        config = {"scale": scale} | ({"offset": offset} if offset else {})
        return self._add("Rescaling", config, self.shape(at.get("after")), **at)

    def graph(self) -> Graph:
        """Finish; branches are ordered as Keras orders them.

        So that a graph read back from its Keras model is the same.

        Raises:
            ValueError: a layer leads nowhere.
        """
        read = {origin for node in self._nodes for origin in node.inputs} | {self.last}
        unread = [node.name for node in self._nodes if node.name not in read]
        if unread:
            raise ValueError(f"network {self._name}: no layer reads {', '.join(unread)}")
        return Graph(self._name, in_keras_order(self._nodes))
