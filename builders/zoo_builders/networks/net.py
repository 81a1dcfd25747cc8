"""`Net`: writes a `Graph` layer by layer, as the networks in `models/` do.

Shapes are without the batch: (height, width, channels).

What it writes is what counts (`Graph.digest` is part of a base's fingerprint); how it writes it is
not.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from zoo_builders.networks.graph import Graph, Node, Shape, in_keras_order
from zoo_builders.networks.keras_layers import READERS, Config

Size = int | tuple[int, int]
"""Of a window or a stride: one number for both, or (height, width)."""

Sides = int | tuple[tuple[int, int], tuple[int, int]]
"""Of padding: one number for all four sides, or ((top, bottom), (left, right))."""


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

    def _add(self, op: str, config: Config, **at: Unpack[Place]) -> str:
        return self._join(op, config, (at.get("after") or self.last,), at.get("name"))

    def _join(self, op: str, config: Config, inputs: Sequence[str], name: str | None) -> str:
        name = name or f"{op.lower()}_{sum(node.op == op for node in self._nodes)}"
        if any(old.name == name for old in self._nodes):
            raise ValueError(f"network {self._name}: two layers are called {name!r}")
        kept, shape, weights = READERS[op](config, [self.shape(one) for one in inputs])
        self._nodes.append(Node(name, op, kept, tuple(inputs), shape, weights))
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
        config: dict[str, Any] = {"filters": filters, "kernel_size": kernel, "strides": stride}
        config |= {"padding": padding, "use_bias": bias, "activation": activation}
        return self._add("Conv2D", config, **at)

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
        config = {"kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": bias}
        return self._add("DepthwiseConv2D", config, **at)

    def batch_norm(
        self, *, name: str | None = None, after: str | None = None, **config: float
    ) -> str:
        """Add batch normalisation over the channels.

        `config` is Keras' own (momentum, epsilon, scale=False, center=False).
        """
        return self._add("BatchNormalization", config, name=name, after=after)

    def relu(self, *, max_value: float | None = None, **at: Unpack[Place]) -> str:
        """Add a ReLU, clipped at `max_value` if given (6 for ReLU6)."""
        return self._add("ReLU", {"max_value": max_value}, **at)

    def zero_pad(self, amount: Sides = 1, **at: Unpack[Place]) -> str:
        """Add explicit zeros: `amount` on all four sides, or by side.

        Four equal sides are the only padding that XNNPACK's sparse path takes before a stride.
        """
        return self._add("ZeroPadding2D", {"padding": amount}, **at)

    def max_pool(
        self,
        size: Size = 2,
        stride: Size | None = None,
        *,
        padding: str = "valid",
        **at: Unpack[Place],
    ) -> str:
        """Add max pooling; the stride is the window's size unless it is given."""
        config = {"pool_size": size, "strides": stride, "padding": padding}
        return self._add("MaxPooling2D", config, **at)

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
        config = {"pool_size": size, "strides": stride, "padding": padding}
        return self._add("AveragePooling2D", config, **at)

    def global_pool(self, *, keepdims: bool = True, **at: Unpack[Place]) -> str:
        """Add global average pooling.

        `keepdims` is what the XNNPACK policy asks for when it is not the last layer.
        """
        return self._add("GlobalAveragePooling2D", {"keepdims": keepdims}, **at)

    def flatten(self, **at: Unpack[Place]) -> str:
        """Add a flattening to one dimension."""
        return self._add("Flatten", {}, **at)

    def dense(self, units: int, *, activation: str | None = None, **at: Unpack[Place]) -> str:
        """Add a fully connected layer with bias."""
        return self._add("Dense", {"units": units, "activation": activation}, **at)

    def add(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise sum of two layers."""
        return self._join("Add", {}, (left, right), name)

    def multiply(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise product of two layers.

        A side of size 1 is spread over the other's.
        """
        return self._join("Multiply", {}, (left, right), name)

    def concat(self, inputs: Sequence[str], *, name: str | None = None) -> str:
        """Put layers of equal height and width behind each other, channel by channel."""
        return self._join("Concatenate", {}, inputs, name)

    def reshape(self, shape: Shape, **at: Unpack[Place]) -> str:
        """Give the same values another shape (without the batch)."""
        return self._add("Reshape", {"target_shape": shape}, **at)

    def dropout(self, rate: float, **at: Unpack[Place]) -> str:
        """Drop a share of the values while training; nothing in the finished file."""
        return self._add("Dropout", {"rate": rate}, **at)

    def activation(self, kind: str, **at: Unpack[Place]) -> str:
        """Add an activation by Keras' name for it."""
        return self._add("Activation", {"activation": kind}, **at)

    def rescale(self, scale: float = 1.0, offset: float = 0.0, **at: Unpack[Place]) -> str:
        """Add `x * scale + offset` with two fixed numbers."""
        return self._add("Rescaling", {"scale": scale, "offset": offset}, **at)

    def graph(self) -> Graph:
        """Finish the graph; branches are ordered as Keras orders them.

        A graph read back from its Keras model is then the same.

        Raises:
            ValueError: a layer leads nowhere.
        """
        read = {origin for node in self._nodes for origin in node.inputs} | {self.last}
        unread = [node.name for node in self._nodes if node.name not in read]
        if unread:
            raise ValueError(f"network {self._name}: no layer reads {', '.join(unread)}")
        return Graph(self._name, in_keras_order(self._nodes))
