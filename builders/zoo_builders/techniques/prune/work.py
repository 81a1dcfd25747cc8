"""What `prune` does to a Keras model: masks that grow while it is fine-tuned."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo_builders.networks.graph import FIXED, Graph, Node
from zoo_builders.techniques.prune import masks, selection
from zoo_builders.techniques.prune.masks import Target
from zoo_builders.techniques.prune.schedule import Window, timing

if TYPE_CHECKING:
    from zoo_builders.techniques.prune.params import Params
    from zoo_builders.training.context import Context
    from zoo_builders.training.settings import Train


def apply(model: Any, params: "Params", context: "Context") -> Any:
    """Wrap the chosen layers, fine-tune while zeros grow, strip, and insist on the zeros.

    Raises:
        ProofFailed: weights ended with fewer zeros than the masks should have left.
    """
    if params.start == "scratch":
        model = anew(model)
    chosen = selection.touched(read(model, params)[1], params)
    targets = {layer.node.name: layer.target for layer in chosen}
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


def _trained(
    model: Any, targets: Mapping[str, Target], params: "Params", context: "Context"
) -> Any:
    from zoo_builders import tf
    from zoo_builders.training.fit import fit

    train, window = _settings(params, context), window_of(params, context)
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


def window_of(params: "Params", context: "Context") -> Window:
    """Give the schedule in steps of this training."""
    size = _settings(params, context).batch_size
    return timing(params).window(len(context.batches("train", batch_size=size, shuffle=False)))


def _settings(params: "Params", context: "Context") -> "Train":
    from zoo_builders.training.fit import fine_tuning

    return fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)


def schedule_of(window: Window, params: "Params", target: Target) -> Any:
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


def read(model: Any, params: "Params") -> tuple[Graph | None, tuple[Node, ...]]:
    """Give the graph of a model, and the layers that may be pruned.

    Where nobody can describe it there is no graph, and the layers themselves say what they have.
    """
    from zoo_builders.keras_models.render import graph_of
    from zoo_registry.model.errors import Unsupported

    try:
        graph = graph_of(model)
    except Unsupported:
        return None, _nodes(model)
    return graph, selection.candidates(graph, params)


def _nodes(model: Any) -> tuple[Node, ...]:
    """Describe the layers of a model that have something to prune."""
    found = []
    for layer in model.layers:
        shapes = [
            tuple(variable.shape)
            for variable in masks.prunable(
                layer, bias=not hasattr(type(layer), "get_prunable_weights")
            )
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
