"""What to do about layers that a technique leaves alone for good: the words that stand in the place of a fix. Pure."""

from zoo_builders.graph import Graph

NOTHING = "nothing to do: "
"""How all of these begin."""

FOLDED = f"{NOTHING}it vanishes when the file is made"
NOTHING_LEARNED = f"{NOTHING}a formula has no learned weights to change"


def few(graph: Graph, op: str) -> str:
    """Say what the kernels of a class of layers are worth together, so that leaving them alone can be judged."""
    of_class = sum(node.kernel_weights for node in graph.nodes if node.op == op)
    total = sum(node.kernel_weights for node in graph.nodes)
    share = f"{of_class / total:.1%}" if total else "none"
    return f"{NOTHING}all {op} kernels together are {share} of this network's {total:,} weights; quantize shrinks them"
