"""`Net`: writes a `Graph` layer by layer, as the networks in `models/` do.

Shapes without the batch: (height, width, channels).

What it writes is what counts (`Graph.digest` is part of a base's fingerprint); how it writes it is
not.
"""

import math
from collections.abc import Sequence
from typing import Any

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


class Net:
    """Writes a `Graph` layer by layer.

    Every method adds one layer after `after` (default: the last) and returns its name.
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

    def _add(self, node: Node) -> str:
        if any(old.name == node.name for old in self._nodes):
            raise ValueError(f"network {self._name}: two layers are called {node.name!r}")
        self._nodes.append(node)
        return node.name

    def _fresh(self, op: str, name: str | None) -> str:
        return name or f"{op}_{sum(node.op.lower() == op for node in self._nodes)}"

    def conv(  # noqa: PLR0913  the arguments of a convolution
        self,
        filters: int,
        kernel: Size = 1,
        stride: Size = 1,
        *,
        padding: str = "valid",
        bias: bool = True,
        activation: str | None = None,
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add a 2-D convolution.

        `kernel` (3 or (1, 7)) and `stride` are spelled as one number where both sides are equal.
        """
        channels = self.shape(after)[-1]
        weights: dict[str, Shape] = {"kernel": (*pair(kernel), channels, filters)} | (
            {"bias": (filters,)} if bias else {}
        )
        config = {
            "filters": filters,
            "kernel_size": kernel,
            "strides": stride,
            "padding": padding,
            "use_bias": bias,
            "activation": activation,
        }
        shape = (*slid(self.shape(after), kernel, stride, padding), filters)
        return self._add(
            Node(
                self._fresh("conv2d", name), "Conv2D", config, (after or self.last,), shape, weights
            )
        )

    def depthwise(
        self,
        kernel: Size = 3,
        stride: Size = 1,
        *,
        padding: str = "same",
        bias: bool = True,
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add a depthwise convolution with depth multiplier 1."""
        channels = self.shape(after)[-1]
        weights: dict[str, Shape] = {"depthwise_kernel": (*pair(kernel), channels, 1)} | (
            {"bias": (channels,)} if bias else {}
        )
        config = {"kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": bias}
        shape = (*slid(self.shape(after), kernel, stride, padding), channels)
        return self._add(
            Node(
                self._fresh("depthwiseconv2d", name),
                "DepthwiseConv2D",
                config,
                (after or self.last,),
                shape,
                weights,
            )
        )

    def batch_norm(
        self, *, name: str | None = None, after: str | None = None, **config: float
    ) -> str:
        """Add batch normalisation over the channels.

        `config` is Keras' own (momentum, epsilon, scale=False, center=False).
        """
        shape, kept = self.shape(after), _differing(config, _BATCH_NORM)
        learned = [
            weight
            for weight, asked in (("gamma", "scale"), ("beta", "center"))
            if kept.get(asked, True)
        ]
        weights: dict[str, Shape] = dict.fromkeys(
            (*learned, "moving_mean", "moving_variance"), (shape[-1],)
        )
        return self._add(
            Node(
                self._fresh("batchnormalization", name),
                "BatchNormalization",
                kept,
                (after or self.last,),
                shape,
                weights,
            )
        )

    def relu(
        self, *, max_value: float | None = None, name: str | None = None, after: str | None = None
    ) -> str:
        """Add a ReLU, clipped at `max_value` if given (6 for ReLU6)."""
        config = {} if max_value is None else {"max_value": max_value}
        return self._add(
            Node(
                self._fresh("relu", name), "ReLU", config, (after or self.last,), self.shape(after)
            )
        )

    def zero_pad(
        self, amount: Sides = 1, *, name: str | None = None, after: str | None = None
    ) -> str:
        """Add explicit zeros: `amount` on all four sides, or by side.

        Four equal sides are the only padding that XNNPACK's sparse path takes before a stride.
        """
        (top, bottom), (left, right) = (
            ((amount, amount),) * 2 if isinstance(amount, int) else amount
        )
        if top == bottom == left == right:
            amount = top
        height, width, channels = self.shape(after)
        shape = (height + top + bottom, width + left + right, channels)
        return self._add(
            Node(
                self._fresh("zeropadding2d", name),
                "ZeroPadding2D",
                {"padding": amount},
                (after or self.last,),
                shape,
            )
        )

    def max_pool(
        self,
        size: Size = 2,
        stride: Size | None = None,
        *,
        padding: str = "valid",
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add max pooling; the stride is the window's size unless it is given."""
        return self._pool(
            "MaxPooling2D", (size, size if stride is None else stride, padding), name, after
        )

    def avg_pool(
        self,
        size: Size = 2,
        stride: Size | None = None,
        *,
        padding: str = "valid",
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add average pooling; zeros added by `same` do not count in the mean.

        The stride is the window's size unless it is given.
        """
        return self._pool(
            "AveragePooling2D", (size, size if stride is None else stride, padding), name, after
        )

    def _pool(
        self, op: str, window: tuple[Size, Size, str], name: str | None, after: str | None
    ) -> str:
        size, stride, padding = window
        asked = {"strides": stride, "padding": padding}
        config = {"pool_size": size} | _differing(asked, {"strides": size, "padding": "valid"})
        shape = (*slid(self.shape(after), size, stride, padding), self.shape(after)[-1])
        return self._add(
            Node(self._fresh(op.lower(), name), op, config, (after or self.last,), shape)
        )

    def global_pool(
        self, *, keepdims: bool = True, name: str | None = None, after: str | None = None
    ) -> str:
        """Add global average pooling.

        `keepdims` is what the XNNPACK policy asks for when it is not the last layer.
        """
        channels = self.shape(after)[-1]
        shape = (1, 1, channels) if keepdims else (channels,)
        config = {"keepdims": keepdims}
        return self._add(
            Node(
                self._fresh("globalaveragepooling2d", name),
                "GlobalAveragePooling2D",
                config,
                (after or self.last,),
                shape,
            )
        )

    def flatten(self, *, name: str | None = None, after: str | None = None) -> str:
        """Add a flattening to one dimension."""
        shape = (math.prod(self.shape(after)),)
        return self._add(
            Node(self._fresh("flatten", name), "Flatten", {}, (after or self.last,), shape)
        )

    def dense(
        self,
        units: int,
        *,
        activation: str | None = None,
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add a fully connected layer with bias."""
        features = self.shape(after)[-1]
        weights: dict[str, Shape] = {"kernel": (features, units), "bias": (units,)}
        config = {"units": units, "activation": activation}
        return self._add(
            Node(
                self._fresh("dense", name),
                "Dense",
                config,
                (after or self.last,),
                (*self.shape(after)[:-1], units),
                weights,
            )
        )

    def add(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise sum of two layers."""
        return self._add(
            Node(self._fresh("add", name), "Add", {}, (left, right), self._spread(left, right))
        )

    def multiply(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise product of two layers.

        A side of size 1 is spread over the other's.
        """
        return self._add(
            Node(
                self._fresh("multiply", name),
                "Multiply",
                {},
                (left, right),
                self._spread(left, right),
            )
        )

    def _spread(self, left: str, right: str) -> Shape:
        return tuple(max(pair) for pair in zip(self.shape(left), self.shape(right), strict=True))

    def concat(self, inputs: Sequence[str], *, name: str | None = None) -> str:
        """Put layers of equal height and width behind each other, channel by channel."""
        shape = (*self.shape(inputs[0])[:-1], sum(self.shape(one)[-1] for one in inputs))
        return self._add(
            Node(self._fresh("concatenate", name), "Concatenate", {}, tuple(inputs), shape)
        )

    def reshape(self, shape: Shape, *, name: str | None = None, after: str | None = None) -> str:
        """Give the same values another shape (without the batch)."""
        return self._add(
            Node(
                self._fresh("reshape", name),
                "Reshape",
                {"target_shape": shape},
                (after or self.last,),
                shape,
            )
        )

    def dropout(self, rate: float, *, name: str | None = None, after: str | None = None) -> str:
        """Drop a share of the values while training; nothing in the finished file."""
        return self._add(
            Node(
                self._fresh("dropout", name),
                "Dropout",
                {"rate": rate},
                (after or self.last,),
                self.shape(after),
            )
        )

    def activation(self, kind: str, *, name: str | None = None, after: str | None = None) -> str:
        """Add an activation by Keras' name for it."""
        config = {"activation": kind}
        return self._add(
            Node(
                self._fresh("activation", name),
                "Activation",
                config,
                (after or self.last,),
                self.shape(after),
            )
        )

    def rescale(
        self,
        scale: float = 1.0,
        offset: float = 0.0,
        *,
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add `x * scale + offset` with two fixed numbers."""
        config = {"scale": scale} | ({"offset": offset} if offset else {})
        return self._add(
            Node(
                self._fresh("rescaling", name),
                "Rescaling",
                config,
                (after or self.last,),
                self.shape(after),
            )
        )

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
