"""Models that carry fake quantization (TFMOT's `QuantizeWrapperV2`, `QuantizeLayer`).

Telling them, saving them, loading them.

They are saved as HDF5, whatever the file is called: the zip format cannot read back what it wrote
of them (it stores a wrapped layer's kernel once more under the wrapper, and its input quantizer's
variables under names that do not exist when they are loaded).
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from zoo_builders import tf

_MARK = "QuantizeWrapper"


def is_wrapped(model: Any) -> bool:
    """Whether a Keras model carries fake quantization."""
    return any(is_wrapper(layer) for layer in model.layers)


def is_wrapper(layer: Any) -> bool:
    """Whether a layer is another one with fake quantization around it."""
    return type(layer).__name__.startswith(_MARK)


def save(model: Any, path: Path) -> None:
    """Write a wrapped model, without optimizer state."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="You are saving your model as an HDF5 file"
        )  # see the module's docstring
        model.save(path, save_format="h5", include_optimizer=False)


def scope(path: Path) -> AbstractContextManager[Any]:
    """Give the context in which the Keras model at `path` can be loaded.

    TFMOT's classes where it needs them, nothing otherwise.
    """
    return tf.tfmot.quantization.keras.quantize_scope() if _holds_wrappers(path) else nullcontext()


def _holds_wrappers(path: Path) -> bool:
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return _MARK in str(file.attrs.get("model_config", ""))
