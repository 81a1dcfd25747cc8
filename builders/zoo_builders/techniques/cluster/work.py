"""What `cluster` does to a Keras model: kernels that share values while it is fine-tuned."""

from typing import TYPE_CHECKING, Any

from zoo_builders.networks.graph import Graph
from zoo_builders.techniques.cluster import wrappers
from zoo_builders.techniques.cluster.selection import clustered_layers

if TYPE_CHECKING:
    from zoo_builders.techniques.cluster.params import Params
    from zoo_builders.training.context import Context


def apply(model: Any, params: "Params", context: "Context") -> Any:
    """Fold batch normalisation, let kernels share values, and fine-tune.

    The result must have the distinct values and the kept zeros that were asked for.

    Raises:
        ProofFailed: a kernel ended with more distinct values than clusters.
    """
    from zoo_builders.keras_models.weights import render_with, weights_of
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


def _folded(model: Any, params: "Params") -> tuple[Graph, dict[str, dict[str, Any]], Any]:
    from zoo_builders.keras_models.render import graph_of
    from zoo_builders.keras_models.weights import render_with, weights_of
    from zoo_builders.networks import fold

    graph = graph_of(model)
    weights = weights_of(model, graph)
    if not params.fold_batch_norm:
        return graph, weights, model
    graph, weights = fold.fold(graph, weights)
    return graph, weights, render_with(graph, weights)
