"""The one door to TensorFlow.

`tf.tensorflow`, `tf.keras` (the legacy Keras 2 that TFMOT accepts), `tf.keras3` (today's, for the
models that it saved), `tf.tfmot`, and a few inner modules.

Importing this module costs nothing; the first use of one of these imports it, after the environment
variables that decide which Keras TensorFlow loads. Nothing else in the project imports TensorFlow,
so nothing can import it too early.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo_registry.model.errors import MissingExtra

_MODULES = {
    "tensorflow": "tensorflow",
    "keras": "tf_keras",
    "keras3": "keras",  # loads what it saved itself; the rest of a build is legacy Keras
    "tfmot": "tensorflow_model_optimization",
    "converter": (
        "tensorflow.lite.python.convert"
    ),  # the converter's own error class is public nowhere else
    "calibrator": (
        "tensorflow.lite.python.optimize.calibrator"
    ),  # what feeds the converter's calibration; it forgets no state by itself
    "clustering": (
        "tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster"
    ),  # the only way to preserve_sparsity
    "quantize_configs": (
        "tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_configs"
    ),
    "quantize_registry": (
        "tensorflow_model_optimization.python.core.quantization.keras.default_8bit.default_8bit_quantize_registry"
    ),
    "pruning": (
        "tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper"
    ),  # the wrapper itself: public is only its maker
}
_ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # TFMOT accepts tf_keras objects only
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": (
        "-1"
    ),  # a GPU gives other bits than the processor; builds say what they promise
}

THREADS = 2
"""Threads inside one operation.

They are part of what decides the bits of trained weights: a constant, not a setting.
"""


def __getattr__(name: str) -> Any:
    """Import TensorFlow, Keras or TFMOT when it is first asked for.

    Raises:
        MissingExtra: it is not installed.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name != "tensorflow" and "tensorflow" not in globals():
        __getattr__("tensorflow")  # its threads must be set before Keras touches it
    globals()[name] = module = _import(_MODULES[name])
    return module


def _import(name: str) -> Any:
    os.environ.update(_ENVIRONMENT)
    try:
        with warnings.catch_warnings(), _without_keras_3(name):
            warnings.simplefilter(
                "ignore"
            )  # deprecations inside TensorFlow and TFMOT: theirs to mend
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{name} is not installed", hint="pip install 'edgezoo[build]'"
        ) from error
    if name == "tensorflow":
        module.get_logger().setLevel("ERROR")
        module.config.threading.set_intra_op_parallelism_threads(THREADS)
        module.config.threading.set_inter_op_parallelism_threads(THREADS)
    return module


@contextmanager
def _without_keras_3(name: str) -> Iterator[None]:
    """Hide Keras 3 while TFMOT is imported.

    TFMOT asks `keras` for a module that only Keras 2 had, and goes on without it. Keras 3, and
    scikit-learn and SciPy with it, would be loaded for nothing: a quarter of a stage's start.
    """
    hides = name.startswith(_MODULES["tfmot"]) and "keras" not in sys.modules
    if hides:
        sys.modules["keras"] = None  # type: ignore[assignment]  # how Python spells "cannot be imported"
    try:
        yield
    finally:
        if hides:
            del sys.modules["keras"]


def deterministic(seed: int) -> None:
    """Seed every generator, start layer names anew and ask for deterministic kernels.

    May be called again in the same process.

    Equal seeds, TensorFlow build and processor family then give equal weights, bit for bit:
        measured with `THREADS` threads, with which an
    epoch takes as long as without any of this.
    """
    tensorflow, keras = __getattr__("tensorflow"), __getattr__("keras")
    keras.utils.set_random_seed(seed)
    keras.backend.reset_uids()
    # dropout then draws from variables, which a checkpoint can hold
    keras.backend.experimental.enable_tf_random_generator()
    tensorflow.config.experimental.enable_op_determinism()
