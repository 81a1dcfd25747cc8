"""Making a quantized file.

By which engine, with which layers left in float, and what it does to each layer.

Keras model, no quantization       TensorFlow's converter, at once
Keras model, engine tensorflow     at once; by way of a calibrated file where layers stay in float
                                   (`converter`)
Keras model, engine litert         float file first, then litert-quantizer
float .tflite file                 litert-quantizer, or the file itself
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_builders import tf
from zoo_builders.converting import (
    activation_ranges,
    float_search,
    layer_errors,
    litert_quantizer,
    operator_settings,
    rounding_layers,
    tensorflow_converter,
)
from zoo_builders.keras_models import fake_quant_models
from zoo_builders.networks.graph import FIXED
from zoo_builders.tasks import TASKS
from zoo_builders.techniques.quantize.params import FRONT_END
from zoo_builders.techniques.quantize.params import Params as Quantize
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import BuildFailed, MeasureFailed
from zoo_registry.model.record import LayerError, Quantization, Trial

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Data:
    """What making a file may ask of the data.

    Attributes:
        calibration: gives the inputs that fix ranges, float32 [N, …].
        validation: gives inputs and labels of the split that decides which layers stay in float.
        about: facts about the data set (`classes`).
        task: name of the task, whose first metric decides; empty where nothing is decided.
    """

    calibration: Callable[[], "Array"]
    validation: "Callable[[], tuple[Array, Array]]"
    about: Mapping[str, Any]
    task: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished file.

    Attributes:
        sparse: makes the same with zeros left out; None where that is not possible.
        why_dense: why it is not, then.
    """

    dense: bytes
    sparse: Callable[[], bytes] | None = None
    why_dense: str = ""
    about: Quantization | None = None


def of_model(model: Any, quantize: Quantize | None, data: Data, report: Report) -> Made:
    """Convert a Keras model.

    Raises:
        BuildFailed: the converter or the quantizer refuses it, a word of `keep_float` means
            nothing, or no choice of layers suffices.
        MeasureFailed: a file made on the way does not run.
    """
    quantize = _sparing(model, quantize)
    if quantize is not None and quantize.rounding == "compensated":
        model = rounding_layers.rounded(model, data.calibration(), report)
    if quantize is not None and quantize.made_by == "litert":
        return _by_litert(
            tensorflow_converter.to_tflite(model, None, data.calibration, sparse=False),
            quantize,
            data,
            report,
        )
    if quantize is not None and (quantize.keep_float or quantize.percentile is not None):
        return _selective(model, quantize, data, report)
    dense = tensorflow_converter.to_tflite(model, quantize, data.calibration, sparse=False)
    about = None if quantize is None else _about_converted(model, quantize, dense, data, report)
    return Made(
        dense,
        lambda: tensorflow_converter.to_tflite(model, quantize, data.calibration, sparse=True),
        about=about,
    )


def _sparing(model: Any, quantize: Quantize | None) -> Quantize | None:
    """Leave a front end in float beside the layers that are named.

    With `keep_float: auto` the search does (`_searched`).
    """
    if (
        quantize is None
        or quantize.dtype == "float16"
        or quantize.keep_float == "auto"
        or not _hears(model)
    ):
        return quantize
    return quantize.model_copy(update={"keep_float": (*quantize.kept, *FRONT_END)})


def _hears(model: Any) -> bool:
    return any(
        layer.name.startswith(FIXED) for layer in model.layers
    ) and not fake_quant_models.is_wrapped(model)


def of_file(file: bytes, quantize: Quantize | None, data: Data, report: Report) -> Made:
    """Quantize a finished float file, or give it as it is.

    Raises:
        BuildFailed: the quantizer refuses it.
    """
    if quantize is None:
        return Made(file, why_dense="the file is kept as it came")
    return _by_litert(file, quantize, data, report)


def _by_litert(file: bytes, quantize: Quantize, data: Data, report: Report) -> Made:
    dense = litert_quantizer.quantize(file, quantize, data.calibration(), report)
    errors: tuple[LayerError, ...] = ()
    if _measurable(quantize):
        errors = layer_errors.of_network(
            litert_quantizer.normal(file),
            dense,
            data.calibration()[: layer_errors.EXAMPLES],
            report,
        )
    about = _about(quantize, litert_quantizer.version(), errors, "network", data)
    return Made(dense, why_dense="the litert engine stores no weights sparse", about=about)


def _measurable(quantize: Quantize) -> bool:
    """Whether activations are quantized, so that there is an error to measure at each."""
    return quantize.report and quantize.dtype in {"int8", "int16x8"}


def _about_converted(
    model: Any, quantize: Quantize, dense: bytes, data: Data, report: Report
) -> Quantization:
    version = tf.tensorflow.__version__
    if fake_quant_models.is_wrapped(model) or not _measurable(quantize):
        return Quantization(engine="tensorflow", engine_version=version)
    if quantize.dtype == "int8":
        errors = _own_errors(
            tensorflow_converter.calibrate(model, quantize, data.calibration),
            quantize,
            data,
            report,
        )
        if errors:
            return _about(quantize, version, errors, "layer", data)
    plain = tensorflow_converter.to_tflite(model, None, data.calibration, sparse=False)
    errors = layer_errors.of_network(
        plain, dense, data.calibration()[: layer_errors.EXAMPLES], report
    )
    return _about(quantize, version, errors, "network", data)


def _own_errors(
    calibrated: bytes, quantize: Quantize, data: Data, report: Report, fixed: Sequence[str] = ()
) -> tuple[LayerError, ...]:
    """Measure each operator but the `fixed` by itself.

    Empty where the converter's debug file does not run (then files are compared).
    """
    try:
        debug = tensorflow_converter.quantize_calibrated(
            calibrated, quantize, keep=fixed, debug=True
        )
        return layer_errors.of_layers(
            calibrated, debug, data.calibration()[: layer_errors.EXAMPLES], report
        )
    except (BuildFailed, MeasureFailed):
        return ()


def _about(
    quantize: Quantize, version: str, errors: Sequence[LayerError], mode: Any, data: Data
) -> Quantization:
    examples = min(layer_errors.EXAMPLES, len(data.calibration())) if errors else 0
    split = quantize.calibration if errors else ""
    return Quantization(
        engine=quantize.made_by,
        engine_version=version,
        split=split,
        examples=examples,
        mode=mode,
        layers=tuple(errors),
    )


def _selective(model: Any, quantize: Quantize, data: Data, report: Report) -> Made:
    """Quantize by way of a calibrated file: ranges may be narrowed, layers left in float.

    Those named, or as few of the worst as help.
    """
    calibrated = tensorflow_converter.calibrate(model, quantize, data.calibration)
    if quantize.percentile is not None:
        calibrated = activation_ranges.narrow(
            calibrated, data.calibration(), quantize.percentile, report
        )
    fixed = _named(calibrated, FRONT_END) if _hears(model) else ()
    measured = quantize.report or quantize.keep_float == "auto"
    errors = _own_errors(calibrated, quantize, data, report, fixed) if measured else ()
    if quantize.keep_float == "auto":
        kept, trials, metric = _searched(_Start(calibrated, fixed), quantize, errors, data, report)
    else:
        kept, trials, metric = _named(calibrated, quantize.kept), (), ""
    dense = _keeping(calibrated, quantize, kept)
    marked = [error.model_copy(update={"kept_float": error.tensor in kept}) for error in errors]
    about = _about(quantize, tf.tensorflow.__version__, marked, "layer", data)
    about = about.model_copy(update={"search": trials, "metric": metric})
    return Made(dense, lambda: tensorflow_converter.sparsify(dense), about=about)


def _keeping(calibrated: bytes, quantize: Quantize, kept: Collection[str]) -> bytes:
    return tensorflow_converter.quantize_calibrated(
        calibrated, quantize, keep=layer_errors.with_followers(calibrated, kept)
    )


def _named(calibrated: bytes, words: Sequence[str]) -> tuple[str, ...]:
    """Give what the operators are called that the words mean."""
    from zoo_builders.tflite.operator_names import any_of

    found = layer_errors.operators(calibrated)
    operator_settings.unknown(words, [(one.code, one.known_as) for one in found])
    return tuple(one.output for one in found if any_of(words, one.code, one.known_as))


@dataclass(frozen=True, slots=True)
class _Start:
    """What a search begins with.

    The calibrated file, and the operators that stay float whatever it finds.
    """

    calibrated: bytes
    fixed: tuple[str, ...] = ()


def _searched(
    start: _Start, quantize: Quantize, errors: Sequence[LayerError], data: Data, report: Report
) -> tuple[tuple[str, ...], tuple[Trial, ...], str]:
    if not errors:
        raise BuildFailed(
            "keep_float: auto: the converter's debug file does not run, so no layer can be blamed",
            hint="name the layers",
        )
    quality = _Quality(start.calibrated, data)
    judged = [error for error in errors if error.tensor not in start.fixed]
    tried = 0

    def cost(kept: frozenset[str]) -> float:
        nonlocal tried
        tried += 1
        report(tried, tried, f"{len(kept)} layers in float")
        return quality.drop(_keeping(start.calibrated, quantize, kept | set(start.fixed)))

    limits = float_search.Limits(*quantize.limits)
    choice = float_search.choose(
        float_search.worst_first(judged), cost, limits, metric=quality.metric
    )
    return (*start.fixed, *choice.kept), choice.trials, quality.metric


class _Quality:
    """The task's first metric on the validation split.

    Of a task without metrics, agreement with the float file.

    Raises:
        BuildFailed: the task can tell no right from wrong.
    """

    def __init__(self, float_file: bytes, data: Data) -> None:
        self._task, self._classes = TASKS.get(data.task), tuple(data.about.get("classes", ()))
        self._inputs, self._labels = data.validation()
        if not len(self._inputs):
            raise BuildFailed(
                "keep_float: auto: the validation split is empty",
                hint="zoo plan shows how the splits are cut",
            )
        self._reference = _outputs(float_file, self._inputs)
        scored = bool(self._task.metrics) and bool(self._classes)
        self.metric = self._task.metrics[0] if scored else "agreement with float32"
        self._best = self._of(self._reference)

    def drop(self, file: bytes) -> float:
        """How far the metric falls below the float file's; negative where it rises."""
        return self._best - self._of(_outputs(file, self._inputs))

    def _of(self, outputs: "Array") -> float:
        import numpy as np

        if self.metric in self._task.metrics:
            return self._task.score(outputs, self._labels, self._classes)[self.metric].value
        ours, theirs = self._task.decide(outputs), self._task.decide(self._reference)
        if ours is None or theirs is None:
            raise BuildFailed(
                f"keep_float: auto: {self._task.name} cannot tell better outputs from worse",
                hint="name the layers to keep",
            )
        return float(np.mean(ours == theirs))


def _outputs(file: bytes, inputs: "Array") -> "Array":
    import numpy as np

    session = Session(file)
    [port, *_], [out, *_] = session.inputs, session.outputs
    return np.stack(
        [out.real(session.run([port.store(example[None])])[0])[0] for example in inputs]
    )
