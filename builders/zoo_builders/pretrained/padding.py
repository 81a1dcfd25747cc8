"""What a strided convolution sees.

Where its windows begin, as the network pads and as its weights were trained. Pure.
"""

import math
from typing import Literal

from zoo_builders.networks.graph import Graph, Node, pair

Sides = tuple[int, int]
"""(top, left): where the first window begins before the image; the rest follows from it."""


def moved(graph: Graph, trained: Literal["even", "tensorflow"]) -> list[str]:
    """Name the strided convolutions whose windows lie elsewhere than where they lay in training."""
    strided = [
        node
        for node in graph.nodes
        if node.op in {"Conv2D", "DepthwiseConv2D"} and max(pair(node.config["strides"])) > 1
    ]
    return [node.name for node in strided if _origin(graph, node) != _trained(graph, node, trained)]


def _origin(graph: Graph, node: Node) -> Sides:
    before = graph.node(node.inputs[0])
    if node.config["padding"] == "same":
        return _same(node, before.shape)
    if before.op != "ZeroPadding2D":
        return (0, 0)
    padding = before.config["padding"]
    return (padding, padding) if isinstance(padding, int) else (padding[0][0], padding[1][0])


def _trained(graph: Graph, node: Node, trained: str) -> Sides:
    if trained == "even":
        rows, columns = pair(node.config["kernel_size"])
        return rows // 2, columns // 2
    before = graph.node(node.inputs[0])
    image = graph.node(before.inputs[0]).shape if before.op == "ZeroPadding2D" else before.shape
    return _same(node, image)


def _same(node: Node, shape: tuple[int, ...]) -> Sides:
    """TensorFlow's `same`: as much padding as is needed, the smaller half first."""
    kernel, strides = pair(node.config["kernel_size"]), pair(node.config["strides"])
    rows, columns = (
        max((math.ceil(size / step) - 1) * step + window - size, 0) // 2
        for size, window, step in zip(shape, kernel, strides, strict=False)
    )
    return rows, columns
