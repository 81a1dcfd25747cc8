"""`cluster`: let the weights of each kernel share a few values.

Han et al. 2016, "Deep Compression".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo_builders.networks import layer_selection, verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.prune import targets as targets_prune
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context

DOC = """Weight clustering with fine-tuning.

Shrinks the compressed download (few distinct values compress well); changes neither the file's raw
size nor its latency. Batch normalisation is folded into the convolution before it first, because
the converter would otherwise multiply every channel by its own factor and make the shared values
distinct again. Depthwise kernels and biases are not clustered. `per_channel` gives each output
channel of a Conv2D values of its own: better accuracy and more values in the file, free of charge
where int8 scales each channel anyway."""

_CLUSTERABLE = ("Conv2D", "Dense")
_PER_CHANNEL = ("int8", "int16x8", "dynamic", "int4")
_SCALED = ("quantize", "quantize_aware")

Clusters = Annotated[int, Field(ge=3, le=1024)]


class LayerRule(layer_selection.Rule):
    """One rule of `layers`: which layers, and what is different there."""

    clusters: Clusters | None = Field(
        default=None, description="distinct values in these layers; default: the step's"
    )
    per_channel: bool | None = Field(
        default=None,
        description="values for each output channel in these layers; default: the step's",
    )


class Params(Spec):
    """What a manifest may say about `cluster`."""

    clusters: Clusters = Field(
        default=16,
        description="distinct values in each clustered tensor (or channel), zero included",
    )
    per_channel: bool = Field(
        default=False,
        description="values for each output channel of a Conv2D instead of for the whole kernel",
    )
    init: Literal["kmeans++", "linear", "density", "random"] = Field(
        default="kmeans++", description="how the first shared values are found"
    )
    preserve: Literal["none", "sparsity"] | None = Field(
        default=None,
        description="sparsity: weights that prune set to zero stay zero; inferred from the recipe",
    )
    fold_batch_norm: bool = Field(
        default=True,
        description=(
            "fold batch normalisation first, so that values stay shared in the finished file"
        ),
    )
    layers: tuple[LayerRule, ...] = Field(
        default=(),
        description=(
            "cluster only layers that a rule picks, each as its first rule says; empty: all"
        ),
    )
    skip: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="layers to leave as they are"
    )
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=3, description="epochs of fine-tuning"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1e-4, description="small: the shared values only drift into place"
    )

    @property
    def most(self) -> int:
        """Most values that any clustered kernel (or channel of one) shares."""
        return max([self.clusters, *(rule.clusters for rule in self.layers if rule.clusters)])


@dataclass(frozen=True, slots=True)
class Target:
    """What shall become of one kernel: so many values, in all of it or in each output channel."""

    clusters: int
    per_channel: bool


def clustered_layers(graph: Graph, params: Params) -> dict[str, Target]:
    """Name the layers whose kernels are clustered, in graph order.

    Those picked that have more weights than values to share.
    """
    nodes = _candidates(graph)
    left = {name for rule in params.skip for name in rule.picks(nodes)}
    found = {
        name: _target(graph.node(name), rule, params)
        for name, rule in layer_selection.chosen(params.layers, nodes).items()
        if name not in left
    }
    return {
        name: target
        for name, target in found.items()
        if _weights(graph.node(name), target) > target.clusters
    }


def _candidates(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op in _CLUSTERABLE and not node.is_fixed]


def _target(node: Node, rule: LayerRule | None, params: Params) -> Target:
    clusters = params.clusters if rule is None or rule.clusters is None else rule.clusters
    per_channel = (
        params.per_channel if rule is None or rule.per_channel is None else rule.per_channel
    )
    return Target(clusters, per_channel and node.op == "Conv2D")


def _weights(node: Node, target: Target) -> int:
    """Count the weights that share the values."""
    shape = node.weights["kernel"]
    return math.prod(shape[:-1] if target.per_channel else shape)


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
    """Refuse what would lose the zeros of `prune`, rules that pick nothing.

    And networks without kernels to cluster.
    """
    names = {step.technique for step in before}
    keeps = infer(params, before).preserve == "sparsity"
    found = targets_prune.biases_lost(graph, "cluster", before)
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
    return found + _unfit(graph, params)


def _unfit(graph: Graph, params: Params) -> list[Objection]:
    """Object to what cannot be, whatever came before."""
    found = [
        *layer_selection.objections("cluster", params.layers, graph, _candidates(graph)),
        *layer_selection.objections("cluster", params.skip, graph, _candidates(graph)),
        *layer_selection.idle(params.layers, params.skip, graph, _candidates(graph)),
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
    if node.op not in _CLUSTERABLE:
        return Verdict(
            applies=False,
            reason=f"{node.op} kernels lose too much by sharing values",
            fix=verdicts.few(graph, node.op),
        )
    rule = layer_selection.chosen(params.layers, [node])
    if (
        rule
        and _weights(node, _target(node, rule[node.name], params))
        <= _target(node, rule[node.name], params).clusters
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


def apply(model: Any, params: Params, context: Context) -> Any:
    """Fold batch normalisation, let kernels share values, fine-tune.

    And insist on the distinct values and kept zeros.

    Raises:
        BuildFailed: the network has layers nobody can describe, or none to cluster; all such are
            named.
        ProofFailed: a kernel ended with more distinct values than clusters.
    """
    from zoo_builders.keras_models.weights import render_with, weights_of
    from zoo_builders.techniques.cluster import wrappers
    from zoo_builders.training.fit import fine_tuning, fit

    graph, weights, plain = _folded(model, params)
    targets = clustered_layers(graph, params)
    zeros = (
        {name: weights[name]["kernel"] == 0 for name in targets}
        if params.preserve == "sparsity"
        else {}
    )
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    sharing = wrappers.wrap(plain, targets, params.init, zeros=zeros, seed=context.seed)
    history = fit(sharing, context, train, note="cluster")
    found = weights_of(wrappers.strip(sharing), graph)
    distinct = {
        name: wrappers.settle(name, found[name], zeros.get(name), target)
        for name, target in targets.items()
    }
    context.keep("history", {"epochs": history})
    context.keep("distinct", distinct)
    return render_with(graph, found)


def _folded(model: Any, params: Params) -> tuple[Graph, dict[str, dict[str, Any]], Any]:
    from zoo_builders.keras_models.render import judged
    from zoo_builders.keras_models.weights import render_with, weights_of
    from zoo_builders.networks import fold

    graph = judged(model, "cluster", lambda graph: _unfit(graph, params))
    weights = weights_of(model, graph)
    if not params.fold_batch_norm:
        return graph, weights, model
    graph, weights = fold.fold(graph, weights)
    return graph, weights, render_with(graph, weights)


CLUSTER = TECHNIQUES.add(
    "cluster",
    Technique(
        "cluster",
        Params,
        apply,
        check,
        promises,
        DOC,
        modules=(
            "zoo_builders.training.fit",
            "zoo_builders.networks.fold",
            "zoo_builders.keras_models.weights",
            "zoo_builders.techniques.cluster.wrappers",
        ),
        remarks=remarks,
        layers=layers,
        rewrites=rewrites,
        infer=infer,
    ),
)
