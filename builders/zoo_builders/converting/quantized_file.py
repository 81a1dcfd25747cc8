"""A calibrated model becomes a quantized file, and it is measured what that does to each layer.

Keras model, no quantization       TensorFlow's converter, at once
Keras model, engine tensorflow     at once; by way of a calibrated file where layers stay in float
                                   or ranges are narrowed (`tensorflow_converter`)
Keras model, engine litert         float file first, then litert-quantizer
float .tflite file                 litert-quantizer, or the file itself
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_builders.converting import (
    float_search,
    layer_errors,
    litert_quantizer,
    operator_settings,
    tensorflow_converter,
)
from zoo_builders.converting.calibrated import Calibrated, measured, selective
from zoo_builders.converting.float_model import Examples, FloatModel, Report
from zoo_builders.tasks import TASKS
from zoo_builders.techniques.quantize import engines
from zoo_builders.techniques.quantize.engines import FRONT_END
from zoo_builders.tflite import attachments
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.operator_names import any_of
from zoo_builders.tflite.tflite_file import TfliteFile
from zoo_registry.model.errors import BuildFailed, MeasureFailed
from zoo_registry.model.record import LayerError, Quantization

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


@dataclass(frozen=True, slots=True)
class Quantized:
    """A finished file with every weight stored.

    Attributes:
        about: how it was quantized, and what that does to each layer; None of a float file.
    """

    model: FloatModel
    file: TfliteFile
    about: Quantization | None = None

    @property
    def why_dense(self) -> str:
        """Why there can be no file like it with the zeros left out; empty where there can."""
        if self.about is not None and self.about.engine == "litert":
            return "the litert engine stores no weights sparse"
        return "" if self.model.file is None else "the file is kept as it came"


def quantized(start: Calibrated, report: Report) -> Quantized:
    """Make the file, by the engine that the recipe asks for.

    Raises:
        BuildFailed: the converter or the quantizer refuses it, a word of `keep_float` means
            nothing, or no choice of layers suffices.
        MeasureFailed: a file made on the way does not run.
    """
    quantize, file = start.model.quantize, start.file
    if file is None:
        return _at_once(start, report)
    if quantize is None:
        return Quantized(start.model, file)
    if engines.made_by(quantize) == "litert":
        return _by_litert(start.model, quantize, file, report)
    return (
        _selective(start, quantize, file, report)
        if selective(quantize)
        else _at_once(start, report)
    )


def without_zeros(dense: Quantized) -> TfliteFile:
    """Make the same file with the zeros left out of its weights, tensor by tensor.

    This is for a file for which `why_dense` is empty.

    Raises:
        BuildFailed: the converter refuses; the words are its own.
    """
    model = dense.model
    if model.quantize is not None and selective(model.quantize):
        return read(tensorflow_converter.sparsify(dense.file.data))
    inputs = model.examples.calibration
    return read(tensorflow_converter.to_tflite(model.keras, model.quantize, inputs, sparse=True))


def _by_litert(
    model: FloatModel, quantize: "Quantize", file: TfliteFile, report: Report
) -> Quantized:
    plain, inputs = litert_quantizer.normal(file), model.examples.calibration
    made = litert_quantizer.quantize(plain, quantize, inputs, report)
    if model.file is not None:
        made = read(attachments.carried(model.file, made))
    errors = _differences(plain, made, inputs, report) if measured(model) else ()
    version = litert_quantizer.version()
    return Quantized(model, made, _about("litert", version, errors, model.examples, mode="network"))


def _at_once(start: Calibrated, report: Report) -> Quantized:
    model, version = start.model, tf.tensorflow.__version__
    inputs = model.examples.calibration
    made = read(tensorflow_converter.to_tflite(model.keras, model.quantize, inputs))
    if not measured(model):
        return Quantized(model, made, _about("tensorflow", version, (), model.examples))
    errors = _own_errors(start, (), report)
    if errors:
        return Quantized(model, made, _about("tensorflow", version, errors, model.examples))
    plain = read(tensorflow_converter.to_tflite(model.keras))
    errors = _differences(plain, made, inputs, report)
    return Quantized(
        model, made, _about("tensorflow", version, errors, model.examples, mode="network")
    )


def _selective(
    start: Calibrated, quantize: "Quantize", file: TfliteFile, report: Report
) -> Quantized:
    """Quantize what was calibrated, and leave in float the layers named, or few of the worst."""
    model, auto = start.model, quantize.keep_float == "auto"
    fixed = _named(file, FRONT_END) if model.hears else ()
    errors = _own_errors(start, fixed, report) if auto or quantize.report else ()
    if auto:
        quality = _Quality(file, model.examples)
        choice = _searched(quality, file, fixed, quantize, errors, report)
    else:
        choice = float_search.Choice(_named(file, engines.kept(quantize)), ())
    kept = {*fixed, *choice.kept}
    marked = [error.model_copy(update={"kept_float": error.tensor in kept}) for error in errors]
    about = _about("tensorflow", tf.tensorflow.__version__, marked, model.examples)
    search = {"search": choice.trials, "metric": quality.metric} if auto else {}
    made = _keeping(file, quantize, kept)
    return Quantized(model, made, about.model_copy(update=search))


def _about(
    engine: Literal["tensorflow", "litert"],
    version: str,
    errors: Sequence[LayerError],
    examples: Examples,
    *,
    mode: Literal["layer", "network"] = "layer",
) -> Quantization:
    return Quantization(
        engine=engine,
        engine_version=version,
        split=examples.split if errors else "",
        examples=min(layer_errors.EXAMPLES, len(examples.calibration)) if errors else 0,
        mode=mode,
        layers=tuple(errors),
    )


def _differences(
    plain: TfliteFile, made: TfliteFile, inputs: Array, report: Report
) -> tuple[LayerError, ...]:
    return layer_errors.of_network(plain, made, inputs[: layer_errors.EXAMPLES], report)


def _own_errors(start: Calibrated, fixed: Sequence[str], report: Report) -> tuple[LayerError, ...]:
    """Measure each operator but the `fixed` by itself.

    The result is empty where nothing was calibrated, or the converter's debug file does not run.
    """
    quantize, file = start.model.quantize, start.file
    if quantize is None or file is None:
        return ()
    inputs = start.model.examples.calibration[: layer_errors.EXAMPLES]
    try:
        debug = tensorflow_converter.quantize_calibrated(
            file.data, quantize, keep=fixed, debug=True
        )
        return layer_errors.of_layers(file, read(debug), inputs, report)
    except (BuildFailed, MeasureFailed):
        return ()


def _keeping(file: TfliteFile, quantize: "Quantize", kept: Collection[str]) -> TfliteFile:
    keep = layer_errors.with_followers(file, kept)
    return read(tensorflow_converter.quantize_calibrated(file.data, quantize, keep=keep))


def _named(file: TfliteFile, words: Sequence[str]) -> tuple[str, ...]:
    """Give what the operators are called that the words mean."""
    found = layer_errors.operators(file)
    operator_settings.unknown(words, [(one.code, one.known_as) for one in found])
    return tuple(one.output for one in found if any_of(words, one.code, one.known_as))


def _searched(
    quality: "_Quality",
    file: TfliteFile,
    fixed: Sequence[str],
    quantize: "Quantize",
    errors: Sequence[LayerError],
    report: Report,
) -> float_search.Choice:
    """Find as few layers as help; the `fixed` stay in float whatever is found."""
    if not errors:
        raise BuildFailed(
            "keep_float: auto: the converter's debug file does not run, so no layer can be blamed",
            hint="name the layers",
        )
    worst = float_search.worst_first([error for error in errors if error.tensor not in fixed])
    tried = count(1)

    def cost(kept: frozenset[str]) -> float:
        number = next(tried)
        report(number, number, f"{len(kept)} layers in float")
        return quality.drop(_keeping(file, quantize, {*fixed, *kept}))

    limits = float_search.Limits(*engines.limits(quantize))
    return float_search.choose(worst, cost, limits, metric=quality.metric)


class _Quality:
    """The task's first metric on the validation split.

    For a task without metrics, it is the agreement with the float file.

    Raises:
        BuildFailed: there are no examples, or the task can tell no right from wrong.
    """

    def __init__(self, float_file: TfliteFile, examples: Examples) -> None:
        self._task, self._classes = TASKS.get(examples.task), examples.classes
        if examples.validation is None or not len(examples.validation[0]):
            raise BuildFailed(
                "keep_float: auto: the validation split is empty",
                hint="zoo plan shows how the splits are cut",
            )
        self._inputs, self._labels = examples.validation
        self._reference = Session(float_file.data).infer(self._inputs)
        scored = bool(self._task.metrics) and bool(self._classes)
        self.metric = self._task.metrics[0] if scored else "agreement with float32"
        self._best = self._of(self._reference)

    def drop(self, file: TfliteFile) -> float:
        """How far the metric falls below the float file's; negative where it rises."""
        return self._best - self._of(Session(file.data).infer(self._inputs))

    def _of(self, outputs: Array) -> float:
        if self.metric in self._task.metrics:
            return self._task.score(outputs, self._labels, self._classes)[self.metric].value
        ours, theirs = self._task.decide(outputs), self._task.decide(self._reference)
        if ours is None or theirs is None:
            raise BuildFailed(
                f"keep_float: auto: {self._task.name} cannot tell better outputs from worse",
                hint="name the layers to keep",
            )
        return float(np.mean(ours == theirs))
