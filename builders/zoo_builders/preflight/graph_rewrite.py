"""A network written anew so that XNNPACK can run it sparse.

It is rewritten only where its function stays the same to the last weight. Pure.

Five things can be said differently without changing what is computed: a global pooling keeps its
dimensions and a flattening drops them behind it; `same` padding that happens to be even on all
sides becomes a `ZeroPadding2D` of its own; an average over the whole image is a global pooling; a
reshape behind a 1x1 classifier becomes a pooling of its one pixel; an activation that does nothing
goes. What would change the function is told, not done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph, Node, Shape, pair
from zoo_builders.networks.verdicts import Objection


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing said differently: the layer, and what is new about it."""

    layer: str
    what: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A network after all changes that keep its function.

    Attributes:
        graph: the new network; layers with weights keep their names and weights.
        changes: what was changed, in the order of the network.
        left: what still keeps the sparse path shut, with what changing it would mean for the
            weights.
    """

    graph: Graph
    changes: tuple[Edit, ...]
    left: tuple[Objection, ...]


def rewrite(graph: Graph) -> Rewritten:
    """Change everything that can be changed without changing the function."""
    changes: list[Edit] = []
    for rule in _RULES:
        for node in graph.nodes:
            if (changed := rule(graph, node)) is not None:
                graph, change = changed
                changes.append(change)
    order = [node.name for node in graph.nodes]
    changes.sort(key=lambda change: order.index(change.layer) if change.layer in order else -1)
    return Rewritten(
        graph,
        tuple(changes),
        tuple(_costly(graph, objection) for objection in sparse_path.objections(graph)),
    )


def _costly(graph: Graph, objection: Objection) -> Objection:
    """Add to an objection what following its advice does to weights that are trained already."""
    node = next((node for node in graph.nodes if node.name == objection.layer), None)
    if (
        node is not None
        and node.config.get("padding") == "same"
        and pair(node.config.get("strides", 1)) != (1, 1)
    ):
        sides = " and ".join(str(pair) for pair in dict.fromkeys(_margins(graph, node)))
        why = (
            f"'same' pads {sides} (before, after) here, an even padding moves the image by a pixel:"
            " fine-tune the weights afterwards"
        )
    elif node is not None and node.op == "ZeroPadding2D":
        why = "an even padding moves the image by a pixel: fine-tune the weights afterwards"
    else:
        why = "this changes what the network computes: train or fine-tune it afterwards"
    return replace(objection, fix=f"{objection.fix}; {why}")


_Changed = tuple[Graph, Edit] | None


def _keep_dimensions(graph: Graph, node: Node) -> _Changed:
    """Let a global pooling keep its dimensions, and drop them behind it."""
    if (
        node.op != "GlobalAveragePooling2D"
        or node.config.get("keepdims")
        or graph.node(node.inputs[0]).shape[:2] == (1, 1)
    ):
        return None  # a pooling of one pixel is there to drop its dimensions
    kept = replace(node, config={**node.config, "keepdims": True}, shape=(1, 1, node.shape[-1]))
    readers = graph.consumers(node.name)
    if len(readers) == 1 and readers[0].op == "Reshape" and readers[0].shape == kept.shape:
        return _without(_with(graph, node.name, kept), readers[0]), Edit(
            node.name, f"keepdims=True, which makes {readers[0].name} needless"
        )
    flat = Node(_fresh(graph, f"{node.name}_flatten"), "Flatten", {}, (node.name,), node.shape)
    return _with(graph, node.name, kept, flat, readers=flat.name), Edit(
        node.name, "keepdims=True, and a Flatten behind it"
    )


def _pad_explicitly(graph: Graph, node: Node) -> _Changed:
    """Spell `same` padding out where it is even on all sides and a stride follows."""
    if (
        node.op not in {"Conv2D", "DepthwiseConv2D"}
        or node.config.get("padding") != "same"
        or pair(node.config.get("strides", 1)) == (1, 1)
    ):
        return None
    sides = {side for pair in _margins(graph, node) for side in pair}
    if len(sides) != 1 or 0 in sides:
        return None
    amount, before = sides.pop(), graph.node(node.inputs[0])
    height, width, channels = before.shape
    pad = Node(
        _fresh(graph, f"{node.name}_pad"),
        "ZeroPadding2D",
        {"padding": amount},
        (before.name,),
        (height + 2 * amount, width + 2 * amount, channels),
    )
    valid = replace(node, config={**node.config, "padding": "valid"}, inputs=(pad.name,))
    return _with(graph, node.name, pad, valid), Edit(
        node.name, f"ZeroPadding2D({amount}) before it and padding 'valid'"
    )


def _pool_globally(graph: Graph, node: Node) -> _Changed:
    """Take an average over the whole image for what it is."""
    if (
        node.op != "AveragePooling2D"
        or pair(node.config["pool_size"]) != graph.node(node.inputs[0]).shape[:2]
        or node.shape[:2] != (1, 1)
    ):
        return None
    pool = Node(node.name, "GlobalAveragePooling2D", {"keepdims": True}, node.inputs, node.shape)
    return _with(graph, node.name, pool), Edit(node.name, "GlobalAveragePooling2D(keepdims=True)")


def _leave_by_pooling(graph: Graph, node: Node) -> _Changed:
    """Drop the dimensions of a classified pixel by a pooling.

    XNNPACK can leave the sparse part by a pooling, but not by a reshape.
    """
    if node.op not in {"Flatten", "Reshape"} or node.inputs[0] not in {
        end.name for end in sparse_path.loose_ends(graph)
    }:
        return None
    before = graph.node(node.inputs[0])
    if before.shape != (1, 1, *node.shape):
        return None
    pool = Node(node.name, "GlobalAveragePooling2D", {"keepdims": False}, node.inputs, node.shape)
    return _with(graph, node.name, pool), Edit(
        node.name, "GlobalAveragePooling2D(keepdims=False), which takes the mean of one pixel"
    )


def _drop_linear(graph: Graph, node: Node) -> _Changed:
    """Take out an activation that does nothing."""
    if (
        node.op != "Activation"
        or node.config.get("activation") != "linear"
        or node is graph.nodes[-1]
    ):
        return None
    return _without(graph, node), Edit(node.name, "taken out: it does nothing")


_RULES: tuple[Callable[[Graph, Node], _Changed], ...] = (
    _drop_linear,
    _pool_globally,
    _keep_dimensions,
    _pad_explicitly,
    _leave_by_pooling,
)


def _with(graph: Graph, name: str, *nodes: Node, readers: str = "") -> Graph:
    """Put `nodes` in the place of the layer `name`; what read it reads `readers`, where given."""
    new = (
        entry
        for node in graph.nodes
        for entry in (nodes if node.name == name else (_reading(node, name, readers or name),))
    )
    return Graph(graph.name, tuple(new))


def _without(graph: Graph, node: Node) -> Graph:
    """Take a layer with one input out; its readers read what it read."""
    return _with(graph, node.name, readers=node.inputs[0])


def _reading(node: Node, old: str, new: str) -> Node:
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def _fresh(graph: Graph, name: str) -> str:
    taken = {node.name for node in graph.nodes}
    return next(
        candidate
        for candidate in (name, *(f"{name}_{number}" for number in range(1, len(taken) + 2)))
        if candidate not in taken
    )


def _margins(graph: Graph, node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give what `same` adds (before, after) along height and width (tf.nn's rule)."""
    shape: Shape = graph.node(node.inputs[0]).shape
    config: Mapping[str, Any] = node.config
    pairs = []
    for size, kernel, stride, step in zip(
        shape[:2],
        pair(config["kernel_size"]),
        pair(config.get("strides", 1)),
        pair(config.get("dilation_rate", 1)),
        strict=True,
    ):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * step + 1 - size, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs[0], pairs[1]
