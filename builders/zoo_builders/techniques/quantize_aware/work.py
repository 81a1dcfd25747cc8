"""What `quantize_aware` does to a Keras model: fake quantization while it is fine-tuned."""

from typing import TYPE_CHECKING, Any

from zoo_builders.techniques.quantize_aware import configs, fake_quant, selection

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize_aware.params import Params
    from zoo_builders.training.context import Context

OBSERVED = 8
"""Batches from which the ranges of activations are measured before training starts."""


def apply(model: Any, params: "Params", context: "Context") -> Any:
    """Wrap the layers, measure ranges, fine-tune while zeros and shared values are held.

    The result keeps its wrappers.
    """
    from zoo_builders.keras_models.render import graph_of
    from zoo_builders.training.fit import fine_tuning, fit

    graph = graph_of(model)
    chosen = selection.quantized_layers(graph, params)
    kernels = {
        name: model.get_layer(name).kernel.numpy()
        for name in chosen
        if graph.node(name).op in selection.PRESERVABLE
    }
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    own = {
        name: configs.config_of(function, model.get_layer(name))
        for name, function in selection.own_configs(graph, params).items()
    }
    with configs.scope(rule.function for rule in params.configs):
        quantized = fake_quant.wrap(model, chosen, selection.output_configs(graph, chosen) | own)
    fake_quant.settle(quantized)
    batches = context.batches("train", batch_size=train.batch_size, shuffle=False)
    fake_quant.observe(quantized, (inputs for inputs, _ in batches.take(OBSERVED)))
    kept = {name: _hold(quantized, name, kernel, params) for name, kernel in kernels.items()}
    history = fit(quantized, context, train, note="quantize_aware")
    fake_quant.finish(quantized)
    context.keep("history", {"epochs": history})
    context.keep("preserved", {name: words for name, words in kept.items() if words})
    return quantized


def _hold(model: Any, name: str, kernel: Any, params: "Params") -> dict[str, Any]:
    """Hold what a kernel has of zeros and shared values; give what that is."""
    from zoo_builders.techniques.cluster.shared_values import groups_in

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
