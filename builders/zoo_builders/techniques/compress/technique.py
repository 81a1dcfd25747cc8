"""Compression algorithms as techniques.

Choosing layers, rewriting the network, fine-tuning under projection, checking, promising.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoo_builders.networks import layer_selection, verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.compress.algorithms import Algorithm, Arrays, Params
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context

ASKED = ("Conv2D", "Dense")
"""Layers an algorithm is asked about."""

_PROMISE = (
    "write promises(self, before, after, layers, params) in its class: see"
    " docs/guides/algorithm-author.md"
)

_DENSE_OPS = {"Dense", "Conv2D", "Conv2DTranspose"}


def technique_of(algorithm: Algorithm) -> Technique:
    """Make the technique that stands in recipes under the algorithm's name.

    Nothing is registered.
    """
    work = Compressor(algorithm)
    return Technique(
        algorithm.name,
        algorithm.params,
        work.apply,
        work.check,
        work.promises,
        algorithm.doc,
        work.remarks,
        modules=(type(algorithm).__module__,),
        layers=work.layers,
        rewrites=work.rewrites,
        outlasts=work.outlasts,
    )


@dataclass(frozen=True, slots=True)
class Compressor:
    """The hooks of `Technique` for one algorithm."""

    algorithm: Algorithm

    def chosen(self, graph: Graph, params: Params) -> tuple[Node, ...]:
        """List the layers that are compressed: that fit, are picked and are not skipped."""
        nodes = self._fitting(graph, params)
        picked, skipped = (
            layer_selection.chosen(params.layers, nodes),
            {name for rule in params.skip for name in rule.picks(nodes)},
        )
        return tuple(node for node in nodes if node.name in picked and node.name not in skipped)

    def _fitting(self, graph: Graph, params: Params) -> tuple[Node, ...]:
        return tuple(
            node for node in graph.nodes if _asked(node) and not self.algorithm.fits(node, params)
        )

    def check(self, graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
        """Refuse what would undo earlier steps, rules that pick nothing.

        And networks in which nothing fits or nothing is saved.
        """
        name, nodes = self.algorithm.name, self._fitting(graph, params)
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
        if not self.chosen(graph, params):
            why = "; ".join(
                f"{n.name}: {self.algorithm.fits(n, params) or 'left out'}"
                for n in graph.nodes
                if _asked(n)
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
        chosen = {node.name for node in self.chosen(graph, params)}
        return {
            node.name: self._verdict(graph, node, params, chosen)
            for node in graph.nodes
            if node.weights
        }

    def _verdict(self, graph: Graph, node: Node, params: Params, chosen: set[str]) -> Verdict:
        if node.name in chosen:
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
                for node in self.chosen(graph, params)
            },
        )

    def promises(self, graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
        """State that the file has no more parameters and work than the network it should hold.

        And what the algorithm adds.

        Where no layer is replaced those bounds would hold of any file: then they are stated only
            beside what the algorithm promises.
        """
        del steps
        name = self.algorithm.name
        if (
            not graph.nodes
        ):  # such a network is refused when the step runs: there is no bound it could hold
            return [Promise(technique=name, kind="parameters_at_most", value=0)]
        after, chosen = (
            self.rewrites(graph, params, ()),
            [node.name for node in self.chosen(graph, params)],
        )
        own = self.algorithm.promises(graph, after, chosen, params)
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
        trains = TECHNIQUES.get(step.technique).apply is not None
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

    def apply(self, model: Any, params: Params, context: Context) -> Any:
        """Rewrite the network, bake the weights, fine-tune under the projection, and insist on it.

        Raises:
            BuildFailed: the network cannot be described, the algorithm's layers do not fit
                together, or it left every weight as it was.
            ProofFailed: fine-tuned weights are not what the projection allows.
        """
        from zoo_builders.keras_models.render import graph_of
        from zoo_builders.keras_models.weights import render_with, weights_of
        from zoo_builders.training.fit import fine_tuning, fit

        graph = graph_of(model)
        weights = weights_of(model, graph)
        made = {
            node.name: self.algorithm.replace(node, params, weights[node.name])
            for node in self.chosen(graph, params)
        }
        baked = self._baked(graph, params, weights, made)
        changed = render_with(replaced(graph, made), {**weights, **baked})
        projected = [one for into in made.values() for one in into if one.weights]
        moved = {
            name
            for name, into in made.items()
            if into != (graph.node(name),)
            or not _equal(baked.get(name, weights[name]), weights[name])
        }
        project = partial(self._project, changed, projected, params, moved)
        project()
        train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
        history = (
            fit(changed, context, train, [_after_each_step(project)], note=self.algorithm.name)
            if params.epochs
            else []
        )
        self._insist(changed, projected, params)
        self._refuse_idle(moved, list(made))
        context.keep("history", {"epochs": history})
        context.keep(
            "layers", {name: {one.name: _shape(one) for one in into} for name, into in made.items()}
        )
        return changed

    def _baked(
        self,
        graph: Graph,
        params: Params,
        weights: Mapping[str, Arrays],
        made: Mapping[str, tuple[Node, ...]],
    ) -> dict[str, Arrays]:
        return {
            layer: arrays
            for name, into in made.items()
            for layer, arrays in self.algorithm.bake(
                graph.node(name), params, weights[name], into
            ).items()
        }

    def _projections(
        self, model: Any, nodes: Sequence[Node], params: Params
    ) -> Iterator[tuple[Any, Sequence[Any], Sequence[Any]]]:
        for node in nodes:
            layer = model.get_layer(node.name)
            now = dict(zip(node.weights, layer.get_weights(), strict=True))
            allowed = self.algorithm.project(node, params, now)
            yield layer, list(now.values()), [allowed[name] for name in now]

    def _project(self, model: Any, nodes: Sequence[Node], params: Params, moved: set[str]) -> None:
        for layer, now, allowed in self._projections(model, nodes, params):
            if not _same(now, allowed):
                layer.set_weights(allowed)
                moved.add(layer.name)

    def _refuse_idle(self, moved: set[str], layers: Sequence[str]) -> None:
        from zoo_registry.model.errors import BuildFailed

        if not moved:
            message = (
                f"{self.algorithm.name} changed no weight of {', '.join(layers)}: the file would be"
                " the one without it"
            )
            raise BuildFailed(
                message, hint="drop the step, or let replace, bake or project change something"
            )

    def _insist(self, model: Any, nodes: Sequence[Node], params: Params) -> None:
        from zoo_registry.model.errors import ProofFailed

        for layer, now, allowed in self._projections(model, nodes, params):
            if not _same(now, allowed):
                message = (
                    f"layer {layer.name}: {self.algorithm.name} would still change its weights"
                    " after projecting them"
                )
                raise ProofFailed(message, hint="make project(project(w)) equal project(w)")


def _order(name: str, earlier: str) -> str:
    return f"keep one {name} step" if earlier == name else f"put {name} before {earlier}"


def _asked(node: Node) -> bool:
    return node.op in ASKED and not node.is_fixed


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    import numpy as np

    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def _equal(left: Arrays, right: Arrays) -> bool:
    return left.keys() == right.keys() and _same(
        list(left.values()), [right[name] for name in left]
    )


def _after_each_step(project: Callable[[], None]) -> Any:
    from zoo_builders import tf

    class Projection(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Puts weights back to where the algorithm allows them; remembers nothing."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            project()

    return Projection()


def replaced(graph: Graph, made: Mapping[str, Sequence[Node]]) -> Graph:
    """Give the network with other layers in the place of some.

    Name → layers, of which the last keeps name and shape.

    Raises:
        BuildFailed: the last one does not.
    """
    from zoo_registry.model.errors import BuildFailed

    for name, into in made.items():
        if (into[-1].name, into[-1].shape) != (name, graph.node(name).shape):
            raise BuildFailed(
                f"in the place of {name}: the last layer is {into[-1].name} {into[-1].shape},"
                " expected name and shape as they were"
            )
    return Graph(
        graph.name, tuple(one for node in graph.nodes for one in made.get(node.name, (node,)))
    )


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


def _shape(node: Node) -> str:
    return "x".join(str(size or "?") for size in node.weights.get("kernel", ()))
