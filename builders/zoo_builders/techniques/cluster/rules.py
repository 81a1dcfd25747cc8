"""What `cluster` refuses, what it can do to each layer, and what the file then holds.

Pure, on a `Graph`.
"""

from collections.abc import Mapping, Sequence

from zoo_builders.networks import layer_selection, verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import Step
from zoo_builders.techniques.cluster import selection
from zoo_builders.techniques.cluster.params import Params
from zoo_builders.techniques.cluster.selection import Target, clustered_layers
from zoo_builders.techniques.prune.rules import biases_lost
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise

_PER_CHANNEL = ("int8", "int16x8", "dynamic", "int4")

_SCALED = ("quantize", "quantize_aware")


def infer(params: Params, before: Sequence[Step]) -> Params:
    """Keep the zeros of an earlier `prune`, where the manifest says nothing."""
    if params.preserve is not None:
        return params
    return params.model_copy(
        update={
            "preserve": "sparsity" if any(step.technique == "prune" for step in before) else "none"
        }
    )


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse what would lose the zeros of `prune`, and rules that pick nothing.

    Networks without kernels to cluster are refused too.
    """
    names = {step.technique for step in before}
    keeps = infer(params, before).preserve == "sparsity"
    found = biases_lost(graph, "cluster", before)
    if "prune" in names and not keeps:
        found.append(
            Objection(
                graph.name,
                "clustering after prune moves its zeros",
                "drop preserve: it is inferred from the recipe",
            )
        )
    if keeps and "prune" not in names:
        found.append(
            Objection(
                graph.name,
                "preserve: sparsity, but no earlier step makes zeros",
                "put prune before cluster, or drop preserve",
            )
        )
    if "cluster" in names:
        found.append(
            Objection(
                graph.name,
                "the recipe clusters twice",
                "keep one cluster step; its layers say what differs",
            )
        )
    if names & set(_SCALED):
        found.append(
            Objection(
                graph.name, "clustering after quantization would undo it", "put cluster first"
            )
        )
    return found + unfit(graph, params)


def unfit(graph: Graph, params: Params) -> list[Objection]:
    """Object to what cannot be, whatever came before."""
    found = [
        *layer_selection.objections("cluster", params.layers, graph, selection.candidates(graph)),
        *layer_selection.objections("cluster", params.skip, graph, selection.candidates(graph)),
        *layer_selection.idle(params.layers, params.skip, graph, selection.candidates(graph)),
    ]
    if graph.nodes and not clustered_layers(graph, params):
        found.append(
            Objection(
                graph.name,
                f"no Conv2D or Dense it picks has more than {params.clusters} weights",
                "drop cluster, or lower clusters",
            )
        )
    return found


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the number of distinct values: per tensor in float files.

    Per channel once int8 scales are per channel, or unfolded.
    """
    stored = [getattr(step.params, "dtype", "int8") for step in steps if step.technique in _SCALED]
    scaled = any(dtype in _PER_CHANNEL for dtype in stored) or not params.fold_batch_norm
    targets = (
        clustered_layers(graph, params)
        if graph.nodes
        else {"": Target(params.most, params.per_channel)}
    )
    return [
        Promise(
            technique="cluster",
            kind="distinct_at_most",
            value=target.clusters,
            operators=("CONV_2D", "FULLY_CONNECTED"),
            per="channel" if scaled or target.per_channel else "tensor",
            layers=kernels_of(graph, [name for name, other in targets.items() if other == target]),
        )
        for target in dict.fromkeys(targets.values())
    ]


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with a kernel whether it is clustered, and why not."""
    targets = clustered_layers(graph, params)
    kept = "; keeps the zeros of prune" if infer(params, before).preserve == "sparsity" else ""
    return {
        node.name: (
            _clustered(targets[node.name], kept)
            if node.name in targets
            else _left(graph, node, params)
        )
        for node in graph.nodes
        if _kernel(node)
    }


def _kernel(node: Node) -> bool:
    return any(name.endswith("kernel") for name in node.weights)


def _clustered(target: Target, kept: str) -> Verdict:
    where = "in each channel" if target.per_channel else "in the whole kernel"
    return Verdict(applies=True, reason=f"{target.clusters} values {where}{kept}")


def _left(graph: Graph, node: Node, params: Params) -> Verdict:
    if node.is_fixed:
        return Verdict(applies=False, reason=FORMULA, fix=verdicts.NOTHING_LEARNED)
    if node.op not in selection.CLUSTERABLE:
        return Verdict(
            applies=False,
            reason=f"{node.op} kernels lose too much by sharing values",
            fix=verdicts.few(graph, node.op),
        )
    rule = layer_selection.chosen(params.layers, [node])
    if (
        rule
        and selection.weights(node, selection.target_of(node, rule[node.name], params))
        <= selection.target_of(node, rule[node.name], params).clusters
    ):
        return Verdict(
            applies=False, reason="has no more weights than values to share", fix="lower clusters"
        )
    return Verdict(
        applies=False,
        reason="no rule picks it, or skip leaves it out",
        fix=f"add {{name: {node.name}}} to layers, or drop it from skip",
    )


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say so where values for each channel were asked for, and no layer has such."""
    del steps
    asked = params.per_channel or any(rule.per_channel for rule in params.layers)
    targets = clustered_layers(graph, params)
    if not asked or not targets or any(target.per_channel for target in targets.values()):
        return []
    others = f"{', '.join(targets)}: values for the whole kernel"
    return [f"per_channel: only a Conv2D has channels with values of their own; {others}"]


def rewrites(graph: Graph, params: Params, before: Sequence[Step]) -> Graph:
    """Give the network without the batch normalisation that is folded first."""
    del before
    if not params.fold_batch_norm:
        return graph
    from zoo_builders.networks import fold

    return fold.folded(graph)
