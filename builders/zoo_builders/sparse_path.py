"""XNNPACK's sparse path, layer by layer: which layers run sparse, which stand in the way, and whether there will be zeros enough. Pure.

Two lists must agree before a file runs sparse: TFMOT's `PruneForLatencyOnXNNPack` (`xnnpack_policy`) and XNNPACK's own (`xnnpack`, which
reads the finished file). They differ; what XNNPACK refuses although the policy lets it pass is told here, before anything is trained.
"""

from collections.abc import Mapping
from typing import Any

from zoo_builders import xnnpack_policy
from zoo_builders.graph import Graph, Node
from zoo_builders.techniques import Objection, Verdict

FOLDS_INTO = frozenset({"Conv2D", "DepthwiseConv2D", "Dense"})
_PASSED_OVER = frozenset({"Flatten", "Dropout", "Dense"})
_CLIPS = (None, 1, 6)
"""`max_value` of a ReLU that has an operator of its own in TFLite: RELU, RELU_0_TO_1, RELU6."""


def objections(graph: Graph) -> list[Objection]:
    """Name everything that keeps the sparse path shut, by TFMOT's policy or by XNNPACK's own list."""
    found = xnnpack_policy.objections(graph)
    named = {objection.layer for objection in found}
    return found + [Objection(node.name, *why) for node in _inside(graph) if node.name not in named and (why := _beyond(graph, node))]


def verdicts(graph: Graph) -> dict[str, Verdict]:
    """Say of every layer with weights, and of every other that is in the way, whether it runs sparse once it has zeros."""
    faults = {objection.layer: objection for objection in objections(graph)}
    found = {name: Verdict(applies=False, reason=fault.reason, fix=fault.fix) for name, fault in faults.items()}
    behind = {node.name for node in graph.nodes} - {node.name for node in _inside(graph)}
    for node in graph.nodes:
        if node.weights and node.name not in found:
            found[node.name] = _verdict(node, faults, outside=node.name in behind)
    return found


def _verdict(node: Node, faults: Mapping[str, Objection], *, outside: bool) -> Verdict:
    if node.op == "BatchNormalization":
        return Verdict(applies=False, reason="folded into the layer before it")
    if not node.is_pointwise:
        return Verdict(applies=False, reason="only 1x1 convolutions run sparse; this one runs dense, and is in nobody's way")
    if outside:
        return Verdict(applies=False, reason="it stands outside the part between stem and global pooling")
    if faults:
        first = next(iter(faults.values()))
        others = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        return Verdict(applies=False, reason="the path is shut for the whole network", fix=f"mend {first.layer}{others} first")
    return Verdict(applies=True)


def share_of_zeros(graph: Graph, zeros: Mapping[str, float]) -> float:
    """Predict the share of zeros over all kernels that XNNPACK counts, given each layer's own; 0 where there are none.

    It counts the 1x1 kernels between stem and pooling and, since 2025, the fully connected layers right behind the pooling.
    """
    sizes = {node.name: _kernel(node) for node in (*_inside(graph), *_at_the_end(graph)) if node.is_pointwise or node.op == "Dense"}
    total = sum(sizes.values())
    return sum(size * zeros.get(name, 0.0) for name, size in sizes.items()) / total if total else 0.0


def _at_the_end(graph: Graph) -> list[Node]:
    """Fully connected layers behind the global pooling with nothing between that is an operator of its own in the file."""
    reached = {node.name for node in graph.nodes if node.op == "GlobalAveragePooling2D"}
    found = []
    for node in graph.nodes:
        if node.op in _PASSED_OVER and any(origin in reached for origin in node.inputs):
            reached.add(node.name)
            found += [node] if node.op == "Dense" else []
    return found


def enough(share: float) -> bool:
    """Whether XNNPACK takes its sparse kernels at this share of zeros."""
    return share > xnnpack_policy.ENOUGH_ZEROS


def _kernel(node: Node) -> int:
    import math

    return math.prod(node.weights["kernel"])


def _inside(graph: Graph) -> list[Node]:
    """Layers that do not stand behind a global pooling which ends the network's convolutions."""
    behind = set[str]()
    for node in graph.nodes:
        if any(origin in behind or graph.node(origin).op == "GlobalAveragePooling2D" for origin in node.inputs):
            behind.add(node.name)
    return [node for node in graph.nodes if node.name not in behind]


def _beyond(graph: Graph, node: Node) -> tuple[str, str] | None:
    """Give (reason, fix) where TFMOT's policy says yes and XNNPACK no."""
    if node.op == "BatchNormalization" and not _folds(graph, node):
        why = "it cannot be folded into a convolution, so it becomes a multiplication by a vector of rank 1, which has no sparse form"
        return why, "put it right behind a convolution without activation"
    if node.op == "ReLU":
        return _clip(node.config)
    return None


def _folds(graph: Graph, node: Node) -> bool:
    producer = graph.node(node.inputs[0])
    return producer.op in FOLDS_INTO and producer.config.get("activation") is None and len(graph.consumers(producer.name)) == 1


def _clip(config: Mapping[str, Any]) -> tuple[str, str] | None:
    if config.get("max_value") not in _CLIPS:
        return f"a ReLU clipped at {config['max_value']} becomes a minimum, which has no sparse form", "clip at 6 or not at all"
    if config.get("threshold"):
        return "a ReLU with a threshold becomes a comparison, which has no sparse form", "use a plain ReLU"
    return None
