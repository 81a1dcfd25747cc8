"""What a strided convolution sees.

It depends on where its windows begin, as the network pads and as its weights were trained. Pure.
"""

import math

from zoo_builders.networks.graph import Graph, Node, pair
from zoo_builders.pretrained import torch_layouts
from zoo_builders.pretrained.wanted import Wanted

Sides = tuple[int, int]
"""(top, left): where the first window begins before the image; the rest follows from it."""


def moved(graph: Graph, trained: torch_layouts.Padding) -> list[str]:
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


def torch_remarks(wanted: Wanted, layout: str | None) -> list[str]:
    """Say so of weights from PyTorch, where their layout, and so their padding, is clear."""
    graph = wanted.graph
    found = set() if graph is None else torch_layouts.paddings(graph, layout)
    return remarks(wanted, found.pop()) if len(found) == 1 else []


def remarks(wanted: Wanted, trained: torch_layouts.Padding) -> list[str]:
    """Say which strided convolutions see other pixels than in training, and what to do about it."""
    names = [] if wanted.graph is None else moved(wanted.graph, trained)
    if not names:
        return []
    how = "evenly" if trained == "even" else "as TensorFlow's 'same'"
    other = "variant: xnnpack" if trained == "even" else "variant: stock"
    tuned = (
        f"{wanted.fine_tune} epochs of fine-tuning follow"
        if wanted.fine_tune
        else f"set fine_tune: 5 below weights, or args {{{other}}}"
    )
    # enough to find the others
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")  # noqa: PLR2004
    strided = f"{len(names)} strided layers ({shown})"
    return [f"the weights were trained padding {how}; {strided} see other pixels here: {tuned}"]
