"""PyTorch's names and axes for networks of the zoo.

They say which tensor of a state dict belongs to which layer. Pure.

PyTorch keeps kernels as (out, in, height, width), depthwise ones as (channels, 1, height, width),
dense ones as (out, in). Its batch normalisation adds 1e-5 to the variance where Keras adds 1e-3:
the difference goes into gamma, so that outputs are the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo_builders.networks.graph import Graph, Node
from zoo_registry.model.errors import UnfitFile

Padding = Literal["even", "tensorflow"]
State = Mapping[str, Any]

_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_EPSILON = 0.001
_V2_STAGES = (1, 2, 3, 4, 3, 3, 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one family of checkpoints names a network's parts.

    Attributes:
        name: what a manifest calls it.
        network: pattern of the graph's name.
        epsilon: of its batch normalisation.
        padding: what its strided convolutions saw while training: the same on all sides, or
            TensorFlow's `same`.
        modules: layer of the graph → prefix of its tensors.
    """

    name: str
    network: str
    epsilon: float
    padding: Padding
    modules: Callable[[Graph], Mapping[str, str]]


def find(graph: Graph, names: frozenset[str], asked: str | None = None) -> Layout:
    """Give the layout in which a checkpoint with tensors `names` holds `graph`.

    Raises:
        UnfitFile: none, or several and the manifest does not say which.
    """
    known = [
        layout
        for layout in LAYOUTS
        if re.fullmatch(layout.network, graph.name) and asked in (None, layout.name)
    ]
    fitting = [
        layout
        for layout in known
        if all(f"{prefix}.weight" in names for prefix in layout.modules(graph).values())
    ]
    if len(fitting) == 1:
        return fitting[0]
    some = ", ".join(sorted(names)[:3])
    if not fitting:
        tried = ", ".join(layout.name for layout in known) or "none is known for this network"
        raise UnfitFile(
            f"the tensors ({some}, …) are not those of {graph.name}; layouts tried: {tried}",
            hint="zoo list networks",
        )
    raise UnfitFile(
        f"{graph.name}: the layouts {' and '.join(layout.name for layout in fitting)} name their"
        " tensors alike and pad differently",
        hint=f"write layout: {fitting[0].name} below weights",
    )


def arrays(graph: Graph, state: State, layout: Layout) -> dict[str, dict[str, Any]]:
    """Give {layer: {weight: array}} as Keras has them.

    Raises:
        UnfitFile: a tensor is missing, or one is left over: another network was trained.
    """
    modules = layout.modules(graph)
    by_name = {node.name: node for node in graph.nodes if node.weights}
    missing = [f"{prefix}.*" for prefix in modules.values() if f"{prefix}.weight" not in state]
    used = {
        f"{prefix}.{part}"
        for prefix in modules.values()
        for part in (*_NORM.values(), "num_batches_tracked")
    }
    over = sorted(name for name in state if name not in used)
    if missing or over or set(modules) != set(by_name):
        raise UnfitFile(
            f"the tensors are not those of {graph.name}: missing {missing[:3]}, left over"
            f" {over[:3]}",
            hint="zoo list networks",
        )
    return {
        name: _layer(by_name[name], state, prefix, layout.epsilon)
        for name, prefix in modules.items()
    }


def _layer(node: Node, state: State, prefix: str, epsilon: float) -> dict[str, Any]:
    if node.op == "BatchNormalization":
        return _norm(
            node, {name: state[f"{prefix}.{part}"] for name, part in _NORM.items()}, epsilon
        )
    kernel = state[f"{prefix}.weight"]
    if node.op == "DepthwiseConv2D":
        found = {"depthwise_kernel": kernel.transpose(2, 3, 0, 1)}
    else:
        # a dense kernel has two axes
        found = {"kernel": kernel.transpose(2, 3, 1, 0) if kernel.ndim > 2 else kernel.T}  # noqa: PLR2004
    return found | ({"bias": state[f"{prefix}.bias"]} if f"{prefix}.bias" in state else {})


def _norm(node: Node, found: dict[str, Any], epsilon: float) -> dict[str, Any]:
    ours = float(node.config.get("epsilon", _EPSILON))
    if ours != epsilon:
        variance = found["moving_variance"].astype("float64")
        gain = ((variance + ours) / (variance + epsilon)) ** 0.5
        found["gamma"] = (found["gamma"] * gain).astype("float32")
    return found


def _torchvision_v2(_: Graph) -> dict[str, str]:
    named = {
        "Conv1": "features.0.0",
        "bn_Conv1": "features.0.1",
        "Conv_1": "features.18.0",
        "Conv_1_bn": "features.18.1",
    }
    for block in range(sum(_V2_STAGES)):
        name, inner = f"block_{block}" if block else "expanded_conv", f"features.{block + 1}.conv"
        parts = ("expand", "depthwise", "project") if block else ("depthwise", "project")
        for index, part in enumerate(parts):
            last = part == "project"
            named[f"{name}_{part}"] = f"{inner}.{index}" if last else f"{inner}.{index}.0"
            named[f"{name}_{part}_BN"] = f"{inner}.{index + 1}" if last else f"{inner}.{index}.1"
    return named | {"predictions": "classifier.1"}


def _timm_block(name: str, inner: str, norm: str, *, expands: bool) -> dict[str, str]:
    """Name the parts of an inverted residual as timm does.

    Without expansion its project convolution is called conv_pw.
    """
    parts = (
        (("expand", "conv_pw"), ("depthwise", "conv_dw"), ("project", "conv_pwl"))
        if expands
        else _UNEXPANDED
    )
    found = {f"{name}_{part}": f"{inner}.{module}" for part, module in parts}
    return found | {
        f"{name}_{part}_{norm}": f"{inner}.bn{index}"
        for index, (part, _) in enumerate(parts, start=1)
    }


_UNEXPANDED = (("depthwise", "conv_dw"), ("project", "conv_pw"))


def _timm_v2(_: Graph) -> dict[str, str]:
    named = {
        "Conv1": "conv_stem",
        "bn_Conv1": "bn1",
        "Conv_1": "conv_head",
        "Conv_1_bn": "bn2",
        "predictions": "classifier",
    }
    places = [(stage, index) for stage, count in enumerate(_V2_STAGES) for index in range(count)]
    for block, (stage, index) in enumerate(places):
        name = f"block_{block}" if block else "expanded_conv"
        named |= _timm_block(name, f"blocks.{stage}.{index}", "BN", expands=block > 0)
    return named


def _lite_blocks(graph: Graph) -> list[tuple[str, int, int]]:
    """List (name, stage, index) of the blocks of an EfficientNet-Lite."""
    found = (re.fullmatch(r"block(\d)([a-z])_project", node.name) for node in graph.nodes)
    return [
        (f"block{match[1]}{match[2]}", int(match[1]) - 1, ord(match[2]) - ord("a"))
        for match in found
        if match
    ]


def _timm_lite(graph: Graph) -> dict[str, str]:
    named = {
        "stem_conv": "conv_stem",
        "stem_bn": "bn1",
        "head_conv": "conv_head",
        "head_bn": "bn2",
        "classifier": "classifier",
    }
    for name, stage, index in _lite_blocks(graph):
        named |= _timm_block(name, f"blocks.{stage}.{index}", "bn", expands=stage > 0)
    return named


def _lukemelas_lite(graph: Graph) -> dict[str, str]:
    named = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "classifier": "_fc",
    }
    parts = (
        ("expand", "_expand_conv", "_bn0"),
        ("depthwise", "_depthwise_conv", "_bn1"),
        ("project", "_project_conv", "_bn2"),
    )
    for block, (name, stage, _) in enumerate(_lite_blocks(graph)):
        for part, conv, norm in parts if stage else parts[1:]:
            named |= {
                f"{name}_{part}": f"_blocks.{block}.{conv}",
                f"{name}_{part}_bn": f"_blocks.{block}.{norm}",
            }
    return named


LAYOUTS = (
    Layout("torchvision", "mobilenet_v2", 1e-5, "even", _torchvision_v2),
    Layout("timm", "mobilenet_v2", 1e-5, "even", _timm_v2),
    Layout("timm", "efficientnet_lite[0-4]", 1e-5, "even", _timm_lite),
    Layout("timm-tf", "efficientnet_lite[0-4]", 1e-3, "tensorflow", _timm_lite),
    Layout("efficientnet-pytorch", "efficientnet_lite[0-4]", 1e-3, "tensorflow", _lukemelas_lite),
)


def names(graph: Graph) -> list[str]:
    """List the layouts in which a network is known."""
    return [layout.name for layout in LAYOUTS if re.fullmatch(layout.network, graph.name)]


def paddings(graph: Graph, asked: str | None = None) -> set[Padding]:
    """Give what the weights of a network may have seen while training; one if that is clear."""
    return {
        layout.padding
        for layout in LAYOUTS
        if re.fullmatch(layout.network, graph.name) and asked in (None, layout.name)
    }


def networks() -> list[str]:
    """List the patterns of the networks that are known."""
    return sorted({layout.network for layout in LAYOUTS})
