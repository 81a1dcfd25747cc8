"""Recurrent layers without loops: each step becomes layers of its own.

A loop of a Keras layer becomes a loop in the file, and no tool can measure ranges inside one.
Unrolled, a network computes the same numbers with the same weights; its file grows with the steps.
"""

from collections.abc import Mapping
from typing import Any

from zoo_builders import tf
from zoo_registry.model.errors import Unsupported


def unrolled(model: Any) -> Any:
    """Give a model of the same layers and weights, with every recurrent layer unrolled.

    Raises:
        Unsupported: Keras cannot make such a model: it is no graph of layers, or the number of
            steps is not fixed.
    """
    try:
        made = tf.keras.models.clone_model(model, clone_function=_layer)
        made.set_weights(model.get_weights())
    except (ValueError, TypeError, NotImplementedError) as error:
        raise Unsupported(
            f"the recurrent layers of {model.name} cannot be unrolled: {error}",
            hint="write dtype: float16 or dynamic, or give the Input a fixed number of steps",
        ) from error
    return made


def _layer(layer: Any) -> Any:
    return layer.__class__.from_config(_unroll(layer.get_config()))


def _unroll(config: Any) -> Any:
    """Switch `unroll` on, wherever it stands: a wrapper's configuration holds its layer's."""
    if not isinstance(config, Mapping):
        return config
    return {
        key: True if key == "unroll" and isinstance(value, bool) else _unroll(value)
        for key, value in config.items()
    }
