"""What a technique can do to a layer.

Here are also the words that stand in the place of a fix where it leaves a layer alone. Pure.
"""

from dataclasses import dataclass

from zoo_builders.networks.graph import Graph

NOTHING = "nothing to do: "
"""How all of these begin."""

FOLDED = f"{NOTHING}it vanishes when the file is made"
NOTHING_LEARNED = f"{NOTHING}a formula has no learned weights to change"


def few(graph: Graph, op: str) -> str:
    """Say what the kernels of a class of layers are worth together.

    A reader can then judge whether to leave them alone.
    """
    of_class = sum(node.kernel_weights for node in graph.nodes if node.op == op)
    total = sum(node.kernel_weights for node in graph.nodes)
    share = f"{of_class / total:.1%}" if total else "none"
    return (
        f"{NOTHING}all {op} kernels together are {share} of this network's {total:,} weights;"
        " quantize shrinks them"
    )


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why a technique cannot be applied: the layer, why, and what to change."""

    layer: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a technique can do to one layer.

    It says whether the technique touches the layer, and if not (or not fully), why and what to
    change.

    Attributes:
        applies: whether the layer's weights or activations are changed by the technique.
        reason: why not; of a layer it applies to, what is special (empty when nothing is).
        fix: what to change in network or manifest so that it would; empty where nothing can.
    """

    applies: bool
    reason: str = ""
    fix: str = ""
