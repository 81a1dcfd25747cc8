"""What `quantize_aware` refuses, what it can do to each layer, and what the file then holds.

Pure, on a `Graph`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import FIXED, Graph
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import Step
from zoo_builders.techniques.prune.rules import biases_lost
from zoo_builders.techniques.quantize_aware import configs, limits
from zoo_builders.techniques.quantize_aware.params import ConfigRule, Params
from zoo_builders.techniques.quantize_aware.selection import (
    KERNELS,
    kernels,
    last_fixed,
    own_configs,
    quantized_layers,
)
from zoo_builders.tflite.proof import Promise

_MAKES = {"prune": "sparsity", "cluster": "clusters"}


def infer(params: Params, before: Sequence[Step]) -> Params:
    """Preserve what earlier steps made, where the manifest says nothing."""
    made = tuple(_MAKES[step.technique] for step in before if step.technique in _MAKES)
    shared = [
        step.params.most
        for step in before
        if step.technique == "cluster" and hasattr(step.params, "most")
    ]
    changes: dict[str, Any] = (
        {} if params.preserve is not None else {"preserve": tuple(dict.fromkeys(made))}
    )
    changes |= {"clusters": max(shared)} if shared and params.clusters is None else {}
    changes |= {"configs": tuple(_dated(rule) for rule in params.configs)} if params.configs else {}
    return params.model_copy(update=changes)


def _dated(rule: ConfigRule) -> ConfigRule:
    """Put the digest of the function's file into the rule.

    Another file is then another build.
    """
    return rule.model_copy(update={"sha256": configs.digest(rule.function)})


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse every layer that cannot be quantized, and rules that pick nothing.

    A `preserve` that contradicts the recipe is refused too.
    """
    lost = biases_lost(graph, "quantize_aware", before)
    return [*_contradictions(graph, params, before), *lost, *unfit(graph, params)]


def unfit(graph: Graph, params: Params) -> list[Objection]:
    """Object to what cannot be, whatever came before."""
    chosen, own = quantized_layers(graph, params), own_configs(graph, params)
    hears = bool(graph.fixed) and params.interface == "int8"
    judged = [node for node in graph.nodes if node.name in chosen and node.name not in own]
    found = [
        *layer_selection.objections("quantize_aware", params.layers, graph, kernels(graph)),
        *layer_selection.objections("quantize_aware", params.skip, graph, graph.nodes[1:]),
        *layer_selection.objections("quantize_aware", params.configs, graph, graph.nodes[1:]),
        *layer_selection.idle(params.configs, (), graph, graph.nodes[1:]),
        *(
            Objection(
                rule.function, "no such module", "put it into the project, or install its package"
            )
            for rule in params.configs
            if not _dated(rule).sha256
        ),
        *(
            [Objection(graph.nodes[0].name, limits.EIGHT_BIT_SOUND, "write interface: float")]
            if hears
            else []
        ),
        *(objection for node in judged if (objection := limits.objection(graph, node)) is not None),
    ]
    if graph.nodes and not any(graph.node(name).op in KERNELS for name in chosen):
        found.append(
            Objection(
                graph.name,
                "no Conv2D, DepthwiseConv2D or Dense is left to quantize",
                "drop quantize_aware, or pick layers",
            )
        )
    return found


def _contradictions(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    made = {_MAKES[step.technique]: step.technique for step in before if step.technique in _MAKES}
    said = set(made) if params.preserve is None else set(params.preserve)
    lost = [
        Objection(
            graph.name,
            f"{technique} made {kept}, which preserve leaves out",
            "drop preserve: it is inferred from the recipe",
        )
        for kept, technique in made.items()
        if kept not in said
    ]
    makers = {kept: technique for technique, kept in _MAKES.items()}
    return lost + [
        Objection(
            graph.name,
            f"preserve: {kept}, but no earlier step makes any",
            f"put {makers[kept]} before quantize_aware, or drop preserve",
        )
        for kept in sorted(said - set(made))
    ]


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State int8 weights in all layers that are not left float, and the interface.

    Where no layer is left float, int8 activations are stated too.
    """
    del steps
    chosen, own = quantized_layers(graph, params), own_configs(graph, params)
    left = tuple(
        node.name
        for node in graph.nodes
        if node.weights and (node.name not in chosen or node.name in own)
    )
    found = [Promise(technique="quantize_aware", kind="weights_dtype", value="int8", besides=left)]
    last = last_fixed(graph)
    if len(chosen) == len(graph.nodes[1:]) - len(graph.fixed) + len(last) and not own:
        besides = (f"{FIXED}*",) if last else ()
        found.append(
            Promise(
                technique="quantize_aware", kind="activations_dtype", value="int8", besides=besides
            )
        )
    return [
        *found,
        Promise(
            technique="quantize_aware",
            kind="interface_dtype",
            value="int8" if params.interface == "int8" else "float32",
        ),
    ]


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say what becomes of hard-swish.

    The converter knows it as one operator only without ranges in between.
    """
    del steps
    chosen = set(quantized_layers(graph, params))
    swishes = [name for name in limits.hard_swishes(graph) if name in chosen]
    more = "more operators than after quantize: {dtype: int8}, which makes one HARD_SWISH of each"
    named = f"{len(swishes)} hard-swish ({swishes[0]}, …)" if swishes else ""
    return (
        [f"{named} are trained and stored piece by piece, as shifts, clips and products: {more}"]
        if named
        else []
    )


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with weights, and of every one that cannot be quantized.

    What happens to it.
    """
    chosen, own = quantized_layers(graph, params), own_configs(graph, params)
    kept = " and ".join(infer(params, before).preserve or ())
    return {
        node.name: (
            Verdict(applies=True, reason=f"quantized by {own[node.name]}")
            if node.name in own
            else limits.verdict(graph, node, chosen=node.name in chosen, kept=kept)
        )
        for node in graph.nodes
        if node.weights or limits.objection(graph, node) is not None
    }


def converts(params: Params, steps: Sequence[Step]) -> dict[str, Any]:
    """Ask for an int8 file; the ranges are in the model."""
    del steps
    own = [rule.model_dump(mode="json", include={"function", "sha256"}) for rule in params.configs]
    return {"quantize": {"dtype": "int8", "interface": params.interface}} | (
        {"quantize_configs": own} if own else {}
    )
