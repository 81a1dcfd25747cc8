"""Networks as data: a graph of layers that can be judged before TensorFlow is imported.

A `Graph` is what `plan` and `preflight` look at, and what `render` turns into a Keras model. Shapes
are without the batch: images are (height, width, channels). Op names are Keras class names, configs
are Keras constructor arguments.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest

Shape = tuple[int, ...]

FIXED = "front_end_"
"""How the names of layers begin whose weights are formulas (see `front_end`).

Nothing trains them, and techniques leave them alone.
"""

FORMULA = "part of the front end: its weights are a formula, which learned ones around it rely on"
"""Why techniques leave them alone."""


def pair(value: Any) -> tuple[int, int]:
    """Spell a size, stride or rate as Keras takes it, one number or two, as (height, width)."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def slid(
    shape: Shape, kernel: Any, stride: Any, padding: str, dilation: Any = 1
) -> tuple[int, int]:
    """Height and width after a window slides over `shape`, by TensorFlow's `same` and `valid`.

    Kernel, stride and dilation are one number or (height, width).
    """
    sizes = zip(shape[:2], pair(kernel), pair(stride), pair(dilation), strict=True)
    rows, columns = (
        math.ceil(size / step) if padding == "same" else (size - (width - 1) * rate - 1) // step + 1
        for size, width, step, rate in sizes
    )
    return rows, columns


@dataclass(frozen=True, slots=True)
class Node:
    """One layer: its Keras class, constructor arguments, inputs by name, and output shape.

    It also holds the shapes of its weights.
    """

    name: str
    op: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of weights, trainable or not."""
        return sum(math.prod(shape) for shape in self.weights.values())

    @property
    def is_fixed(self) -> bool:
        """Whether its weights are a formula, and not learned."""
        return self.name.startswith(FIXED)

    @property
    def kernel_weights(self) -> int:
        """How many weights its kernels have together; 0 without one."""
        return sum(
            math.prod(shape) for name, shape in self.weights.items() if name.endswith("kernel")
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether this is a 1x1 convolution with stride 1: the only kind XNNPACK runs sparse."""
        return (
            self.op == "Conv2D"
            and pair(self.config["kernel_size"]) == (1, 1)
            and pair(self.config.get("strides", 1)) == (1, 1)
        )


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in topological order; the first is the input, the last the output."""

    name: str
    nodes: tuple[Node, ...]

    def node(self, name: str) -> Node:
        """Give the layer called `name`."""
        return next(node for node in self.nodes if node.name == name)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """List the layers that read what `name` gives."""
        return tuple(node for node in self.nodes if name in node.inputs)

    @property
    def input_shape(self) -> Shape:
        """Shape of one input, without the batch."""
        return self.nodes[0].shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one output, without the batch."""
        return self.nodes[-1].shape

    @property
    def parameters(self) -> int:
        """Number of weights, trainable or not."""
        return sum(node.parameters for node in self.nodes)

    @property
    def fixed(self) -> tuple[Node, ...]:
        """List the layers whose weights are formulas."""
        return tuple(node for node in self.nodes if node.is_fixed)

    @property
    def digest(self) -> Digest:
        """Sha256 over everything it says.

        Equal digests mean equal networks, whatever code wrote them.
        """
        plain = [
            {
                "name": node.name,
                "op": node.op,
                "config": dict(node.config),
                "inputs": list(node.inputs),
                "shape": list(node.shape),
                "weights": {name: list(shape) for name, shape in node.weights.items()},
            }
            for node in self.nodes
        ]
        return digest_of([self.name, plain])


def in_keras_order(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Order layers by their distance from the output, the farthest first.

    Equally far ones come as a walk back from the output meets them.

    Source: `_map_graph_network` of tf_keras/src/engine/functional.py.
    """
    by_name = {node.name: node for node in nodes}
    met = _walk_back(by_name, nodes[-1].name)
    depth = dict.fromkeys(met, 0)
    for node in reversed(nodes):
        for origin in node.inputs:
            depth[origin] = max(depth[origin], depth[node.name] + 1)
    return tuple(by_name[name] for name in sorted(met, key=lambda name: (-depth[name], met[name])))


def _walk_back(by_name: dict[str, Node], last: str) -> dict[str, int]:
    """Number the layers as a depth-first walk from `last` to the inputs meets them."""
    met, waiting = dict[str, int](), [last]
    while waiting:
        name = waiting.pop()
        if name not in met:
            met[name] = len(met)
            waiting.extend(reversed(by_name[name].inputs))
    return met
