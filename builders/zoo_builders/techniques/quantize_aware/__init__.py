"""`quantize_aware`: train with quantization in the loop.

So that the weights learn to live with int8 (Jacob et al. 2018).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from zoo_builders.networks import layer_selection
from zoo_builders.networks.graph import FIXED, Graph
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.prune import targets
from zoo_builders.techniques.quantize_aware import qat_layers
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context

DOC = """Quantization-aware training: int8 weights and activations with the accuracy of float.

Ends a recipe: the file is int8, its ranges are those the training learned, and no calibration data
is read. After `prune` and `cluster` the zeros and shared values they made are kept (PQAT, CQAT,
PCQAT) in every Conv2D and Dense. Costs about twice the time of plain training an epoch. Does not
help where `quantize: {dtype: int8}` already loses nothing; try that first, it trains nothing."""

OBSERVED = 8
"""Batches from which the ranges of activations are measured before training starts."""

_MAKES = {"prune": "sparsity", "cluster": "clusters"}
Kept = Literal["sparsity", "clusters"]


class ConfigRule(layer_selection.Rule):
    """One rule of `configs`: which layers, and the function that says how they are quantized."""

    function: Annotated[str, StringConstraints(pattern=r"^python:[\w.]+:\w+$")] = Field(
        description=(
            "python:package.module:function, which takes a Keras layer and gives a tfmot"
            " QuantizeConfig"
        )
    )
    sha256: str = Field(default="", description="of the function's file; filled in")


class Params(Spec):
    """What a manifest may say about `quantize_aware`."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=3, description="epochs of fine-tuning"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1e-4, description="small: the weights only settle on their grid"
    )
    preserve: tuple[Kept, ...] | None = Field(
        default=None,
        description=(
            "what earlier steps made and this one keeps: sparsity, clusters; inferred from the"
            " recipe"
        ),
    )
    clusters: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description=(
            "most values that a kernel shares which counts as clustered; inferred from the cluster"
            " step"
        ),
    )
    interface: Literal["float", "int8"] = Field(
        default="float",
        description=(
            "inputs and outputs: float runs everywhere (LiteRT.js takes nothing else), int8 saves 2"
            " conversions"
        ),
    )
    layers: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="which Conv2D, DepthwiseConv2D and Dense are quantized; empty: all"
    )
    skip: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="which layers, of any class, stay float although `layers` has them"
    )
    configs: tuple[ConfigRule, ...] = Field(
        default=(),
        description=(
            "layers that are quantized by a config of your own, each as its first rule says; also"
            " such as are refused else"
        ),
    )


def quantized_layers(graph: Graph, params: Params) -> tuple[str, ...]:
    """Name the layers that get fake quantization.

    The kernels picked, and what else works on quantized inputs only.
    """
    picked = set(layer_selection.chosen(params.layers, _kernels(graph)))
    left = {name for rule in params.skip for name in rule.picks(graph.nodes[1:])}
    found = {node.name for node in qat_layers.last_fixed(graph) or graph.nodes[:1]}
    for node in graph.nodes[1:]:
        if node.is_fixed:
            continue
        wanted = (
            node.name in picked if node.op in qat_layers.KERNELS else found.issuperset(node.inputs)
        )
        found |= {node.name} if wanted and node.name not in left else set()
    return tuple(node.name for node in graph.nodes[1:] if node.name in found)


def _kernels(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes if node.op in qat_layers.KERNELS and not node.is_fixed]


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

    So that another file is another build.
    """
    from zoo_builders.techniques.quantize_aware import configs as configs_quantize_aware

    return rule.model_copy(update={"sha256": configs_quantize_aware.digest(rule.function)})


def _own(graph: Graph, params: Params) -> dict[str, str]:
    """Give the layers that are quantized by a function of the user: layer → function."""
    rules = layer_selection.chosen(params.configs, graph.nodes[1:]) if params.configs else {}
    return {name: rule.function for name, rule in rules.items() if rule is not None}


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse every layer that cannot be quantized, rules that pick nothing.

    And a `preserve` that contradicts the recipe.
    """
    lost = targets.biases_lost(graph, "quantize_aware", before)
    return [*_contradictions(graph, params, before), *lost, *_unfit(graph, params)]


def _unfit(graph: Graph, params: Params) -> list[Objection]:
    """Object to what cannot be, whatever came before."""
    chosen, own = quantized_layers(graph, params), _own(graph, params)
    hears = bool(graph.fixed) and params.interface == "int8"
    judged = [node for node in graph.nodes if node.name in chosen and node.name not in own]
    found = [
        *layer_selection.objections("quantize_aware", params.layers, graph, _kernels(graph)),
        *layer_selection.objections("quantize_aware", params.skip, graph, graph.nodes[1:]),
        *layer_selection.objections("quantize_aware", params.configs, graph, graph.nodes[1:]),
        *layer_selection.idle(params.configs, (), graph, graph.nodes[1:]),
        *(
            Objection(rule.function, "no such module", "make it importable where zoo runs")
            for rule in params.configs
            if not _dated(rule).sha256
        ),
        *(
            [Objection(graph.nodes[0].name, qat_layers.EIGHT_BIT_SOUND, "write interface: float")]
            if hears
            else []
        ),
        *(
            objection
            for node in judged
            if (objection := qat_layers.objection(graph, node)) is not None
        ),
    ]
    if graph.nodes and not any(graph.node(name).op in qat_layers.KERNELS for name in chosen):
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
    """State int8 weights in all layers that are not left float, int8 activations where none is.

    And the interface.
    """
    del steps
    chosen, own = quantized_layers(graph, params), _own(graph, params)
    left = tuple(
        node.name
        for node in graph.nodes
        if node.weights and (node.name not in chosen or node.name in own)
    )
    found = [Promise(technique="quantize_aware", kind="weights_dtype", value="int8", besides=left)]
    last = qat_layers.last_fixed(graph)
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

    Which the converter knows as one operator only without ranges in between.
    """
    del steps
    chosen = set(quantized_layers(graph, params))
    swishes = [name for name in qat_layers.hard_swishes(graph) if name in chosen]
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
    chosen, own = quantized_layers(graph, params), _own(graph, params)
    kept = " and ".join(infer(params, before).preserve or ())
    return {
        node.name: (
            Verdict(applies=True, reason=f"quantized by {own[node.name]}")
            if node.name in own
            else qat_layers.verdict(graph, node, chosen=node.name in chosen, kept=kept)
        )
        for node in graph.nodes
        if node.weights or qat_layers.objection(graph, node) is not None
    }


def converts(params: Params, steps: Sequence[Step]) -> dict[str, Any]:
    """Ask for an int8 file; the ranges are in the model."""
    del steps
    own = [rule.model_dump(mode="json", include={"function", "sha256"}) for rule in params.configs]
    return {"quantize": {"dtype": "int8", "interface": params.interface}} | (
        {"quantize_configs": own} if own else {}
    )


def apply(model: Any, params: Params, context: Context) -> Any:
    """Wrap the layers, measure ranges, fine-tune while zeros and shared values are held.

    The result keeps its wrappers.

    Raises:
        BuildFailed: a layer cannot be quantized; all such are named.
    """
    from zoo_builders.keras_models.render import judged
    from zoo_builders.techniques.quantize_aware import configs as configs_quantize_aware
    from zoo_builders.techniques.quantize_aware import fake_quant
    from zoo_builders.training.fit import fine_tuning, fit

    graph = judged(model, "quantize_aware", lambda graph: _unfit(graph, params))
    chosen = quantized_layers(graph, params)
    kernels = {
        name: model.get_layer(name).kernel.numpy()
        for name in chosen
        if graph.node(name).op in qat_layers.PRESERVABLE
    }
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    own = {
        name: configs_quantize_aware.config_of(function, model.get_layer(name))
        for name, function in _own(graph, params).items()
    }
    with configs_quantize_aware.scope(rule.function for rule in params.configs):
        quantized = fake_quant.wrap(model, chosen, qat_layers.configs(graph, chosen) | own)
    fake_quant.settle(quantized)
    batches = context.batches("train", batch_size=train.batch_size, shuffle=False)
    fake_quant.observe(quantized, (inputs for inputs, _ in batches.take(OBSERVED)))
    kept = {name: _hold(quantized, name, kernel, params) for name, kernel in kernels.items()}
    history = fit(quantized, context, train, note="quantize_aware")
    fake_quant.finish(quantized)
    context.keep("history", {"epochs": history})
    context.keep("preserved", {name: words for name, words in kept.items() if words})
    return quantized


def _hold(model: Any, name: str, kernel: Any, params: Params) -> dict[str, Any]:
    """Hold what a kernel has of zeros and shared values; give what that is."""
    from zoo_builders.techniques.cluster.shared_values import groups_in
    from zoo_builders.techniques.quantize_aware import fake_quant

    preserve = params.preserve or ()
    zeros = kernel == 0 if "sparsity" in preserve and (kernel == 0).any() else None
    groups, values = (
        groups_in(kernel, params.clusters or 0) if "clusters" in preserve else (None, 0)
    )
    if zeros is None and groups is None:
        return {}
    fake_quant.hold(model, name, zeros=zeros, groups=groups)
    return ({"zeros": float(zeros.mean())} if zeros is not None else {}) | (
        {"values": values} if values else {}
    )


QUANTIZE_AWARE = TECHNIQUES.add(
    "quantize_aware",
    Technique(
        "quantize_aware",
        Params,
        apply,
        check,
        promises,
        DOC,
        remarks,
        layers=layers,
        infer=infer,
        converts=converts,
        ends=True,
    ),
)
