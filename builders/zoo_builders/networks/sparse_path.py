"""XNNPACK's sparse path, layer by layer.

It says which layers run sparse, which stand in the way, and whether there will be zeros enough.
Pure.

Two lists must agree before a file runs sparse: TFMOT's `PruneForLatencyOnXNNPack`
(`xnnpack_policy`) and XNNPACK's own (`xnnpack`, which reads the finished file). They differ; what
XNNPACK refuses although the policy lets it pass is told here, before anything is trained.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from zoo_builders.networks import fold, xnnpack_policy
from zoo_builders.networks import verdicts as left_alone
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict

_PASSED_OVER = frozenset({"Flatten", "Reshape", "Dropout", "BatchNormalization"})
"""What stands between a global pooling and a fully connected layer without being an operator of
its own in the file.
"""

_TAKEN = frozenset(
    {
        "Conv2D",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "Activation",
        "Add",
        "Multiply",
        "BatchNormalization",
        "Dropout",
    }
)
"""Layers that XNNPACK takes into the sparse part on images of one pixel.

Layers that vanish in such a layer are here too.
"""

_RANK = 3
"""Dimensions of an image without the batch: height, width, channels."""

_POOL = "GlobalAveragePooling2D"
_CLIPS = (None, 1, 6)
"""`max_value` of a ReLU that has an operator of its own in TFLite: RELU, RELU_0_TO_1, RELU6."""


def objections(graph: Graph) -> list[Objection]:
    """Name everything that keeps the sparse path shut.

    TFMOT's policy or XNNPACK's own list forbids it.
    """
    found = xnnpack_policy.objections(graph)
    named = {objection.layer for objection in found}
    weighing, folds = _weighing(graph), set(fold.foldable(graph).values())
    for node in _inside(graph):
        why = (
            None
            if node.name in named
            else _beyond(node, folds)
            or (xnnpack_policy.why_not(graph, node) if node in weighing else None)
        )
        found += [Objection(node.name, *why)] if why else []
    return found + [_no_way_out(graph, node) for node in loose_ends(graph)]


def verdicts(graph: Graph) -> dict[str, Verdict]:
    """Say of layers whether they run sparse once they have zeros.

    These are every layer with weights, and every other that is in the way.
    """
    faults = {objection.layer: objection for objection in objections(graph)}
    found = {
        name: Verdict(applies=False, reason=fault.reason, fix=fault.fix)
        for name, fault in faults.items()
    }
    counted = {node.name for node in _counted(graph)}
    for node in graph.nodes:
        if node.weights and node.name not in found:
            found[node.name] = _verdict(node, faults, counted)
    return found


def _verdict(node: Node, faults: Mapping[str, Objection], counted: Collection[str]) -> Verdict:
    if node.op == "BatchNormalization":
        return Verdict(
            applies=False, reason="folded into the layer before it", fix=left_alone.FOLDED
        )
    if node.op == "Dense" and node.name in counted:
        reason = (
            "fully connected: its weights count among those of which more than 2/3 must be zero"
        )
        return Verdict(
            applies=False,
            reason=reason,
            fix=(
                "prune it too (policy: whole-model), or make it a 1x1 convolution before a last"
                " pooling"
            ),
        )
    if not node.is_pointwise:
        fix = f"{left_alone.NOTHING}what it costs stays as it is"
        return Verdict(
            applies=False,
            reason="only 1x1 convolutions run sparse; this one runs dense, and is in nobody's way",
            fix=fix,
        )
    if node.name not in counted:
        fix = (
            f"{left_alone.NOTHING}it runs dense"
            if not faults
            else "mend what stands before it first"
        )
        return Verdict(
            applies=False,
            reason="it stands behind the last global pooling, where the sparse part has ended",
            fix=fix,
        )
    if faults:
        first = next(iter(faults.values()))
        others = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        return Verdict(
            applies=False,
            reason="the path is shut for the whole network",
            fix=f"mend {first.layer}{others} first",
        )
    return Verdict(applies=True)


def share_of_zeros(graph: Graph, zeros: Mapping[str, float]) -> float:
    """Predict the share of zeros over all kernels that XNNPACK counts, given each layer's own.

    The share is 0 where there are none.

    It counts the 1x1 kernels from the stem to the last pooling, those of squeeze-excite included,
    what goes on behind that pooling without losing a dimension, and, since 2025, the fully
    connected layers right behind it.
    """
    sizes = {node.name: node.kernel_weights for node in _counted(graph)}
    total = sum(sizes.values())
    return (
        sum(size * zeros.get(name, 0.0) for name, size in sizes.items()) / total if total else 0.0
    )


def _counted(graph: Graph) -> list[Node]:
    """Layers whose weights XNNPACK counts."""
    nodes = [*_inside(graph), *_going_on(graph), *_at_the_end(graph)]
    return [node for node in nodes if node.is_pointwise or node.op == "Dense"]


def _at_the_end(graph: Graph) -> list[Node]:
    """Fully connected layers behind the last pooling.

    No layer stands between that is an operator of its own in the file.
    """
    reached = {node.name for node in (*_last_poolings(graph), *_going_on(graph))}
    found = []
    for node in graph.nodes:
        if node.op in _PASSED_OVER | {"Dense"} and any(origin in reached for origin in node.inputs):
            reached.add(node.name)
            found += [node] if node.op == "Dense" else []
    return found


def enough(share: float) -> bool:
    """Whether XNNPACK takes its sparse kernels at this share of zeros."""
    return share > xnnpack_policy.ENOUGH_ZEROS


def _behind(graph: Graph, origins: Iterable[Node]) -> set[str]:
    """Names of everything that depends on one of `origins`, themselves left out."""
    reached, found = {node.name for node in origins}, set[str]()
    for node in graph.nodes:
        if any(origin in reached or origin in found for origin in node.inputs):
            found.add(node.name)
    return found


def _poolings(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == _POOL]


def _last_poolings(graph: Graph) -> list[Node]:
    """Global poolings that end the sparse part: no other follows.

    One inside, as squeeze-excite has, leads back into it.
    """
    poolings = _poolings(graph)
    return [
        node
        for node in poolings
        if not any(other.name in _behind(graph, [node]) for other in poolings)
    ]


def _inside(graph: Graph) -> list[Node]:
    """Layers that do not stand behind the last global pooling."""
    behind = _behind(graph, _last_poolings(graph))
    return [node for node in graph.nodes if node.name not in behind]


def _weighing(graph: Graph) -> list[Node]:
    """Layers between a global pooling and the last one, at which TFMOT's policy does not look."""
    behind, ends = _behind(graph, _poolings(graph)), _last_poolings(graph)
    return [node for node in _inside(graph) if node.name in behind and node not in ends]


def _going_on(graph: Graph) -> list[Node]:
    """Layers behind the last pooling that XNNPACK takes into the sparse part.

    They are of the kinds that run sparse, on pooled images of one pixel.
    """
    reached = {node.name for node in _last_poolings(graph) if len(node.shape) == _RANK}
    found = []
    for node in graph.nodes:
        taken = (
            node.op in _TAKEN
            and len(node.shape) == _RANK
            and xnnpack_policy.why_not(graph, node) is None
        )
        if taken and any(origin in reached for origin in node.inputs):
            reached.add(node.name)
            found += [node] if node.op not in _PASSED_OVER else []
    return found


def loose_ends(graph: Graph) -> list[Node]:
    """Layers behind the last pooling that do not lead to a fully connected layer."""
    on = {node.name for node in _going_on(graph)}
    return [node for node in graph.nodes if node.name in on and not _leads_on(graph, node, on)]


def _leads_on(graph: Graph, node: Node, on: Collection[str]) -> bool:
    readers = graph.consumers(node.name)
    return bool(readers) and all(
        reader.name in on
        or reader.op == "Dense"
        or (reader.op in _PASSED_OVER and _leads_on(graph, reader, on))
        for reader in readers
    )


def _no_way_out(graph: Graph, node: Node) -> Objection:
    """Object to a layer on pooled images behind which the sparse part cannot end."""
    readers = [
        reader.name for reader in graph.consumers(node.name) if reader.op in {"Flatten", "Reshape"}
    ]
    behind = (
        f"{readers[0]} behind it has no sparse form"
        if readers
        else "nothing that ends the sparse part follows"
    )
    reason = f"it works on pooled images, which takes it into the sparse part, and {behind}"
    where = f"in the place of {readers[0]}" if readers else "behind it"
    return Objection(
        node.name,
        reason,
        f"put GlobalAveragePooling2D(keepdims=False) {where}: over one pixel it changes no value",
    )


def _beyond(node: Node, folds: Collection[str]) -> tuple[str, str] | None:
    """Give (reason, fix) where TFMOT's policy says yes and XNNPACK no."""
    if node.op == "BatchNormalization" and node.name not in folds:
        why = (
            "it cannot be folded into a convolution, so it becomes a multiplication by a vector of"
            " rank 1, which has no sparse form"
        )
        return why, "put it right behind a convolution without activation"
    if node.op == "ReLU":
        return _clip(node.config)
    return None


def _clip(config: Mapping[str, Any]) -> tuple[str, str] | None:
    if config.get("max_value") not in _CLIPS:
        return (
            f"a ReLU clipped at {config['max_value']} becomes a minimum, which has no sparse form",
            "clip at 6 or not at all",
        )
    if config.get("threshold"):
        return (
            "a ReLU with a threshold becomes a comparison, which has no sparse form",
            "use a plain ReLU",
        )
    return None
