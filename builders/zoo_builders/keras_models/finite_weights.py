"""Weights and outputs of a Keras model that are not numbers, found before anything is trained."""

from collections.abc import Iterator
from typing import Any

from zoo_builders import finite, tf
from zoo_registry.model.errors import BuildFailed


def problem(model: Any) -> str:
    """Name the first weight that is NaN or infinite, by layer and place; empty where none is."""
    for told, weight in _weights(model):
        values = weight.numpy()
        place = finite.first(values)
        if place is not None:
            return (
                f"{told}{_called(weight)} holds {values[place]} at {list(place)}"
                f" ({finite.count(values)} of its {values.size} values are no numbers)"
            )
    return ""


def _weights(model: Any) -> Iterator[tuple[str, Any]]:
    """Give every weight with its layer; those of a model that is a function have none."""
    for layer in model.layers:
        yield from ((f"layer {layer.name!r}: ", weight) for weight in layer.weights)
    if not model.layers:
        yield from (("", variable) for variable in model.variables)


def refuse(model: Any, where: str, hint: str) -> None:
    """Insist that all weights are numbers; `where` begins the message.

    Raises:
        BuildFailed: one is NaN or infinite.
    """
    if found := problem(model):
        raise BuildFailed(f"{where}: {found}", hint=hint)


def refuse_outputs(model: Any, inputs: Any) -> None:
    """Insist that a model with sound weights gives numbers for a few inputs.

    Raises:
        BuildFailed: it does not; the first layer whose outputs are no numbers is named.
    """
    if _sound(model(inputs, training=False)):
        return
    raise BuildFailed(
        "the network's outputs are not numbers before anything is trained"
        f"{_first_layer(model, inputs)}",
        hint="look there for a logarithm, a root or a division of zero, or for inputs too large",
    )


def _first_layer(model: Any, inputs: Any) -> str:
    """Name the first layer with such outputs, where the model can be cut there."""
    for layer in model.layers:
        try:
            part = tf.keras.Model(model.inputs, layer.output)
        except (AttributeError, ValueError):
            continue
        if not _sound(part(inputs, training=False)):
            return f": the first such layer is {layer.name!r} ({type(layer).__name__})"
    return ""


def _sound(outputs: Any) -> bool:
    return all(finite.first(value.numpy()) is None for value in tf.tensorflow.nest.flatten(outputs))


def _called(weight: Any) -> str:
    return str(getattr(weight, "path", None) or getattr(weight, "name", "")).removesuffix(":0")
