"""A finished Keras model of the user becomes the base.

Whichever Keras saved it. What our graph describes becomes a tf_keras model with the same weights,
which every recipe takes; the rest is taken as a function, which recipes without training take. What
is made is held against the original.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_builders.keras_models import files, float32_copy, functions, wrapped_models
from zoo_builders.keras_models.functions import Function
from zoo_builders.keras_models.weights import render_with
from zoo_builders.networks.keras_config import Finished, finished, of_model
from zoo_registry.model.errors import BuildFailed

EXAMPLES = 8
"""Examples that what is made is held against the original on."""

TOLERANCE = 1e-4
"""Largest difference of an output, as a share of the range of the original's outputs.

Float32 arithmetic in another order stays below 1e-5 (measured on keras.applications' MobileNetV2).
"""

HALF_TOLERANCE = 5e-2
"""The same where the original computes with 8 to 11 bits (float16, bfloat16)."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A finished model as we go on with it.

    Attributes:
        model: a tf_keras model, or a `Function`.
        original: gives the original's outputs for a batch of inputs; None where `model` is it.
        tolerance: how far its outputs may be from the original's.
    """

    model: Any
    original: Callable[[Array], Array] | None = None
    tolerance: float = TOLERANCE

    def hold(self, inputs: Array) -> float | None:
        """Hold what was made against the original; give the largest difference found.

        It is a share of the range of the original's outputs; None where there is nothing to hold,
        or where the original gives what is no number (see `finite_weights`).

        Raises:
            BuildFailed: it differs by more than the tolerance.
        """
        if self.original is None:
            return None
        theirs = self.original(inputs)
        if not np.isfinite(theirs).all():
            return None
        found = self.model.predict(inputs, **_quiet(self.model))
        span = max(float(np.ptp(theirs)), 1e-6)
        off = float(np.max(np.abs(theirs - found))) / span
        if not off <= self.tolerance:
            raise BuildFailed(
                f"outputs of the model differ from the original's by {off:.2%} of their range;"
                f" expected at most {self.tolerance:.2%}",
                hint="give model.export('FOLDER') of it, which is taken as a function",
            )
        return off


def _quiet(model: Any) -> dict[str, int]:
    return {} if isinstance(model, Function) else {"verbose": 0}


def load_finished(path: Path) -> Loaded:
    """Load the user's file or folder.

    Raises:
        Unsupported: nothing can be made of it (`keras_config.finished`).
        BuildFailed: it cannot be loaded.
    """
    about = finished(path)
    if about.keras == 0:
        return Loaded(functions.of_folder(path, about.signature))
    if about.keras == 3:  # noqa: PLR2004
        return _of_keras3(_load_keras3(path), about)
    if about.wrapped and about.graph is not None:
        return Loaded(wrapped_models.stripped(path, about.graph))
    if not about.policy:
        return Loaded(files.load(path))
    original = files.load(path)
    if about.graph is None:
        return Loaded(float32_copy.converted(original), _predict(original), HALF_TOLERANCE)
    return _rendered(original, about)


def of_keras3_model(model: Any) -> Loaded:
    """Take a Keras 3 model that the user's code made, to be trained.

    Raises:
        Unsupported: it has several inputs or outputs.
        BuildFailed: it is no graph of layers that are known, and so cannot be trained here.
    """
    about = of_model(type(model).__name__, _config(model))
    if about.graph is None:
        why = about.why.message if about.why else "its layers are not known"
        raise BuildFailed(
            f"a Keras 3 model that is built here must be of layers that the zoo knows: {why}",
            hint=(
                "build it with tf_keras; or train it yourself, model.save('NAME.keras'), and give"
                " network: ./NAME.keras, which quantize recipes take"
            ),
        )
    return _of_keras3(model, about)


def _config(model: Any) -> Mapping[str, Any]:
    try:
        return dict(model.get_config())
    except NotImplementedError:  # a subclassed model without one
        return {}


def _of_keras3(model: Any, about: Finished) -> Loaded:
    if about.graph is not None:
        return _rendered(model, about)
    original = _predict(model)
    if not about.policy:
        return Loaded(functions.of_keras3(model), original)
    return Loaded(functions.of_keras3(float32_copy.converted(model)), original, HALF_TOLERANCE)


def _rendered(original: Any, about: Finished) -> Loaded:
    """Build the graph anew with the original's weights."""
    assert about.graph is not None and about.paths is not None  # noqa: S101, PT018  # callers asked
    arrays: dict[str, Mapping[str, Any]] = {}
    for node in about.graph.nodes:
        if node.weights:
            layer = original
            for name in about.paths[node.name]:
                layer = layer.get_layer(name)
            found = [np.asarray(array, np.float32) for array in layer.get_weights()]
            arrays[node.name] = dict(zip(node.weights, found, strict=True))
    model = render_with(about.graph, arrays)
    return Loaded(model, _predict(original), HALF_TOLERANCE if about.policy else TOLERANCE)


def _predict(model: Any) -> Callable[[Array], Array]:
    return lambda inputs: np.asarray(model.predict(inputs, verbose=0), np.float32)


def _load_keras3(path: Path) -> Any:
    """Load by Keras 3 itself; code in the file is not run.

    Raises:
        BuildFailed: with its own words.
    """
    try:
        return tf.keras3.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise BuildFailed(
            f"{path.name} cannot be loaded by Keras {tf.keras3.__version__}: {error}",
            hint="save it anew: model.save('NAME.keras')",
        ) from error
