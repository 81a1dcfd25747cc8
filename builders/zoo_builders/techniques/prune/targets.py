"""Which layers `prune` touches, how, and why not the others.

Pure, on a `Graph`; the parameters are those of prune_params.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_builders.networks import layer_selection
from zoo_builders.networks import verdicts as left_alone
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques.prune.masks import KERNELS, Target
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise

if TYPE_CHECKING:
    from zoo_builders.techniques import Step
    from zoo_builders.techniques.prune.params import LayerRule, Params

_DEPTHWISE = "depthwise kernels stay dense: no kernel library runs them sparse"


@dataclass(frozen=True, slots=True)
class Touched:
    """A layer that is pruned, and how."""

    node: Node
    target: Target


def candidates(graph: Graph, params: "Params") -> tuple[Node, ...]:
    """List the layers that the policy lets `prune` touch, in the graph's order."""
    own = tuple(node for node in graph.nodes if not node.is_fixed)
    if params.policy == "xnnpack":
        return tuple(node for node in own if node.is_pointwise)
    return tuple(node for node in own if node.op in KERNELS)


def touched(nodes: Sequence[Node], params: "Params") -> tuple[Touched, ...]:
    """Choose among the candidates by `layers` and `skip`; say how each is pruned."""
    left_out = skipped(nodes, params)
    picked = layer_selection.chosen(params.layers, nodes)
    return tuple(
        Touched(node, params.target(picked[node.name]))
        for node in nodes
        if node.name in picked and node.name not in left_out
    )


def skipped(nodes: Sequence[Node], params: "Params") -> frozenset[str]:
    """Name the candidates that `skip` leaves out."""
    return frozenset(name for rule in params.skip for name in rule.picks(nodes))


def objections(graph: Graph, nodes: Sequence[Node], params: "Params") -> list[Objection]:
    """Say what cannot be done to the candidates as asked.

    Rules that pick nothing, shapes that do not fit, biases that would not last.
    """
    found = layer_selection.objections("prune", [*params.layers, *params.skip], graph, nodes)
    found += layer_selection.idle(params.layers, params.skip, graph, nodes)
    chosen = touched(nodes, params)
    if not chosen and not found:
        fix = (
            "use a network with 1x1 convolutions"
            if params.policy == "xnnpack"
            else "use a network with Conv2D or Dense, or skip less"
        )
        found.append(Objection(graph.name, f"policy {params.policy} finds no layer to prune", fix))
    return found + [objection for layer in chosen for objection in _unfit(graph, layer)]


def biases_lost(graph: Graph, technique: str, before: Sequence["Step"]) -> list[Objection]:
    """Refuse a step that trains biases after a `prune` that set some of them to zero.

    Only kernels keep their zeros.
    """
    reason = f"{technique} trains the biases that prune set to zero, and their zeros would be lost"
    pruned = any(
        getattr(step.params, "biases", False) for step in before if step.technique == "prune"
    )
    return (
        [Objection(graph.name, reason, "write bias: false in prune, in its layers too")]
        if pruned
        else []
    )


def _unfit(graph: Graph, layer: Touched) -> list[Objection]:
    node, target = layer.node, layer.target
    rows, columns = stored_rows(node)
    found = []
    if target.block != (1, 1):
        found += _unfit_block(node, target, rows, columns)
    if target.groups and columns < target.groups[1]:
        reason = (
            f"{target.groups[0]}:{target.groups[1]} counts along the inputs, and it has only"
            f" {columns}"
        )
        found.append(Objection(node.name, reason, f"add {{name: {node.name}}} to skip"))
    if target.bias and "bias" not in node.weights:
        found.append(
            Objection(
                node.name,
                "it has no bias to prune",
                f"add {{name: {node.name}, bias: false}} to layers",
            )
        )
    elif target.bias and any(
        reader.op == "BatchNormalization" for reader in graph.consumers(node.name)
    ):
        reason = (
            "its bias is folded into the batch normalisation behind it, so that its zeros never"
            " reach the file"
        )
        found.append(
            Objection(node.name, reason, f"add {{name: {node.name}, bias: false}} to layers")
        )
    return found


def _unfit_block(node: Node, target: Target, rows: int, columns: int) -> list[Objection]:
    said = f"{target.block[0]}x{target.block[1]}"
    skip = f"add {{name: {node.name}}} to skip, or name the Dense and 1x1 layers in layers"
    if (
        math.prod(node.weights["kernel"]) != rows * columns
        or rows * columns != node.weights["kernel"][-2] * node.weights["kernel"][-1]
    ):
        shape = "x".join(map(str, node.weights["kernel"]))
        return [
            Objection(
                node.name,
                f"blocks of {said} need a kernel of two dimensions; this one is {shape}",
                skip,
            )
        ]
    count = blocks(node, target)
    # of one block nothing may be left out
    if math.floor(count * target.final + 1e-9) < 1 or count < 2:  # noqa: PLR2004
        return [
            Objection(
                node.name,
                f"it has {count} blocks of {said}: {target.final:.0%} of them is none",
                skip,
            )
        ]
    return []


def stored_rows(node: Node) -> tuple[int, int]:
    """Give (rows, inputs) of a kernel as the file stores it."""
    kernel = node.weights["kernel"]
    inputs = kernel[-1] if node.op == "Conv2DTranspose" else kernel[-2]
    return math.prod(kernel) // inputs, inputs


def blocks(node: Node, target: Target) -> int:
    """Count the blocks of a kernel, those cut off at its rim included."""
    rows, columns = stored_rows(node)
    return math.ceil(rows / target.block[0]) * math.ceil(columns / target.block[1])


def share_of_zeros(layer: Touched) -> float:
    """Give the share of zeros that the target is sure to make in the kernel.

    0 where the rim of blocks leaves it open.
    """
    rows, columns = stored_rows(layer.node)
    target = layer.target
    if target.groups:
        zeros, size = target.groups
        return (columns // size * zeros + max(0, columns % size - (size - zeros))) / columns
    if target.block == (1, 1):
        return target.final
    count = blocks(layer.node, target)
    whole = rows % target.block[0] == 0 and columns % target.block[1] == 0
    return math.floor(count * target.final + 1e-9) / count if whole else 0.0


def promises(graph: Graph, chosen: Sequence[Touched]) -> list[Promise]:
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
    share = share_of_zeros(layer)
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


def promises_unread(params: "Params") -> list[Promise]:
    """State the same of a network nobody can read before the build.

    By the names and classes that the rules say.
    """
    besides = tuple(name for rule in params.skip for name in rule.name)
    rules = [_unread(rule, params, besides) for rule in params.layers]
    if rules:
        return rules
    pointwise = params.policy == "xnnpack"
    operators = ("CONV_2D",) if pointwise else ("CONV_2D", "FULLY_CONNECTED")
    return [_sparse(params.final, operators=operators, pointwise_only=pointwise, besides=besides)]


def _unread(rule: "LayerRule", params: "Params", besides: tuple[str, ...]) -> Promise:
    codes = {
        "Conv2D": "CONV_2D",
        "Conv1D": "CONV_2D",
        "Conv2DTranspose": "TRANSPOSE_CONV",
        "Dense": "FULLY_CONNECTED",
    }
    operators = tuple(dict.fromkeys(codes[op] for op in rule.type if op in codes))
    layers = tuple({"layer": name} for name in rule.name)
    return _sparse(params.target(rule).final, operators=operators, layers=layers, besides=besides)


def _sparse(value: float, **rest: object) -> Promise:
    return Promise.model_validate(
        {"technique": "prune", "kind": "sparsity_at_least", "value": value, **rest}
    )


def verdicts(graph: Graph, params: "Params") -> Mapping[str, Verdict]:
    """Say of every layer with weights whether it is pruned.

    If not, why and what would change that.
    """
    nodes = candidates(graph, params)
    chosen = {layer.node.name: layer for layer in touched(nodes, params)}
    left_out, names = skipped(nodes, params), {node.name for node in nodes}
    found: dict[str, Verdict] = {}
    for node in graph.nodes:
        if node.name in chosen:
            found[node.name] = _of_chosen(graph, chosen[node.name])
        elif node.name in left_out:
            found[node.name] = Verdict(
                applies=False, reason="skip leaves it out", fix="take it out of skip"
            )
        elif node.name in names:
            found[node.name] = Verdict(
                applies=False,
                reason="no rule of layers picks it",
                fix=f"add {{name: {node.name}}} to layers",
            )
        elif node.weights:
            found[node.name] = _of_others(graph, node, params)
    return found


def _of_chosen(graph: Graph, layer: Touched) -> Verdict:
    unfit = _unfit(graph, layer)
    if unfit:
        return Verdict(applies=False, reason=unfit[0].reason, fix=unfit[0].fix)
    target = layer.target
    words = [f"{target.groups[0]}:{target.groups[1]}" if target.groups else f"{target.final:.0%}"]
    words += [f"blocks of {target.block[0]}x{target.block[1]}"] if target.block != (1, 1) else []
    words += ["bias too"] if target.bias else []
    return Verdict(applies=True, reason=", ".join(words))


def _of_others(graph: Graph, node: Node, params: "Params") -> Verdict:
    if node.is_fixed:
        return Verdict(applies=False, reason=FORMULA, fix=left_alone.NOTHING_LEARNED)
    if node.op == "DepthwiseConv2D":
        return Verdict(applies=False, reason=_DEPTHWISE, fix=left_alone.few(graph, node.op))
    if params.policy == "xnnpack" and node.op in KERNELS:
        return Verdict(
            applies=False,
            reason="XNNPACK runs only 1x1 convolutions of stride 1 sparse",
            fix="policy: whole-model prunes it too",
        )
    if node.op == "BatchNormalization":
        return Verdict(
            applies=False,
            reason="no kernel: it is folded into the layer before it",
            fix=left_alone.FOLDED,
        )
    return Verdict(
        applies=False,
        reason=f"{node.op} has no kernel that prune knows",
        fix="implement TFMOT's PrunableLayer in its class",
    )
