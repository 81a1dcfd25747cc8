"""Which layers `prune` touches, and how each is to look in the end.

Pure, on a `Graph`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques.prune.masks import KERNELS, Target

if TYPE_CHECKING:
    from zoo_builders.techniques.prune.params import LayerRule, Params


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
        Touched(node, target(params, picked[node.name]))
        for node in nodes
        if node.name in picked and node.name not in left_out
    )


def skipped(nodes: Sequence[Node], params: "Params") -> frozenset[str]:
    """Name the candidates that `skip` leaves out."""
    return frozenset(name for rule in params.skip for name in rule.picks(nodes))


def target(params: "Params", rule: "LayerRule | None") -> Target:
    """Say how a layer is pruned that this rule picked; None for one that no rule speaks of."""
    final, initial, bias = (rule.final, rule.initial, rule.bias) if rule else (None, None, None)
    block, pattern = (rule.block, rule.pattern) if rule else (None, None)
    said = pattern or (params.pattern if block is None else None)
    groups = pair(said) if said else None
    own = groups[0] / groups[1] if groups and pattern else params.final
    share = own if final is None else final
    return Target(
        final=share,
        initial=min(params.initial, share) if initial is None else initial,
        bias=params.bias if bias is None else bias,
        block=block or ((1, 1) if pattern else params.block),
        pooling=params.pooling,
        groups=groups,
    )


def pair(pattern: str) -> tuple[int, int]:
    """Read m:n, m zeros in every n weights."""
    zeros, size = (int(part) for part in pattern.split(":"))
    if zeros >= size:
        raise ValueError(
            f"pattern: {pattern}: m zeros in every n weights, so m must be less than n"
        )
    return zeros, size


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
