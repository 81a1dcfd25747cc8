"""A model that computes with half precision, or double, as the same model in float32 arithmetic."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo_builders.networks.keras_flat import policy_of

_FLOATS = ("float", "mixed_", "bfloat")


def converted(model: Any) -> Any:
    """Give a functional or sequential model of either Keras anew, with float32 everywhere.

    Its weights are rounded to float32.
    """
    copy = type(model).from_config(_in_float32(model.get_config()))
    copy.set_weights([_single(array) for array in model.get_weights()])
    return copy


def _single(array: Any) -> Any:
    plain = np.asarray(array)
    return plain if plain.dtype.kind in "iub" else plain.astype(np.float32)


def _in_float32(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {
            name: "float32"
            if name == "dtype" and value and policy_of(value).startswith(_FLOATS)
            else _in_float32(value)
            for name, value in config.items()
        }
    return (
        type(config)(_in_float32(item) for item in config)
        if isinstance(config, list | tuple)
        else config
    )
