"""What each technique can do to each layer, and what the file will be worth.

All of it is said before anything is trained.

Pure: a `Graph` and recipes in, frozen values out. Every technique is asked by its being there
(`Technique.layers`; where it has no word on a layer, its objections count), and XNNPACK's sparse
path beside them. `zoo preflight` prints this, `plan` and `build` refuse by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo_builders.manifest.recipes import graphs, objections
from zoo_builders.networks import sparse_path
from zoo_builders.networks import verdicts as left_alone
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.preflight import latency_forecast, size_forecast
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.compress.technique import macs

SPARSE_PATH = "XNNPACK-sparse"
PRESERVED = "preserved"
_KEEPS = {"sparsity_at_least": "sparsity", "distinct_at_most": "clusters"}
"""Kind of promise → what `preserve` of a later step calls it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One question put to every layer.

    It is a step of a recipe, XNNPACK's sparse path, or whether later steps keep what earlier ones
    made.

    Attributes:
        name: technique, or `XNNPACK-sparse`, or `preserved`.
        verdicts: layer → answer; layers it has no word on are absent.
        refused: objections: with one of them the recipe is not built.
        remarks: what to know although nothing is wrong.
    """

    name: str
    verdicts: Mapping[str, Verdict]
    refused: tuple[Objection, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything that can be said of one recipe on one network.

    It can also be of all techniques at their defaults.

    Attributes:
        variant: name of the recipe; empty for the techniques at their defaults.
        steps: the recipe.
        layers: the rows: every layer with weights but folded normalisations, and others that some
            technique objects to.
        columns: the questions, in the order of the recipe.
        size: predicted sizes of the file; None for the techniques at their defaults.
        chances: predicted effect on latency by family of devices; empty for the techniques at their
            defaults.
    """

    variant: str
    steps: tuple[Step, ...]
    layers: tuple[Node, ...]
    columns: tuple[Column, ...]
    size: size_forecast.Size | None = None
    chances: tuple[latency_forecast.Chance, ...] = ()

    @property
    def refused(self) -> tuple[Objection, ...]:
        """All objections against the recipe."""
        return tuple(
            objection
            for column in self.columns
            if column.name != SPARSE_PATH
            for objection in column.refused
        )


def offer(graph: Graph) -> Preflight:
    """Ask every technique, alone and at its defaults: what could be done with this network?"""
    asked = [
        _step_column(graph, Step(name, TECHNIQUES.get(name).params()), ())
        for name in TECHNIQUES.names()
    ]
    columns = (*asked, _sparse_column(graph))
    return Preflight("", (), rows([graph], columns), columns)


def recipe(graph: Graph, variant: str, steps: Sequence[Step]) -> Preflight:
    """Ask the techniques of one recipe, each with its parameters on the network as it meets it.

    Size and latency are predicted.
    """
    met = graphs(graph, steps)
    asked = [
        _step_column(here, step, steps[:index])
        for index, (here, step) in enumerate(zip(met, steps, strict=True))
    ]
    last = graphs(graph, [*steps, *steps[-1:]])[-1] if steps else graph
    sparse = _sparse_column(last)
    kept = _preserved(met, steps, asked)
    columns = (*asked, *((kept,) if kept else ()), sparse)
    contents = size_forecast.contents(last, met, steps, [column.verdicts for column in asked])
    return Preflight(
        variant,
        tuple(steps),
        rows([*met, last], columns),
        columns,
        size_forecast.size(last, contents),
        _chances(graph, last, contents, sparse),
    )


def summary(report: Preflight) -> list[str]:
    """Say in a line a step how many layers with weights it leaves as they are.

    Nothing is said of a step that leaves none.
    """
    counted = []
    for column in report.columns[: len(report.steps)]:
        said = [
            column.verdicts[node.name]
            for node in report.layers
            if node.weights and node.name in column.verdicts
        ]
        changed = sum(verdict.applies for verdict in said)
        if changed < len(said):
            counted.append(f"{column.name} changes {changed} of {len(said)} layers")
    return counted


def rows(met: Sequence[Graph], columns: Sequence[Column]) -> tuple[Node, ...]:
    """Choose the layers worth a row.

    These have weights of their own, or a verdict or an objection names them.
    """
    nodes = {node.name: node for graph in reversed(met) for node in graph.nodes}
    named = {
        name
        for column in columns
        for name, verdict in column.verdicts.items()
        if _can_change(verdict)
    }
    named |= {objection.layer for column in columns for objection in column.refused}
    chosen = [
        node
        for node in nodes.values()
        if (node.weights and node.op != "BatchNormalization") or node.name in named
    ]
    order = {
        name: place
        for place, name in enumerate(
            dict.fromkeys(node.name for graph in met for node in graph.nodes)
        )
    }
    return tuple(sorted(chosen, key=lambda node: order[node.name]))


def _can_change(verdict: Verdict) -> bool:
    return (
        not verdict.applies and bool(verdict.fix) and not verdict.fix.startswith(left_alone.NOTHING)
    )


def _step_column(graph: Graph, step: Step, before: Sequence[Step]) -> Column:
    technique = TECHNIQUES.get(step.technique)
    refused = tuple(objections(graph, step, before))
    said = dict(technique.layers(graph, step.params, before)) or _by_objection(graph, refused)
    remarks = tuple(technique.remarks(graph, step.params, [*before, step]))
    return Column(step.technique, said, refused, remarks)


def _by_objection(graph: Graph, refused: Sequence[Objection]) -> dict[str, Verdict]:
    """Make verdicts for a technique that gives none of its own.

    They come from what it objects to, or else from everything with a kernel.
    """
    layers = {node.name for node in graph.nodes}
    whole = next((objection for objection in refused if objection.layer not in layers), None)
    named = {objection.layer: objection for objection in refused if objection.layer in layers}
    found = {}
    for node in graph.nodes:
        objection = named.get(node.name, whole)
        if node.name in named or (node.weights and node.op != "BatchNormalization"):
            found[node.name] = (
                Verdict(applies=False, reason=objection.reason, fix=objection.fix)
                if objection
                else Verdict(applies=True)
            )
    return found


def _sparse_column(graph: Graph) -> Column:
    return Column(SPARSE_PATH, sparse_path.verdicts(graph), tuple(sparse_path.objections(graph)))


def _preserved(
    met: Sequence[Graph], steps: Sequence[Step], columns: Sequence[Column]
) -> Column | None:
    """Say of every layer that holds zeros or shared values whether the later steps keep them.

    None when there is nothing to keep.
    """
    found: dict[str, Verdict] = {}
    for index, (graph, step) in enumerate(zip(met[:-1], steps[:-1], strict=True)):
        promised = TECHNIQUES.get(step.technique).promises(graph, step.params, steps)
        for thing in dict.fromkeys(
            _KEEPS[promise.kind] for promise in promised if promise.kind in _KEEPS
        ):
            later = list(zip(steps, columns, strict=True))[index + 1 :]
            for layer, verdict in columns[index].verdicts.items():
                if verdict.applies:
                    found[layer] = _kept(found.get(layer), layer, thing, later)
    return Column(PRESERVED, found) if found else None


def _kept(
    so_far: Verdict | None, layer: str, thing: str, later: Sequence[tuple[Step, Column]]
) -> Verdict:
    """Whether `thing` survives the later steps in `layer`.

    A step without training of its own keeps zeros and equal values.
    """
    if so_far is not None and not so_far.applies:
        return so_far
    for step, column in later:
        if TECHNIQUES.get(step.technique).work is None:
            continue
        if thing not in preserves(step):
            return Verdict(
                applies=False,
                reason=f"{step.technique} trains on and moves the {thing}",
                fix=f"set preserve: {thing}",
            )
        verdict = column.verdicts.get(layer)
        if verdict is not None and not verdict.applies:
            return Verdict(
                applies=False,
                reason=f"{step.technique} leaves it out, trains on and moves the {thing}",
                fix=verdict.fix,
            )
    return Verdict(applies=True)


def preserves(step: Step) -> tuple[str, ...]:
    """Give what a step says it preserves."""
    said = getattr(step.params, "preserve", ()) or ()
    return (said,) if isinstance(said, str) else tuple(said)


def _chances(
    base: Graph, graph: Graph, contents: size_forecast.Contents, sparse: Column
) -> tuple[latency_forecast.Chance, ...]:
    share = sparse_path.share_of_zeros(graph, contents.zeros)
    shut = ""
    if sparse.refused:
        first = sparse.refused[0]
        shut = f"{first.layer}: {first.reason}" + (
            f" (and {len(sparse.refused) - 1} more)" if len(sparse.refused) > 1 else ""
        )
    elif not sparse_path.enough(share):
        shut = (
            f"{share:.0%} zeros in the 1x1 and fully connected layers that XNNPACK counts, which"
            " wants more than 2/3"
        )
    before, after = size_forecast.kernels(base), size_forecast.kernels(graph)
    fewer = 1 - after / before if before else 0.0
    any_zeros = max([share, *contents.zeros.values()], default=0.0)
    opens = not shut and share > 0
    depthwise = max(
        (node.kernel_weights for node in graph.nodes if node.op == "DepthwiseConv2D"), default=0
    )
    work = latency_forecast.Work(macs(graph), depthwise)
    return latency_forecast.chances(
        contents.stored,
        opens=opens,
        share=any_zeros if shut else share,
        shut=shut,
        work=work,
        fewer=fewer,
    )
