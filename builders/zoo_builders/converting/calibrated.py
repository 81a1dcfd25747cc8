"""A float model made ready to be quantized: weights rounded, ranges of activations measured."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_builders.converting import activation_ranges, rounding_layers, tensorflow_converter
from zoo_builders.converting.float_model import FloatModel, Report
from zoo_builders.techniques.quantize import engines
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import TfliteFile

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A float model, and the float file that it is quantized by way of.

    Attributes:
        file: with the range of every tensor where TensorFlow quantizes by them; as it is where
            nothing is quantized, or the LiteRT quantizer does it; None where TensorFlow's converter
            needs no file between.
    """

    model: FloatModel
    file: TfliteFile | None


def rounded(model: FloatModel, report: Report) -> FloatModel:
    """Give the model with its weights on the grid of eight bits, where that is asked for.

    Raises:
        Unsupported: it is no graph of layers.
    """
    if model.quantize is None or model.quantize.rounding != "compensated":
        return model
    keras = rounding_layers.rounded(model.keras, model.examples.calibration, report)
    return replace(model, keras=keras)


def calibrated(model: FloatModel, report: Report) -> Calibrated:
    """Make the float file that the next step starts from.

    Raises:
        BuildFailed: the converter refuses the model; the words are its own.
        MeasureFailed: the runtime cannot run the calibrated file.
    """
    quantize, inputs = model.quantize, model.examples.calibration
    if model.file is not None:
        return Calibrated(model, model.file)
    if quantize is None or engines.made_by(quantize) == "litert":
        return Calibrated(model, read(tensorflow_converter.to_tflite(model.keras)))
    if not (selective(quantize) or (quantize.dtype == "int8" and measured(model))):
        return Calibrated(model, None)
    file = read(tensorflow_converter.calibrate(model.keras, quantize, inputs))
    if quantize.percentile is not None:
        file = activation_ranges.narrow(file, inputs, quantize.percentile, report)
    return Calibrated(model, file)


def selective(quantize: "Quantize") -> bool:
    """Whether TensorFlow's converter must quantize what was calibrated, not convert at once."""
    return bool(quantize.keep_float) or quantize.percentile is not None


def measured(model: FloatModel) -> bool:
    """Whether there is an error to measure at each layer, and it is asked for.

    Activations must be quantized, with ranges from calibration.
    """
    quantize = model.quantize
    if quantize is None or not quantize.report or quantize.dtype not in {"int8", "int16x8"}:
        return False
    return model.keras is None or not model.trained_ranges
