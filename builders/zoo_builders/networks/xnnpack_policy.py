"""Whether XNNPACK can run a network sparse, judged on its `Graph`.

The rules of TFMOT's `PruneForLatencyOnXNNPack`, and the zeros.

Sources: tensorflow_model_optimization/python/core/sparsity/keras/pruning_policy.py (0.8.1), which
    mimics XNNPACK's subgraph.c. A
test holds both against the same networks. TFMOT stops at the first offender and names no layer;
here every one is named.
"""

from collections.abc import Callable, Iterable, Mapping

from zoo_builders.networks.graph import Graph, Node, pair
from zoo_builders.networks.verdicts import Objection

ENOUGH_ZEROS = 2 / 3
"""XNNPACK takes the sparse path above this share of zeros.

The share is taken over all 1x1 weights of the cluster together.
"""

_ACTIVATIONS = frozenset({"relu", "relu6", "leaky_relu", "elu", "sigmoid"})
_ANY_CONFIG = frozenset({"Add", "Multiply", "ZeroPadding2D", "ReLU", "LeakyReLU", "ELU", "Dropout"})

_STEM = (
    "add ZeroPadding2D(1) and Conv2D(kernel 3, strides 2, padding 'valid') on three input channels"
    " right after the input"
)
_END = "end the convolutions in GlobalAveragePooling2D(keepdims=True), before the classifier"
_SAME3, _PAD3 = (
    "use padding 'same' with stride 1",
    "put ZeroPadding2D(1) before it and use padding 'valid'",
)


def objections(graph: Graph) -> list[Objection]:
    """Name everything that keeps XNNPACK's sparse path shut, with what to change.

    Empty when nothing does.
    """
    starts = _reach(
        graph.nodes[0], lambda node: _is_start(graph, node), lambda node: graph.consumers(node.name)
    )
    ends = _reach(graph.nodes[-1], _is_end, lambda node: _producers(graph, node))
    found = [] if starts else [Objection(*_blame_start(graph), _STEM)]
    found += (
        []
        if ends
        else [
            Objection(
                graph.nodes[-1].name, "no GlobalAveragePooling2D on the way to the output", _END
            )
        ]
    )
    inside = _between(graph, starts or _first_convolutions(graph), ends)
    return found + [Objection(node.name, *why) for node in inside if (why := why_not(graph, node))]


def _reach(
    origin: Node, stop: Callable[[Node], bool], step: Callable[[Node], tuple[Node, ...]]
) -> list[Node]:
    """Walk from `origin` until every way meets a layer that stops it.

    Nothing if one way never does.
    """
    waiting, seen, found = [origin], set[str](), []
    while waiting:
        node = waiting.pop()
        if node.name in seen:
            continue
        seen.add(node.name)
        if stop(node):
            found.append(node)
        elif onward := step(node):
            waiting.extend(onward)
        else:
            return []
    return found


def _producers(graph: Graph, node: Node) -> tuple[Node, ...]:
    return tuple(graph.node(name) for name in node.inputs)


def _between(graph: Graph, starts: Iterable[Node], ends: Iterable[Node]) -> list[Node]:
    """Layers after the starts and before the ends, in the network's order."""
    stop = {node.name for node in ends}
    waiting, seen = [c for node in starts for c in graph.consumers(node.name)], set[str]()
    while waiting:
        node = waiting.pop()
        if node.name not in seen and node.name not in stop:
            seen.add(node.name)
            waiting.extend(
                graph.consumers(node.name)
                if node.op not in {"GlobalAveragePooling2D", "Flatten", "Dense"}
                else ()
            )
    return [node for node in graph.nodes if node.name in seen]


def _first_convolutions(graph: Graph) -> list[Node]:
    """Where a stem was meant to be, so that the layers behind a wrong one are judged as well."""
    return [node for node in graph.nodes if node.op == "Conv2D"][:1]


def _is_start(graph: Graph, node: Node) -> bool:
    return node.op == "Conv2D" and not _stem_faults(graph, node)


def _stem_faults(graph: Graph, node: Node) -> list[str]:
    faults = (
        []
        if node.weights["kernel"][:3] == (3, 3, 3)
        else [f"its kernel is {'x'.join(map(str, node.weights['kernel'][:3]))}, not 3x3x3"]
    )
    faults += [] if pair(node.config.get("strides", 1)) == (2, 2) else ["its stride is not 2"]
    faults += (
        []
        if str(node.config.get("padding", "valid")).lower() == "valid"
        else ["its padding is not 'valid'"]
    )
    return faults + ([] if _padded(graph, node) == 1 else ["no ZeroPadding2D(1) stands before it"])


def _blame_start(graph: Graph) -> tuple[str, str]:
    first = next(iter(_first_convolutions(graph)), None)
    if first is None:
        return graph.nodes[0].name, "no Conv2D follows the input"
    return (
        first.name,
        (
            "the sparse path cannot start here:"
            f" {', '.join(_stem_faults(graph, first)) or 'another way from the input has no stem'}"
        ),
    )


def _is_end(node: Node) -> bool:
    return node.op == "GlobalAveragePooling2D"


def _padded(graph: Graph, node: Node) -> int:
    """By how much the only producer pads on all four sides; 0 when it does not, or not evenly."""
    producers = _producers(graph, node)
    if len(producers) != 1 or producers[0].op != "ZeroPadding2D":
        return 0
    padding = producers[0].config["padding"]
    return padding if isinstance(padding, int) else 0


def why_not(graph: Graph, node: Node) -> tuple[str, str] | None:
    """Give (reason, fix) if XNNPACK has no sparse form of `node`, wherever it stands."""
    if node.op in _ANY_CONFIG:
        return None
    rule = _RULES.get(node.op)
    return (
        rule(graph, node)
        if rule
        else (f"{node.op} has no sparse form", "replace it, or move it behind the global pooling")
    )


def _depthwise(graph: Graph, node: Node) -> tuple[str, str] | None:
    config = node.config
    if config.get("depth_multiplier", 1) != 1 or pair(config.get("dilation_rate", 1)) != (1, 1):
        return (
            "a depthwise convolution may have neither dilation nor a depth multiplier",
            "set both to 1",
        )
    kernel, strides = pair(config["kernel_size"]), pair(config.get("strides", 1))
    if kernel not in {(3, 3), (5, 5)}:
        return f"a {kernel[0]}x{kernel[1]} depthwise kernel has no sparse form", "use 3x3 or 5x5"
    margin = kernel[0] // 2
    if str(config.get("padding", "valid")).lower() == "same":
        fix = f"put ZeroPadding2D({margin}) before it and use padding 'valid'"
        return (
            None
            if strides == (1, 1)
            else ("padding 'same' with a stride pads one side more than the other", fix)
        )
    if _padded(graph, node) != margin:
        return (
            f"padding 'valid' without ZeroPadding2D({margin}) before it",
            f"put ZeroPadding2D({margin}) before it",
        )
    return (
        None
        if strides in {(1, 1), (2, 2)}
        else (f"stride {strides[0]}x{strides[1]}", "use stride 1 or 2")
    )


def _convolution(graph: Graph, node: Node) -> tuple[str, str] | None:
    del graph
    plain = (
        node.is_pointwise
        and node.config.get("groups", 1) == 1
        and pair(node.config.get("dilation_rate", 1)) == (1, 1)
    )
    kernel = pair(node.config["kernel_size"])
    why = (
        f"a {kernel[0]}x{kernel[1]} convolution, stride {pair(node.config.get('strides', 1))[0]}:"
        " only 1x1 with stride 1 runs sparse"
    )
    return None if plain else (why, "use a depthwise 3x3 and a 1x1 convolution instead")


def _pooling(graph: Graph, node: Node) -> tuple[str, str] | None:
    del graph
    return (
        None
        if node.config.get("keepdims")
        else ("pooling inside the sparse part without keepdims", "set keepdims=True")
    )


def _upsampling(graph: Graph, node: Node) -> tuple[str, str] | None:
    del graph
    return (
        None
        if node.config.get("interpolation") == "bilinear"
        else ("only bilinear resizing runs sparse", "set interpolation='bilinear'")
    )


def _activation(graph: Graph, node: Node) -> tuple[str, str] | None:
    del graph
    name = node.config.get("activation")
    return (
        None
        if name in _ACTIVATIONS
        else (
            f"activation {name} has no sparse form",
            f"use one of {', '.join(sorted(_ACTIVATIONS))}",
        )
    )


def _batch_norm(graph: Graph, node: Node) -> tuple[str, str] | None:
    del graph
    return (
        None
        if len(node.shape) == 3  # noqa: PLR2004
        else ("batch normalisation of something that is no image", "normalise before flattening")
    )


_RULES: Mapping[str, Callable[[Graph, Node], tuple[str, str] | None]] = {
    "Activation": _activation,
    "BatchNormalization": _batch_norm,
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "GlobalAveragePooling2D": _pooling,
    "UpSampling2D": _upsampling,
}
