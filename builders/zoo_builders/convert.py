"""Stage `convert`: a Keras model becomes a TFLite file with a static batch of one, in the smaller of two encodings."""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_builders import tf, wrapped, xnnpack_policy
from zoo_builders.context import write_json
from zoo_builders.data_stage import load_split
from zoo_builders.keras_weights import weights_of
from zoo_builders.litert import Session
from zoo_builders.render import graph_of
from zoo_builders.stage import Job
from zoo_builders.techniques.quantize import Params as Quantize
from zoo_builders.train import load
from zoo_registry.model.errors import BuildFailed, MeasureFailed, Unsupported
from zoo_registry.model.files import write_bytes

PROBES = 8
"""On how many calibration inputs the finished files are run and compared."""

SPARSE_FROM = 0.3
"""Share of zeros from which the converter stores a tensor sparse; below it in every tensor no sparse twin is built."""


@dataclass(frozen=True, slots=True)
class Encodings:
    """Two spellings of the same weights: dense, and with zeros left out where that was tried.

    Attributes:
        refused: why the sparse file cannot be kept (the runtime's own words); empty when it runs and agrees with the dense one.
        opens: whether XNNPACK takes its sparse path with it, where the processor has one.
    """

    dense: bytes
    sparse: bytes | None = None
    refused: str = ""
    opens: bool = False

    def choose(self, rule: str) -> tuple[str, str]:
        """Give the encoding to keep and why, under the rule `auto`, `always` or `never`.

        Raises:
            BuildFailed: `always`, and the sparse file does not run.
        """
        if self.sparse is None:
            return "dense", "never asked for" if rule == "never" else f"no weight tensor has {SPARSE_FROM:.0%} zeros"
        if self.refused:
            return self._refuse(rule)
        if rule == "always":
            return "sparse", "always asked for"
        saved = len(self.dense) - len(self.sparse)
        if saved > 0:
            return "sparse", f"{saved} bytes smaller"
        if self.opens:
            return "sparse", f"{-saved} bytes larger, but XNNPACK can run it sparse"
        return "dense", f"sparse would be {-saved} bytes larger"

    def _refuse(self, rule: str) -> tuple[str, str]:
        if rule == "always":
            raise BuildFailed(f"the sparse file cannot be used: {self.refused}", hint="set sparse_encoding: auto")
        return "dense", f"the sparse file cannot be used: {self.refused}"


def run(job: Job) -> None:
    """Write `model.tflite`, `encodings.json` and, when the sparse encoding is kept, its dense twin `dense.tflite`.

    Reads params `quantize` (resolved parameters, or null for float32) and `sparse_encoding` (`auto`, `always`, `never`); inputs
    `model` and `data`.

    Raises:
        BuildFailed: the converter refuses the model, or `always` meets a sparse file that does not run as the dense one does.
        MeasureFailed: the runtime cannot run the dense file.
    """
    tf.deterministic(0)
    model = load(job.inputs["model"] / "model.keras")
    settings = job.params.get("quantize")
    quantize = Quantize.model_validate(settings) if settings else None
    rule = str(job.params.get("sparse_encoding", "auto"))
    encodings = encode(model, quantize, lambda: _calibration(job, quantize), rule=rule, report=job.progress)
    _write(job, encodings, rule)


def _calibration(job: Job, quantize: Quantize | None) -> Any:
    inputs, _ = load_split(job.inputs["data"], quantize.calibration if quantize else "calibration")
    return inputs[: quantize.samples] if quantize else inputs


def encode(
    model: Any,
    quantize: Quantize | None,
    calibration: Callable[[], Any],
    *,
    rule: str = "auto",
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Encodings:
    """Convert `model` dense and, if the rule wants it and a weight tensor has zeros enough, sparse; run what was made.

    Raises:
        BuildFailed: the converter refuses the model.
        MeasureFailed: the runtime refuses the dense file.
    """
    wanted = rule == "always" or (rule == "auto" and most_zeros(model) >= SPARSE_FROM)
    report(0, 1 + wanted, "convert")
    dense = to_tflite(model, quantize, calibration, sparse=False)
    samples = calibration()[:PROBES]
    expected = _outputs(dense, samples)
    report(1, 1 + wanted, "convert")
    if not wanted:
        return Encodings(dense)
    sparse = to_tflite(model, quantize, calibration, sparse=True)
    report(2, 2, "convert")
    return Encodings(dense, sparse, _disagreement(sparse, samples, expected), _opens(model, quantize))


def _outputs(file: bytes, samples: Any) -> list[Any]:
    session = Session(file)
    port = session.inputs[0]
    return [session.run([port.store(sample[None])])[0] for sample in samples]


def _disagreement(sparse: bytes, samples: Any, expected: Sequence[Any]) -> str:
    """Say why the sparse file is no substitute for the dense one; empty when it is."""
    try:
        found = _outputs(sparse, samples)
    except MeasureFailed as error:
        return error.message
    same = all(np.allclose(left, right, rtol=1e-4, atol=1e-4) for left, right in zip(found, expected, strict=True))
    return "" if same else "its outputs differ from the dense file's"


def _opens(model: Any, quantize: Quantize | None) -> bool:
    """Whether XNNPACK has a sparse path for this model: its structure, float weights, and zeros enough."""
    if quantize is not None and quantize.dtype != "float16":
        return False
    try:
        graph = graph_of(model)
    except Unsupported:
        return False
    return (
        not xnnpack_policy.objections(graph)
        and xnnpack_policy.zeros_in_pointwise(graph, weights_of(model, graph)) > xnnpack_policy.ENOUGH_ZEROS
    )


def most_zeros(model: Any) -> float:
    """Largest share of zeros in any kernel of the model."""
    kernels = [weight for weight in model.get_weights() if weight.ndim > 1]
    return max((float(np.mean(kernel == 0)) for kernel in kernels), default=0.0)


def to_tflite(model: Any, quantize: Quantize | None, calibration: Callable[[], Any], *, sparse: bool) -> bytes:
    """Convert once.

    Raises:
        BuildFailed: the converter's own words, where it refuses.
    """
    tensorflow = tf.tensorflow
    signature = [tensorflow.TensorSpec((1, *model.input_shape[1:]), tensorflow.float32, name="input")]
    concrete = tensorflow.function(lambda image: model(image, training=False), input_signature=signature).get_concrete_function()
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    if wrapped.is_wrapped(model):
        _trained_ranges(converter, quantize, sparse=sparse)
    else:
        _configure(converter, quantize, calibration, sparse=sparse)
    try:
        return bytes(converter.convert())
    except (RuntimeError, ValueError, tf.converter.ConverterError) as error:
        raise BuildFailed(
            f"the converter refuses {model.name}: {error}", hint="zoo validate MANIFEST   # what each technique says of the network"
        ) from error


def _trained_ranges(converter: Any, quantize: Quantize | None, *, sparse: bool) -> None:
    """Take the ranges that fake quantization learned: no calibration data, and what has no range stays float."""
    lite = tf.tensorflow.lite
    converter.optimizations = [lite.Optimize.DEFAULT] + ([lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else [])
    if quantize is not None and quantize.interface == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.tensorflow.int8


def _configure(converter: Any, quantize: Quantize | None, calibration: Callable[[], Any], *, sparse: bool) -> None:
    lite = tf.tensorflow.lite
    converter.optimizations = ([lite.Optimize.DEFAULT] if quantize else []) + ([lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else [])
    if quantize is None or quantize.dtype == "dynamic":
        return
    if quantize.dtype == "float16":
        converter.target_spec.supported_types = [tf.tensorflow.float16]
        return
    converter.representative_dataset = lambda: _samples(calibration())
    _integer(converter, quantize)


def _integer(converter: Any, quantize: Quantize) -> None:
    lite = tf.tensorflow.lite
    kinds: Mapping[str, Any] = {
        "int8": lite.OpsSet.TFLITE_BUILTINS_INT8,
        "int16x8": lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }
    fallback = [lite.OpsSet.TFLITE_BUILTINS] if quantize.allow_float_fallback else []
    converter.target_spec.supported_ops = [kinds[quantize.dtype], *fallback]
    if quantize.interface == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.tensorflow.int8


def _samples(inputs: Any) -> Iterator[list[Any]]:
    for sample in inputs:
        yield [np.asarray(sample, np.float32)[None]]


def _write(job: Job, encodings: Encodings, rule: str) -> None:
    chosen, why = encodings.choose(rule)
    kept = encodings.sparse if chosen == "sparse" and encodings.sparse else encodings.dense
    write_bytes(job.out / "model.tflite", kept)
    if chosen == "sparse":
        write_bytes(job.out / "dense.tflite", encodings.dense)
    sizes = {"dense": _sizes(encodings.dense), "sparse": _sizes(encodings.sparse) if encodings.sparse else None}
    write_json(job.out / "encodings.json", {"chosen": chosen, "why": why, **sizes})


def _sizes(data: bytes) -> dict[str, int]:
    return {"bytes": len(data), "gzip": len(gzip.compress(data, 9, mtime=0))}
