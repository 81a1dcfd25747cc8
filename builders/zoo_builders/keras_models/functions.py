"""Models of which nothing is known but the function: one float32 example in, one tensor out.

So come SavedModels, and Keras 3 models with layers that our graph has no description for. They are
kept as `function.zip`, a SavedModel folder with a batch of one, and can be converted, not trained.
"""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_registry.model.errors import BuildFailed

FILE = "function.zip"

_SAME = (1980, 1, 1, 0, 0, 0)
"""The time of every member of the archive, so that equal functions give equal bytes."""


@dataclass(frozen=True, slots=True)
class Function:
    """A model as a function; like a Keras model where it is converted.

    Attributes:
        name: as messages call it.
        call: takes float32 [1, …], gives a tensor [1, …].
        input_shape: with the batch of one.
        output_shape: with the batch of one.
        variables: what it reads.
        owner: keeps its tables and files alive.
        layers: none that anybody knows.
    """

    name: str
    call: Callable[[Any], Any]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    variables: tuple[Any, ...]
    owner: Any
    layers: tuple[Any, ...] = ()

    def __call__(self, inputs: Any, *, training: bool = False) -> Any:
        """Give the outputs for a batch of examples."""
        del training
        if inputs.shape[0] == 1:
            return self.call(inputs)
        return tf.tensorflow.concat([self.call(row[None]) for row in inputs], 0)

    def predict(self, inputs: Array) -> Array:
        """Give the outputs [N, …] for inputs [N, …], one example a time."""
        one = [self.call(tf.tensorflow.constant(row[None])).numpy() for row in inputs]
        return np.concatenate(one)

    def count_params(self) -> int:
        """Count the numbers in its variables."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables)

    def save(self, path: Path) -> None:
        """Write it as an archive of a SavedModel folder."""
        tensorflow = tf.tensorflow
        module = tensorflow.Module()
        module.owner, module.of_the_model = self.owner, list(self.variables)
        signature = [tensorflow.TensorSpec(self.input_shape, tensorflow.float32, name="input")]
        module.call = tensorflow.function(
            lambda image: {"output": self.call(image)}, input_signature=signature
        )
        with tempfile.TemporaryDirectory() as folder:
            tensorflow.saved_model.save(module, folder, signatures=module.call)
            _pack(Path(folder), path)


def _pack(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name, _SAME), file.read_bytes())


def load(path: Path) -> Function:
    """Read back what `Function.save` wrote."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        return of_folder(Path(folder))


def of_keras3(model: Any) -> Function:
    """Take a Keras 3 model of one input and one output.

    Raises:
        BuildFailed: its input has an open size, or it gives something else than one tensor.
    """
    inputs: Sequence[Any] = getattr(model, "inputs", None) or ()
    if len(inputs) != 1:
        raise BuildFailed(
            f"{model.name} has {len(inputs) or 'no known'} inputs; expected one",
            hint="build it with the functional API: keras.Model(inputs, outputs)",
        )
    shape = tuple(inputs[0].shape)
    variables = tuple(variable.value for variable in model.variables)
    return _function(
        model.name, lambda image: model(image, training=False), shape, variables, variables
    )


def of_folder(folder: Path, signature: str = "serving_default") -> Function:
    """Take a SavedModel's function.

    Raises:
        BuildFailed: TensorFlow cannot load it, or it has no such function of one tensor.
    """
    try:
        loaded = tf.tensorflow.saved_model.load(str(folder))
        taken = loaded.signatures[signature]
    except (OSError, ValueError, KeyError, AttributeError, tf.tensorflow.errors.OpError) as error:
        raise BuildFailed(
            f"{folder.name} cannot be loaded as a SavedModel: {error}",
            hint="write it anew: model.export('FOLDER')",
        ) from error
    ((name, port),) = taken.structured_input_signature[1].items()

    def call(image: Any) -> Any:
        return next(iter(taken(**{name: image}).values()))

    return _function(folder.name, call, tuple(port.shape), tuple(taken.variables), loaded)


def _function(
    name: str,
    call: Callable[[Any], Any],
    shape: tuple[int | None, ...],
    variables: tuple[Any, ...],
    owner: Any,
) -> Function:
    """Fix the batch of one, and see what comes out."""
    tensorflow = tf.tensorflow
    fixed = (1, *(size for size in shape[1:] if size is not None))
    if len(fixed) < len(shape):
        raise BuildFailed(
            f"{name} takes inputs of shape {list(shape)}: only the batch may be open",
            hint="save the model with a fixed input size",
        )
    signature = [tensorflow.TensorSpec(fixed, tensorflow.float32, name="input")]
    concrete = tensorflow.function(call, input_signature=signature)
    given = concrete.get_concrete_function().structured_outputs
    if not hasattr(given, "shape"):
        raise BuildFailed(
            f"{name} gives {type(given).__name__} of tensors; expected one tensor",
            hint="save a model with one output",
        )
    made = tuple(1 if size is None else int(size) for size in given.shape)
    return Function(name, concrete, fixed, made, variables, owner)
