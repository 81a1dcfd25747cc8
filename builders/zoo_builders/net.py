"""`Net`: writes a `Graph` layer by layer, as the networks in `models/` do. Shapes without the batch: (height, width, channels).

What it writes is what counts (`Graph.digest` is part of a base's fingerprint); how it writes it is not.
"""

import math

from zoo_builders.graph import Graph, Node, Shape


def _window(size: int, kernel: int, stride: int, padding: str) -> int:
    return math.ceil(size / stride) if padding == "same" else (size - kernel) // stride + 1


class Net:
    """Writes a `Graph` layer by layer. Every method adds one layer after `after` (default: the last) and returns its name."""

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
        self, filters: int, kernel: int = 1, stride: int = 1, *, padding: str = "valid", bias: bool = True,
        activation: str | None = None, name: str | None = None, after: str | None = None,
    ) -> str:  # fmt: skip
        """Add a 2-D convolution with a square kernel."""
        height, width, channels = self.shape(after)
        weights: dict[str, Shape] = {"kernel": (kernel, kernel, channels, filters)} | ({"bias": (filters,)} if bias else {})
        config = {
            "filters": filters,
            "kernel_size": kernel,
            "strides": stride,
            "padding": padding,
            "use_bias": bias,
            "activation": activation,
        }
        shape = (_window(height, kernel, stride, padding), _window(width, kernel, stride, padding), filters)
        return self._add(Node(self._fresh("conv2d", name), "Conv2D", config, (after or self.last,), shape, weights))

    def depthwise(
        self,
        kernel: int = 3,
        stride: int = 1,
        *,
        padding: str = "same",
        bias: bool = True,
        name: str | None = None,
        after: str | None = None,
    ) -> str:
        """Add a depthwise convolution with a square kernel and depth multiplier 1."""
        height, width, channels = self.shape(after)
        weights: dict[str, Shape] = {"depthwise_kernel": (kernel, kernel, channels, 1)} | ({"bias": (channels,)} if bias else {})
        config = {"kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": bias}
        shape = (_window(height, kernel, stride, padding), _window(width, kernel, stride, padding), channels)
        return self._add(Node(self._fresh("depthwiseconv2d", name), "DepthwiseConv2D", config, (after or self.last,), shape, weights))

    def batch_norm(self, *, name: str | None = None, after: str | None = None, **config: float) -> str:
        """Add batch normalisation over the channels."""
        shape = self.shape(after)
        weights: dict[str, Shape] = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (shape[-1],))
        return self._add(Node(self._fresh("batchnormalization", name), "BatchNormalization", config, (after or self.last,), shape, weights))

    def relu(self, *, max_value: float | None = None, name: str | None = None, after: str | None = None) -> str:
        """Add a ReLU, clipped at `max_value` if given (6 for ReLU6)."""
        config = {} if max_value is None else {"max_value": max_value}
        return self._add(Node(self._fresh("relu", name), "ReLU", config, (after or self.last,), self.shape(after)))

    def zero_pad(self, amount: int = 1, *, name: str | None = None, after: str | None = None) -> str:
        """Add explicit zeros on all four sides: the only padding XNNPACK's sparse path takes before a stride."""
        height, width, channels = self.shape(after)
        shape = (height + 2 * amount, width + 2 * amount, channels)
        return self._add(Node(self._fresh("zeropadding2d", name), "ZeroPadding2D", {"padding": amount}, (after or self.last,), shape))

    def max_pool(self, size: int = 2, *, name: str | None = None, after: str | None = None) -> str:
        """Add max pooling with equal window and stride."""
        height, width, channels = self.shape(after)
        shape = (height // size, width // size, channels)
        return self._add(Node(self._fresh("maxpooling2d", name), "MaxPooling2D", {"pool_size": size}, (after or self.last,), shape))

    def global_pool(self, *, keepdims: bool = True, name: str | None = None, after: str | None = None) -> str:
        """Add global average pooling; `keepdims` is what the XNNPACK policy asks for when it is not the last layer."""
        channels = self.shape(after)[-1]
        shape = (1, 1, channels) if keepdims else (channels,)
        config = {"keepdims": keepdims}
        return self._add(Node(self._fresh("globalaveragepooling2d", name), "GlobalAveragePooling2D", config, (after or self.last,), shape))

    def flatten(self, *, name: str | None = None, after: str | None = None) -> str:
        """Add a flattening to one dimension."""
        shape = (math.prod(self.shape(after)),)
        return self._add(Node(self._fresh("flatten", name), "Flatten", {}, (after or self.last,), shape))

    def dense(self, units: int, *, activation: str | None = None, name: str | None = None, after: str | None = None) -> str:
        """Add a fully connected layer with bias."""
        features = self.shape(after)[-1]
        weights: dict[str, Shape] = {"kernel": (features, units), "bias": (units,)}
        config = {"units": units, "activation": activation}
        return self._add(
            Node(self._fresh("dense", name), "Dense", config, (after or self.last,), (*self.shape(after)[:-1], units), weights)
        )

    def add(self, left: str, right: str, *, name: str | None = None) -> str:
        """Add the element-wise sum of two layers."""
        return self._add(Node(self._fresh("add", name), "Add", {}, (left, right), self.shape(left)))

    def graph(self) -> Graph:
        """Finish."""
        return Graph(self._name, tuple(self._nodes))
