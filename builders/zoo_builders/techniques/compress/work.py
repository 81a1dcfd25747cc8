"""What an algorithm does to a Keras model.

Rewriting the network, baking weights, fine-tuning under projection, checking.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques.compress.algorithms import Algorithm, Arrays, Params
from zoo_builders.techniques.compress.selection import chosen, replaced
from zoo_registry.model.errors import BuildFailed, ProofFailed

if TYPE_CHECKING:
    from zoo_builders.training.context import Context


def apply(algorithm: Algorithm, model: Any, params: Params, context: "Context") -> Any:
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
        node.name: algorithm.replace(node, params, weights[node.name])
        for node in chosen(algorithm, graph, params)
    }
    baked = _baked(algorithm, graph, params, weights, made)
    changed = render_with(replaced(graph, made), {**weights, **baked})
    projected = [one for into in made.values() for one in into if one.weights]
    moved = {
        name
        for name, into in made.items()
        if into != (graph.node(name),) or not _equal(baked.get(name, weights[name]), weights[name])
    }
    project = partial(_project, algorithm, changed, projected, params, moved)
    project()
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    history = (
        fit(changed, context, train, [_after_each_step(project)], note=algorithm.name)
        if params.epochs
        else []
    )
    _insist(algorithm, changed, projected, params)
    _refuse_idle(algorithm, moved, list(made))
    context.keep("history", {"epochs": history})
    context.keep(
        "layers", {name: {one.name: _shape(one) for one in into} for name, into in made.items()}
    )
    return changed


def _baked(
    algorithm: Algorithm,
    graph: Graph,
    params: Params,
    weights: Mapping[str, Arrays],
    made: Mapping[str, tuple[Node, ...]],
) -> dict[str, Arrays]:
    return {
        layer: arrays
        for name, into in made.items()
        for layer, arrays in algorithm.bake(graph.node(name), params, weights[name], into).items()
    }


def _projections(
    algorithm: Algorithm, model: Any, nodes: Sequence[Node], params: Params
) -> Iterator[tuple[Any, Sequence[Any], Sequence[Any]]]:
    for node in nodes:
        layer = model.get_layer(node.name)
        now = dict(zip(node.weights, layer.get_weights(), strict=True))
        allowed = algorithm.project(node, params, now)
        yield layer, list(now.values()), [allowed[name] for name in now]


def _project(
    algorithm: Algorithm, model: Any, nodes: Sequence[Node], params: Params, moved: set[str]
) -> None:
    for layer, now, allowed in _projections(algorithm, model, nodes, params):
        if not _same(now, allowed):
            layer.set_weights(allowed)
            moved.add(layer.name)


def _refuse_idle(algorithm: Algorithm, moved: set[str], layers: Sequence[str]) -> None:
    if not moved:
        message = (
            f"{algorithm.name} changed no weight of {', '.join(layers)}: the file would be"
            " the one without it"
        )
        raise BuildFailed(
            message, hint="drop the step, or let replace, bake or project change something"
        )


def _insist(algorithm: Algorithm, model: Any, nodes: Sequence[Node], params: Params) -> None:
    for layer, now, allowed in _projections(algorithm, model, nodes, params):
        if not _same(now, allowed):
            message = (
                f"layer {layer.name}: {algorithm.name} would still change its weights"
                " after projecting them"
            )
            raise ProofFailed(message, hint="make project(project(w)) equal project(w)")


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


def _shape(node: Node) -> str:
    return "x".join(str(size or "?") for size in node.weights.get("kernel", ()))
