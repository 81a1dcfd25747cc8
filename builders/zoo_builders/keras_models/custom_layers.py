"""Layers of a user's own classes.

The code that defines them travels beside the model, so that later stages can load it.

A stage's result with such a model holds, beside `model.keras`, `layers.json`: {"module": importable
name} for networks named `python:package.module:function`, or {"file": "layers.py"} with a copy of
the user's Python file. Loading the model runs that code, as building it did.
"""

import importlib
import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models import front_end_layers
from zoo_builders.networks import lookup
from zoo_registry.model.files import write_bytes

_ABOUT, _CODE = "layers.json", "layers.py"


def own(model: Any) -> tuple[str, ...]:
    """Name the layers whose class is neither Keras' nor ours."""
    ours = tuple(front_end_layers.classes().values())
    others = [layer for layer in model.layers if not isinstance(layer, ours)]
    return tuple(
        layer.name
        for layer in others
        if not type(layer).__module__.startswith(("tf_keras.", "keras."))
    )


def keep(model: Any, network: lookup.Network | None, out: Path) -> None:
    """Write down where the classes of `model`'s own layers come from.

    Nothing when it has none, or is no Python network.
    """
    if network is None or network.kind not in {"source", "module"} or not own(model):
        return
    if network.kind == "module":
        about = {"module": network.function.partition(":")[0]}
    else:
        about = {"file": _CODE}
        write_bytes(out / _CODE, network.file.read_bytes())
    write_bytes(out / _ABOUT, json.dumps(about).encode())


def carry(folder: Path, out: Path) -> None:
    """Hand the code on from the result a stage reads to its own."""
    for name in (_ABOUT, _CODE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)


def scope(path: Path) -> AbstractContextManager[Any]:
    """Know, inside the block, the layer classes kept beside the model at `path`."""
    about = path.parent / _ABOUT
    found = _defined(json.loads(about.read_bytes()), path.parent) if about.is_file() else {}
    layers = tf.keras.layers.Layer
    classes = {
        name: value
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, layers)
    }
    # Keras is Any
    return tf.keras.utils.custom_object_scope(classes)  # type: ignore[no-any-return]


def _defined(about: dict[str, str], folder: Path) -> dict[str, Any]:
    if "module" in about:
        return dict(vars(importlib.import_module(about["module"])))
    return lookup.definitions(folder / about["file"])
