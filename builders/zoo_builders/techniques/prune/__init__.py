"""`prune`: set the smallest weights to zero while fine-tuning.

Zhu & Gupta 2017, "To prune, or not to prune".
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.networks import layer_selection, sparse_path, xnnpack_policy
from zoo_builders.networks.graph import FIXED, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.prune import targets as targets_prune
from zoo_builders.techniques.prune.masks import Target
from zoo_builders.techniques.prune.params import Params
from zoo_builders.techniques.prune.schedule import Window
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context

__all__ = ["Params"]

DOC = """Magnitude pruning with fine-tuning: single weights, blocks, or m of every n weights.

Always shrinks the compressed file; shrinks the file itself once zeros are left out (from about a
third on). Latency changes only where XNNPACK's sparse path opens: `policy: xnnpack`, float32 or
float16, more than two thirds zeros, on ARM and in browsers, not on x86 with AVX. Costs as much time
as training for `epochs`; `epochs: 0` prunes at once, to see what a target costs without
fine-tuning. Does not help networks that are tiny already. Depthwise kernels stay dense."""

_SPARSE_ON = ("arm64", "wasm-simd")
"""Where the sparse path is promised: on phones and in browsers."""

_UNDOES = frozenset({"cluster", "quantize", "quantize_aware"})


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse what cannot be pruned as asked, a step that would undo an earlier one.

    And schedules in epochs that miss their target.

    Whether a schedule in steps reaches its target is known once the data are: `apply` refuses it
        before it trains.
    """
    found = [
        Objection(
            graph.name,
            f"pruning after {step.technique} would undo it",
            f"put prune before {step.technique}",
        )
        for step in before
        if step.technique in _UNDOES
    ]
    if any(step.technique == "prune" for step in before):
        found.append(
            Objection(
                graph.name,
                "the recipe prunes twice",
                "keep one prune step; its layers say what differs",
            )
        )
    in_steps = {params.begin_step, params.end_step, params.frequency} != {None}
    problem, fix = (
        ("", "") if in_steps or not params.epochs else _in_epochs(params.timing.window(1000))
    )
    if problem:
        found.append(Objection(graph.name, problem, fix))
    found += targets_prune.objections(graph, targets_prune.candidates(graph, params), params)
    return found + (xnnpack_policy.objections(graph) if params.policy == "xnnpack" else [])


def _in_epochs(window: Window) -> tuple[str, str]:
    """Tell a problem of a schedule of 1,000 steps an epoch in epochs."""
    problem, _ = window.problem()
    return (
        problem and "the schedule in epochs has no renewal of the masks",
        "write prune_from_epoch < prune_until_epoch, and renew sooner",
    )


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the zeros of every pruned kernel and bias.

    And that XNNPACK runs the file sparse where all that is known says so.
    """
    if not graph.nodes:
        return targets_prune.promises_unread(params)
    found = targets_prune.promises(
        graph, targets_prune.touched(targets_prune.candidates(graph, params), params)
    )
    opens = (
        params.policy == "xnnpack"
        and sparse_path.enough(_counted(graph, params))
        and not sparse_path.objections(graph)
    )
    if opens and all(_stays_open(step) for step in steps):
        found += [
            Promise(technique="prune", kind="xnnpack_sparse_on", value=cpu) for cpu in _SPARSE_ON
        ]
    return found


def _stays_open(step: Step) -> bool:
    """Whether a file can run sparse after a step.

    Float weights in the converter's sparse encoding, on layers as prune met them.
    """
    if step.technique != "quantize":
        return step.technique in {"prune", "cluster"}
    asked = step.params.model_dump()
    return bool(
        asked["dtype"] == "float16"
        and asked["sparse_encoding"] != "never"
        and asked["engine"] != "litert"
    )


def _counted(graph: Graph, params: Params) -> float:
    """Give the share of zeros, whole weights, in what XNNPACK counts."""
    chosen = targets_prune.touched(targets_prune.candidates(graph, params), params)
    sizes = {layer.node.name: layer.node.kernel_weights for layer in chosen}
    zeros = {
        layer.node.name: math.floor(
            targets_prune.share_of_zeros(layer) * sizes[layer.node.name] + 1e-9
        )
        for layer in chosen
    }
    return sparse_path.share_of_zeros(
        graph, {name: zeros[name] / size for name, size in sizes.items()}
    )


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with weights whether it is pruned, and why not."""
    del before
    return targets_prune.verdicts(graph, params)


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say what will not come of it.

    Latency below two thirds of zeros, blocks the converter stores one by one, checks put off.
    """
    found = _shut(graph, params) if params.policy == "xnnpack" and graph.nodes else []
    found += _block_remarks(graph, params, steps)
    if params.pattern:
        found.append(
            f"{params.pattern} has no in-between: from the first renewal of the masks on every"
            " group holds its zeros"
        )
    if not params.epochs:
        found.append(
            "epochs: 0 prunes without fine-tuning: accuracy is what the zeros alone leave of it"
        )
    elif {params.begin_step, params.end_step, params.frequency} != {None}:
        found.append(
            "steps an epoch are known once the data are: whether the schedule reaches its target is"
            " checked before it trains"
        )
    return found


def _shut(graph: Graph, params: Params) -> list[str]:
    """Say why XNNPACK will not run the file sparse although its policy was asked for."""
    share = _counted(graph, params)
    found = [
        f"XNNPACK's sparse path stays shut: {one.layer}: {one.reason}; {one.fix}. Until then the"
        " file gets smaller, not faster"
        for one in sparse_path.objections(graph)[:1]
    ]
    if not sparse_path.enough(share):
        found.append(
            f"{share:.0%} zeros in the layers that XNNPACK counts never open its sparse path, which"
            " wants more than 2/3: the file gets smaller, not faster"
        )
    return found


def _block_remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Name the layers whose blocks are stored weight by weight.

    All but Dense with the one size that fits the encoding.
    """
    stored, fitting = _stored(steps)
    chosen = targets_prune.touched(targets_prune.candidates(graph, params), params)
    blocked = [layer for layer in chosen if layer.target.block != (1, 1)]
    singly = [
        layer for layer in blocked if layer.node.op != "Dense" or layer.target.block != fitting
    ]
    if not singly:
        return []
    sizes = ", ".join(dict.fromkeys("{}x{}".format(*layer.target.block) for layer in singly))
    wanted = f"block: [{fitting[0]}, {fitting[1]}] of a Dense" if fitting else "no block at all"
    names = ", ".join(layer.node.name for layer in singly)
    singly_stored = f"the converter stores blocks of {sizes} in {names} weight by weight"
    return [f"{singly_stored}: as blocks it stores, in {stored}, {wanted}"]


def _stored(steps: Sequence[Step]) -> tuple[str, tuple[int, int] | None]:
    """Say what weights are stored as in the end, and which blocks the file format has for that."""
    stored = "float32"
    for step in steps:
        if step.technique in {"quantize", "quantize_aware"}:
            stored = str(getattr(step.params, "dtype", "int8"))
    dense = any(
        getattr(step.params, "engine", "") == "litert" for step in steps
    )  # which stores nothing sparse
    return stored, None if dense else {"float32": (1, 4), "int8": (1, 16)}.get(stored)


def apply(model: Any, params: Params, context: Context) -> Any:
    """Wrap the chosen layers, fine-tune while zeros grow, strip, and insist on the zeros.

    Raises:
        BuildFailed: the schedule would not reach its target in this training, or a rule picks no
            layer of this model.
        ProofFailed: weights ended with fewer zeros than the masks should have left.
    """
    from zoo_builders.techniques.prune import masks

    if params.start == "scratch":
        model = anew(model)
    targets = {layer.node.name: layer.target for layer in _chosen(model, params)}
    pruned = _trained(model, targets, params, context) if params.epochs else model
    if not params.epochs:
        for name, target in targets.items():
            masks.prune_now(model.get_layer(name), target)
        context.keep("history", {"epochs": []})
    context.keep(
        "sparsity",
        {name: masks.settle(pruned.get_layer(name), target) for name, target in targets.items()},
    )
    return pruned


def anew(model: Any) -> Any:
    """Give the model with fresh weights, but for those that are formulas."""
    from zoo_builders import tf

    fresh = tf.keras.models.clone_model(model)
    for layer in model.layers:
        if layer.name.startswith(FIXED):
            fresh.get_layer(layer.name).set_weights(layer.get_weights())
    return fresh


def _trained(model: Any, targets: Mapping[str, Target], params: Params, context: Context) -> Any:
    from zoo_builders import tf
    from zoo_builders.techniques.prune import masks
    from zoo_builders.training.fit import fine_tuning, fit

    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    window = _window(
        len(context.batches("train", batch_size=train.batch_size, shuffle=False)), params
    )
    wrapped = masks.wrapped(
        model,
        targets,
        {name: schedule_of(window, params, target) for name, target in targets.items()},
    )
    history = fit(
        wrapped, context, train, [tf.tfmot.sparsity.keras.UpdatePruningStep()], note="prune"
    )
    context.keep("history", {"epochs": history})
    context.keep(
        "schedule",
        {"begin": window.begin, "end": window.end, "every": window.every, "steps": window.last},
    )
    return masks.stripped(wrapped)


def _window(steps_per_epoch: int, params: Params) -> Window:
    from zoo_registry.model.errors import BuildFailed

    window = params.timing.window(steps_per_epoch)
    problem, hint = window.problem()
    if problem:
        raise BuildFailed(
            f"prune would not reach its target: {problem} ({steps_per_epoch} steps an epoch)",
            hint=f"{hint} in the manifest",
        )
    return window


def schedule_of(window: Window, params: Params, target: Target) -> Any:
    """Give TFMOT's schedule for one layer.

    Step → (whether its mask is renewed there, share of zeros).
    """
    from zoo_builders import tf

    kinds = tf.tfmot.sparsity.keras
    if params.schedule == "constant" or target.groups:
        return kinds.ConstantSparsity(target.final, window.begin, window.end, window.every)
    return kinds.PolynomialDecay(
        target.initial, target.final, window.begin, window.end, params.power, window.every
    )


def _chosen(model: Any, params: Params) -> tuple[targets_prune.Touched, ...]:
    """Choose the layers of a model.

    As its graph says, or by looking at the layers themselves where nobody can describe it.
    """
    from zoo_builders.keras_models.render import graph_of
    from zoo_registry.model.errors import BuildFailed, Unsupported

    refused: list[Objection] = []
    try:
        graph = graph_of(model)
        nodes = targets_prune.candidates(graph, params)
    except Unsupported:
        nodes = _nodes(model)
        graph, refused = Graph(model.name, nodes), _unread(params)
    refused += targets_prune.objections(graph, nodes, params)
    if refused:
        lines = "; ".join(f"layer {one.layer}: {one.reason}" for one in refused)
        raise BuildFailed(f"prune cannot be applied: {lines}", hint=refused[0].fix)
    return targets_prune.touched(nodes, params)


def _unread(params: Params) -> list[Objection]:
    """Refuse what cannot be proven of a network that nobody could read before the build.

    Only names stand in the file.
    """
    rules = [rule for rule in [*params.layers, *params.skip] if not rule.name]
    found = [
        Objection(
            layer_selection.spell(rule),
            "a network with layers of its own is proven by names",
            "say name: in this rule",
        )
        for rule in rules
    ]
    if params.policy == "xnnpack":
        found.append(
            Objection(
                "(all)",
                "XNNPACK's sparse path cannot be judged of layers of its own",
                "use policy: whole-model",
            )
        )
    return found


def _nodes(model: Any) -> tuple[Node, ...]:
    """Describe the layers of a model that have something to prune."""
    from zoo_builders.techniques.prune.masks import prunable

    found = []
    for layer in model.layers:
        shapes = [
            tuple(variable.shape)
            for variable in prunable(layer, bias=not hasattr(type(layer), "get_prunable_weights"))
        ]
        if shapes:
            found.append(
                Node(
                    layer.name,
                    type(layer).__name__,
                    {},
                    (),
                    (),
                    dict(zip(("kernel", "bias"), shapes, strict=False)),
                )
            )
    return tuple(found)


PRUNE = TECHNIQUES.add(
    "prune",
    Technique(
        "prune",
        Params,
        apply,
        check,
        promises,
        DOC,
        remarks,
        layers=layers,
        modules=("zoo_builders.training.fit", "zoo_builders.networks.xnnpack_policy"),
    ),
)
