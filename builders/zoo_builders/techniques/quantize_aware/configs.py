"""Quantize configs of the user, `python:package.module:function`.

This module knows where their code is, what it gives for a layer and how it is loaded again.

Such a function takes a Keras layer and gives a `tfmot.quantization.keras.QuantizeConfig`. A model
that was trained with one is loaded with the config and quantizer classes of that module known.
"""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.networks import lookup, own_imports
from zoo_registry.model.errors import BuildFailed, WrongUse


def digest(function: str) -> str:
    """Hash the file that `python:package.module:function` lies in, without running it.

    What it imports from its project counts. Empty where there is no such file.
    """
    try:
        file = _located(function).file
        return str(own_imports.digest(file, file.parent, Path.read_bytes, Path.exists))
    except (WrongUse, OSError):
        return ""


def _located(function: str) -> lookup.Network:
    return lookup.locate(function, Path(), None, lambda _: False)


def config_of(function: str, layer: Any) -> Any:
    """Call the function with a layer.

    Raises:
        WrongUse: it cannot be imported.
        BuildFailed: it raised, or gave no `QuantizeConfig`.
    """
    call = lookup.function_of(_located(function))
    try:
        config = call(layer)
    except Exception as error:
        raise BuildFailed(
            f"{function} raised {type(error).__name__} for layer {layer.name}: {error}",
            hint="see the stage's log",
        ) from error
    if not isinstance(config, tf.tfmot.quantization.keras.QuantizeConfig):
        raise BuildFailed(
            f"{function} gave a {type(config).__name__} for layer {layer.name}; expected a tfmot"
            " QuantizeConfig",
            hint=(
                "return an instance of a class that extends tfmot.quantization.keras.QuantizeConfig"
            ),
        )
    return config


def scope(functions: Iterable[str]) -> AbstractContextManager[None]:
    """Know, inside the block.

    The classes of quantize configs and quantizers in the modules of these functions.
    """
    return _scope(list(dict.fromkeys(functions)))


@contextmanager
def _scope(functions: list[str]) -> Iterator[None]:
    if not functions:
        yield
        return
    kinds = tf.tfmot.quantization.keras
    bases = (kinds.QuantizeConfig, kinds.quantizers.Quantizer)
    defined = {
        name: value
        for function in functions
        for name, value in vars(importlib.import_module(_module(function))).items()
    }
    classes = {
        name: value
        for name, value in defined.items()
        if isinstance(value, type) and issubclass(value, bases)
    }
    with tf.keras.utils.custom_object_scope(classes):
        yield


def _module(function: str) -> str:
    return _located(function).function.partition(":")[0]
