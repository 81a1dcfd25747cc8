"""What a file holds after `prune`. Pure, on a `Graph`."""

import math
from collections.abc import Sequence

from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph
from zoo_builders.techniques import Step
from zoo_builders.techniques.prune import selection
from zoo_builders.techniques.prune.params import LayerRule, Params
from zoo_builders.techniques.prune.selection import Touched
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise

_SPARSE_ON = ("arm64", "wasm-simd")
"""Where the sparse path is promised: on phones and in browsers."""


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the zeros of every pruned kernel and bias.

    Where all that is known says so, also state that XNNPACK runs the file sparse.
    """
    if not graph.nodes:
        return _of_names(params)
    found = _kernels(graph, selection.touched(selection.candidates(graph, params), params))
    opens = (
        params.policy == "xnnpack"
        and sparse_path.enough(counted(graph, params))
        and not sparse_path.objections(graph)
    )
    if opens and all(_stays_open(step) for step in steps):
        found += [
            Promise(technique="prune", kind="xnnpack_sparse_on", value=cpu) for cpu in _SPARSE_ON
        ]
    return found


def _kernels(graph: Graph, chosen: Sequence[Touched]) -> list[Promise]:
    """State what every pruned kernel and bias holds; layers with equal promises share one."""
    asked: dict[tuple[str, float | str, tuple[int, int]], list[str]] = {}
    for layer in chosen:
        for key in _asked(layer):
            asked.setdefault(key, []).append(layer.node.name)
    return [
        Promise.model_validate(
            {
                "technique": "prune",
                "kind": kind,
                "value": value,
                "block": block,
                "layers": kernels_of(graph, names),
            }
        )
        for (kind, value, block), names in asked.items()
    ]


def _asked(layer: Touched) -> list[tuple[str, float | str, tuple[int, int]]]:
    target, single = layer.target, (1, 1)
    share = selection.share_of_zeros(layer)
    found: list[tuple[str, float | str, tuple[int, int]]] = (
        [("sparsity_at_least", share, single)] if share else []
    )
    if target.block != single:
        found.append(("blocks_at_least", target.final, target.block))
    if target.groups:
        found.append(("zeros_in_groups", "{}:{}".format(*target.groups), single))
    if target.bias:
        found.append(("bias_sparsity_at_least", target.final, single))
    return found


def _stays_open(step: Step) -> bool:
    """Whether a file can run sparse after a step.

    Float weights in the converter's sparse encoding, on layers as prune met them.
    """
    if step.technique != "quantize":
        return step.technique in {"prune", "cluster"}
    asked = step.params.model_dump()
    return bool(
        asked["dtype"] == "float16"
        and asked["sparse_encoding"] != "never"
        and asked["engine"] != "litert"
    )


def counted(graph: Graph, params: Params) -> float:
    """Give the share of zeros, whole weights, in what XNNPACK counts."""
    chosen = selection.touched(selection.candidates(graph, params), params)
    sizes = {layer.node.name: layer.node.kernel_weights for layer in chosen}
    zeros = {
        layer.node.name: math.floor(selection.share_of_zeros(layer) * sizes[layer.node.name] + 1e-9)
        for layer in chosen
    }
    return sparse_path.share_of_zeros(
        graph, {name: zeros[name] / size for name, size in sizes.items()}
    )


def _of_names(params: Params) -> list[Promise]:
    """State the same of a network nobody can read before the build.

    The names and classes of the rules say which layers are meant.
    """
    besides = tuple(name for rule in params.skip for name in rule.name)
    rules = [_unread(rule, params, besides) for rule in params.layers]
    if rules:
        return rules
    pointwise = params.policy == "xnnpack"
    operators = ("CONV_2D",) if pointwise else ("CONV_2D", "FULLY_CONNECTED")
    return [_sparse(params.final, operators=operators, pointwise_only=pointwise, besides=besides)]


def _unread(rule: LayerRule, params: Params, besides: tuple[str, ...]) -> Promise:
    codes = {
        "Conv2D": "CONV_2D",
        "Conv1D": "CONV_2D",
        "Conv2DTranspose": "TRANSPOSE_CONV",
        "Dense": "FULLY_CONNECTED",
    }
    operators = tuple(dict.fromkeys(codes[op] for op in rule.type if op in codes))
    layers = tuple({"layer": name} for name in rule.name)
    return _sparse(
        selection.target(params, rule).final, operators=operators, layers=layers, besides=besides
    )


def _sparse(value: float, **rest: object) -> Promise:
    return Promise.model_validate(
        {"technique": "prune", "kind": "sparsity_at_least", "value": value, **rest}
    )
