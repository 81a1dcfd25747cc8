"""What `prune` refuses, what it can do to each layer, and what will not come of it.

Pure, on a `Graph`.
"""

import math
from collections.abc import Mapping, Sequence

from zoo_builders.networks import layer_selection, sparse_path, verdicts, xnnpack_policy
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import Step
from zoo_builders.techniques.prune import selection
from zoo_builders.techniques.prune.masks import KERNELS, Target
from zoo_builders.techniques.prune.params import Params, problem
from zoo_builders.techniques.prune.promises import counted
from zoo_builders.techniques.prune.schedule import Window, timing
from zoo_builders.techniques.prune.selection import Touched

_UNDOES = frozenset({"cluster", "quantize", "quantize_aware"})

_DEPTHWISE = "depthwise kernels stay dense: no kernel library runs them sparse"


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse what cannot be pruned as asked, and a step that would undo an earlier one.

    Schedules in epochs that miss their target are refused too.

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
        ("", "") if in_steps or not params.epochs else _in_epochs(timing(params).window(1000))
    )
    if problem:
        found.append(Objection(graph.name, problem, fix))
    found += objections(graph, selection.candidates(graph, params), params)
    return found + (xnnpack_policy.objections(graph) if params.policy == "xnnpack" else [])


def _in_epochs(window: Window) -> tuple[str, str]:
    """Tell a problem of a schedule of 1,000 steps an epoch in epochs."""
    wrong, _ = problem(window)
    return (
        wrong and "the schedule in epochs has no renewal of the masks",
        "write prune_from_epoch < prune_until_epoch, and renew sooner",
    )


def objections(graph: Graph, nodes: Sequence[Node], params: Params) -> list[Objection]:
    """Say what cannot be done to the candidates as asked.

    Rules that pick nothing, shapes that do not fit, biases that would not last.
    """
    found = layer_selection.objections("prune", [*params.layers, *params.skip], graph, nodes)
    found += layer_selection.idle(params.layers, params.skip, graph, nodes)
    chosen = selection.touched(nodes, params)
    if not chosen and not found:
        fix = (
            "use a network with 1x1 convolutions"
            if params.policy == "xnnpack"
            else "use a network with Conv2D or Dense, or skip less"
        )
        found.append(Objection(graph.name, f"policy {params.policy} finds no layer to prune", fix))
    return found + [objection for layer in chosen for objection in _unfit(graph, layer)]


def biases_lost(graph: Graph, technique: str, before: Sequence[Step]) -> list[Objection]:
    """Refuse a step that trains biases after a `prune` that set some of them to zero.

    Only kernels keep their zeros.
    """
    reason = f"{technique} trains the biases that prune set to zero, and their zeros would be lost"
    pruned = any(
        getattr(step.params, "biases", False) for step in before if step.technique == "prune"
    )
    return (
        [Objection(graph.name, reason, "write bias: false in prune, in its layers too")]
        if pruned
        else []
    )


def _unfit(graph: Graph, layer: Touched) -> list[Objection]:
    node, target = layer.node, layer.target
    rows, columns = selection.stored_rows(node)
    found = []
    if target.block != (1, 1):
        found += _unfit_block(node, target, rows, columns)
    if target.groups and columns < target.groups[1]:
        reason = (
            f"{target.groups[0]}:{target.groups[1]} counts along the inputs, and it has only"
            f" {columns}"
        )
        found.append(Objection(node.name, reason, f"add {{name: {node.name}}} to skip"))
    if target.bias and "bias" not in node.weights:
        found.append(
            Objection(
                node.name,
                "it has no bias to prune",
                f"add {{name: {node.name}, bias: false}} to layers",
            )
        )
    elif target.bias and any(
        reader.op == "BatchNormalization" for reader in graph.consumers(node.name)
    ):
        reason = (
            "its bias is folded into the batch normalisation behind it, so that its zeros never"
            " reach the file"
        )
        found.append(
            Objection(node.name, reason, f"add {{name: {node.name}, bias: false}} to layers")
        )
    return found


def _unfit_block(node: Node, target: Target, rows: int, columns: int) -> list[Objection]:
    said = f"{target.block[0]}x{target.block[1]}"
    skip = f"add {{name: {node.name}}} to skip, or name the Dense and 1x1 layers in layers"
    if (
        math.prod(node.weights["kernel"]) != rows * columns
        or rows * columns != node.weights["kernel"][-2] * node.weights["kernel"][-1]
    ):
        shape = "x".join(map(str, node.weights["kernel"]))
        return [
            Objection(
                node.name,
                f"blocks of {said} need a kernel of two dimensions; this one is {shape}",
                skip,
            )
        ]
    count = selection.blocks(node, target)
    # of one block nothing may be left out
    if math.floor(count * target.final + 1e-9) < 1 or count < 2:  # noqa: PLR2004
        return [
            Objection(
                node.name,
                f"it has {count} blocks of {said}: {target.final:.0%} of them is none",
                skip,
            )
        ]
    return []


def unread(params: Params) -> list[Objection]:
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


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with weights whether it is pruned.

    If not, why and what would change that.
    """
    del before
    nodes = selection.candidates(graph, params)
    chosen = {layer.node.name: layer for layer in selection.touched(nodes, params)}
    left_out, names = selection.skipped(nodes, params), {node.name for node in nodes}
    found: dict[str, Verdict] = {}
    for node in graph.nodes:
        if node.name in chosen:
            found[node.name] = _of_chosen(graph, chosen[node.name])
        elif node.name in left_out:
            found[node.name] = Verdict(
                applies=False, reason="skip leaves it out", fix="take it out of skip"
            )
        elif node.name in names:
            found[node.name] = Verdict(
                applies=False,
                reason="no rule of layers picks it",
                fix=f"add {{name: {node.name}}} to layers",
            )
        elif node.weights:
            found[node.name] = _of_others(graph, node, params)
    return found


def _of_chosen(graph: Graph, layer: Touched) -> Verdict:
    unfit = _unfit(graph, layer)
    if unfit:
        return Verdict(applies=False, reason=unfit[0].reason, fix=unfit[0].fix)
    target = layer.target
    words = [f"{target.groups[0]}:{target.groups[1]}" if target.groups else f"{target.final:.0%}"]
    words += [f"blocks of {target.block[0]}x{target.block[1]}"] if target.block != (1, 1) else []
    words += ["bias too"] if target.bias else []
    return Verdict(applies=True, reason=", ".join(words))


def _of_others(graph: Graph, node: Node, params: Params) -> Verdict:
    if node.is_fixed:
        return Verdict(applies=False, reason=FORMULA, fix=verdicts.NOTHING_LEARNED)
    if node.op == "DepthwiseConv2D":
        return Verdict(applies=False, reason=_DEPTHWISE, fix=verdicts.few(graph, node.op))
    if params.policy == "xnnpack" and node.op in KERNELS:
        return Verdict(
            applies=False,
            reason="XNNPACK runs only 1x1 convolutions of stride 1 sparse",
            fix="policy: whole-model prunes it too",
        )
    if node.op == "BatchNormalization":
        return Verdict(
            applies=False,
            reason="no kernel: it is folded into the layer before it",
            fix=verdicts.FOLDED,
        )
    return Verdict(
        applies=False,
        reason=f"{node.op} has no kernel that prune knows",
        fix="implement TFMOT's PrunableLayer in its class",
    )


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
    share = counted(graph, params)
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
    chosen = selection.touched(selection.candidates(graph, params), params)
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
