"""What a file is made of: a float model, what is asked of it, and the examples it is made with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.keras_models import fake_quant_models
from zoo_builders.keras_models.render import graph_of
from zoo_builders.keras_models.weights import weights_of
from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import FIXED
from zoo_builders.techniques.quantize import engines
from zoo_builders.techniques.quantize.engines import FRONT_END
from zoo_builders.tflite.tflite_file import TfliteFile
from zoo_registry.model.errors import Unsupported

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


Report = Callable[[int, int, str], None]
"""Told of progress: done, total, what is done."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What making a file needs of the data.

    Attributes:
        calibration: inputs that fix ranges, and on which finished files are tried, float32 [N, …].
        validation: inputs [M, …] and labels [M] of the split that decides which layers stay in
            float; None where nothing is searched.
        classes: names of the classes; empty where there are none.
        task: name of the task whose first metric decides.
        split: name of the split that the calibration inputs are from.
    """

    calibration: Array
    validation: tuple[Array, Array] | None = None
    classes: tuple[str, ...] = ()
    task: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A Keras model or a finished float file, and what shall become of it.

    Attributes:
        quantize: how it is quantized; None leaves it in float.
        keras: the Keras model; None where `file` is given.
        file: the float file.
        hears: whether a front end for recordings is part of the model, which stays in float.
        zeros: largest share of zeros in any learned kernel of the Keras model.
    """

    examples: Examples
    quantize: "Quantize | None"
    keras: Any = None
    file: TfliteFile | None = None
    hears: bool = False
    zeros: float = 0.0

    @property
    def trained_ranges(self) -> bool:
        """Whether the ranges of activations were learned, as fake quantization."""
        return fake_quant_models.is_wrapped(self.keras)

    @property
    def opens(self) -> bool:
        """Whether XNNPACK has a sparse path for it: its structure, float weights, zeros enough."""
        if self.quantize is not None and self.quantize.dtype != "float16":
            return False
        try:
            graph = graph_of(self.keras)
        except Unsupported:
            return False
        zeros = {
            name: float(np.mean(own["kernel"] == 0))
            for name, own in weights_of(self.keras, graph).items()
            if "kernel" in own
        }
        return not sparse_path.objections(graph) and sparse_path.enough(
            sparse_path.share_of_zeros(graph, zeros)
        )


def of_keras(model: Any, quantize: "Quantize | None", examples: Examples) -> FloatModel:
    """Take a Keras model.

    Its front end is left in float beside the layers that are named; with `keep_float: auto` the
    search does that.
    """
    learned = [layer for layer in model.layers if not layer.name.startswith(FIXED)]
    hears = len(learned) < len(model.layers) and not fake_quant_models.is_wrapped(model)
    if hears and quantize and quantize.dtype != "float16" and quantize.keep_float != "auto":
        quantize = quantize.model_copy(update={"keep_float": (*engines.kept(quantize), *FRONT_END)})
    return FloatModel(examples, quantize, keras=model, hears=hears, zeros=_most_zeros(learned))


def _most_zeros(learned: list[Any]) -> float:
    """Find the largest share of zeros in a kernel.

    Only learned layers count: most of a mel filter bank is zero by nature.
    """
    kernels = [weight for layer in learned for weight in layer.get_weights() if weight.ndim > 1]
    return max((float(np.mean(kernel == 0)) for kernel in kernels), default=0.0)
