"""Keras models as files: load, set weights, save."""

from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models import custom_layers, fake_quant_models, front_end_layers
from zoo_registry.model.errors import UnfitFile


def load(path: Path) -> Any:
    """Load a whole model from `.keras`, `.h5` or a SavedModel folder.

    Its training configuration is left out.

    Raises:
        UnfitFile: it cannot be read as one, or needs code we do not run (Lambda layers).
    """
    front_end_layers.classes()
    try:
        with fake_quant_models.scope(path), custom_layers.scope(path):
            return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnfitFile(
            f"{path.name} cannot be loaded as a Keras model: {error}",
            hint="save it with tf_keras: model.save('NAME.keras')",
        ) from error


def load_weights(model: Any, path: Path) -> None:
    """Set `model`'s weights from a whole model or a weights file.

    Its layers must match in order and shape.

    Raises:
        UnfitFile: they do not match.
    """
    try:
        if path.name.endswith(".weights.h5"):
            model.load_weights(path)
        else:
            model.set_weights(load(path).get_weights())
    except (OSError, ValueError) as error:
        raise UnfitFile(
            f"the weights in {path.name} do not fit the network: {error}",
            hint="zoo plan MANIFEST   # names the network that is meant",
        ) from error


def save(model: Any, path: Path) -> None:
    """Write a model without optimizer state.

    It becomes a `.keras` archive, or HDF5 if it carries fake quantization.
    """
    if fake_quant_models.is_wrapped(model):
        fake_quant_models.save(model, path)
        return
    clean = tf.keras.models.clone_model(model)
    clean.set_weights(model.get_weights())
    clean.save(path)
