"""A compression algorithm as a technique: choosing layers, refusing, promising."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.networks import layer_selection, verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.compress import work as compressing
from zoo_builders.techniques.compress.algorithms import Algorithm, Params
from zoo_builders.techniques.compress.selection import ASKED, chosen, fitting, is_asked, replaced
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context

_PROMISE = (
    "write promises(self, before, after, layers, params) in its class: see"
    " docs/guides/algorithm-author.md"
)

_DENSE_OPS = {"Dense", "Conv2D", "Conv2DTranspose"}


class Compressor(Technique):
    """One algorithm as a technique, which stands in recipes under the algorithm's name."""

    work = compressing

    def __init__(self, algorithm: Algorithm, *, own: bool = False) -> None:
        self.algorithm, self._own = algorithm, own
        self.name, self.params, self.doc = algorithm.name, algorithm.params, algorithm.doc

    @property
    def code(self) -> tuple[str, ...]:
        """The algorithm's module counts too; of a user's `own`, its file is in the stage."""
        return super().code if self._own else (*super().code, type(self.algorithm).__module__)

    def apply(self, model: Any, params: Params, context: Context) -> Any:
        """Let the algorithm change `model`; refuse what planning could not see."""
        return compressing.apply(self.algorithm, model, params, context)

    def check(self, graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
        """Refuse what would undo earlier steps, and rules that pick nothing.

        Networks in which nothing fits or nothing is saved are refused too.
        """
        name, nodes = self.algorithm.name, fitting(self.algorithm, graph, params)
        found = [
            Objection(
                graph.name,
                f"{name} after {step.technique} would undo it",
                _order(name, step.technique.partition("@")[0]),
            )
            for step in before
            if step.technique.partition("@")[0] in self.algorithm.undoes | {name}
        ]
        found += layer_selection.objections(name, [*params.layers, *params.skip], graph, nodes)
        found += layer_selection.idle(params.layers, params.skip, graph, nodes)
        if not chosen(self.algorithm, graph, params):
            why = "; ".join(
                f"{n.name}: {self.algorithm.fits(n, params) or 'left out'}"
                for n in graph.nodes
                if is_asked(n)
            )
            found.append(
                Objection(
                    graph.name,
                    f"{name} fits no layer ({why or 'no Dense or Conv2D'})",
                    "use a network with wider layers",
                )
            )
        elif not self.promises(graph, params, ()):
            found.append(
                Objection(
                    graph.name,
                    f"{name} replaces no layer and promises nothing that the file could prove",
                    _PROMISE,
                )
            )
        return found

    def layers(self, graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
        """Say of every layer with weights whether it is compressed, and why not."""
        del before
        taken = {node.name for node in chosen(self.algorithm, graph, params)}
        return {
            node.name: self._verdict(graph, node, params, taken)
            for node in graph.nodes
            if node.weights
        }

    def _verdict(self, graph: Graph, node: Node, params: Params, taken: set[str]) -> Verdict:
        if node.name in taken:
            return Verdict(applies=True)
        if node.is_fixed:
            return Verdict(applies=False, reason=FORMULA, fix=verdicts.NOTHING_LEARNED)
        if node.op == "BatchNormalization":
            return Verdict(applies=False, reason="it has no kernel", fix=verdicts.FOLDED)
        if node.op not in ASKED:
            reason = (
                f"{self.algorithm.name} takes kernels of {' and '.join(ASKED)}; {node.op} is"
                " another"
            )
            return Verdict(applies=False, reason=reason, fix=verdicts.few(graph, node.op))
        reason = self.algorithm.fits(node, params)
        fix = (
            self.algorithm.instead(node, params)
            if reason
            else f"add {{name: {node.name}}} to layers, and take it out of skip"
        )
        return Verdict(applies=False, reason=reason or "layers and skip leave it out", fix=fix)

    def rewrites(self, graph: Graph, params: Params, before: Sequence[Step]) -> Graph:
        """Give the network afterwards; sizes that the weights decide are 0."""
        del before
        return replaced(
            graph,
            {
                node.name: self.algorithm.replace(node, params)
                for node in chosen(self.algorithm, graph, params)
            },
        )

    def promises(self, graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
        """State that the file has no more parameters and work than the network it should hold.

        What the algorithm promises itself is added.

        Where no layer is replaced those bounds would hold of any file: then they are stated only
        beside what the algorithm promises.
        """
        del steps
        name = self.algorithm.name
        if (
            not graph.nodes
        ):  # such a network is refused when the step runs: there is no bound it could hold
            return [Promise(technique=name, kind="parameters_at_most", value=0)]
        after = self.rewrites(graph, params, ())
        taken = [node.name for node in chosen(self.algorithm, graph, params)]
        own = self.algorithm.promises(graph, after, taken, params)
        if not own and after == graph:
            return []
        bound = (
            graph
            if any(0 in shape for node in after.nodes for shape in node.weights.values())
            else after
        )
        return [
            Promise(technique=name, kind="parameters_at_most", value=stored_parameters(bound)),
            Promise(technique=name, kind="macs_at_most", value=macs(bound)),
            *own,
        ]

    def outlasts(self, step: Step) -> bool:
        """Whether a later step leaves the values made here as they are.

        One that neither trains nor moves weights while rounding does.
        """
        kind = type(self.algorithm)
        values = kind.project is not Algorithm.project or kind.replace is Algorithm.replace
        trains = TECHNIQUES.get(step.technique).work is not None
        moves = trains or getattr(step.params, "rounding", "nearest") != "nearest"
        return (
            not (values and moves)
            or step.technique.partition("@")[0] in self.algorithm.lasts_through
        )

    def remarks(self, graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
        """Say what is saved, as far as that is known."""
        del steps
        after = self.rewrites(graph, params, ())
        if not graph.nodes or any(
            0 in shape for node in after.nodes for shape in node.weights.values()
        ):
            return []
        return [
            (
                f"parameters {graph.parameters:,} → {after.parameters:,}, multiplications"
                f" {macs(graph):,} → {macs(after):,}"
            )
        ]


def _order(name: str, earlier: str) -> str:
    return f"keep one {name} step" if earlier == name else f"put {name} before {earlier}"


def stored_parameters(graph: Graph) -> int:
    """Bound the parameters of the file.

    Those of the network, and a bias for every kernel that has none (the converter adds zeros).
    """
    without = [
        node
        for node in graph.nodes
        if node.op in _DENSE_OPS | {"DepthwiseConv2D"} and "bias" not in node.weights
    ]
    return graph.parameters + sum(node.shape[-1] for node in without)


def macs(graph: Graph) -> int:
    """Count multiply-accumulates of one inference.

    Convolutions (depthwise ones too) and Dense layers.
    """
    total = 0
    for node in graph.nodes:
        kernel = node.weights.get("kernel") or node.weights.get("depthwise_kernel")
        if kernel and node.op in _DENSE_OPS:
            total += math.prod(node.shape[:-1]) * math.prod(kernel)
        elif kernel:
            total += math.prod(node.shape) * math.prod(kernel[:2])
    return total
