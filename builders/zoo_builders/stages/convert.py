"""Stage `convert`: a Keras model, or a float .tflite, becomes the file that is published.

A TFLite file with a static batch of one, in the smaller of two encodings.
"""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo_builders import tf
from zoo_builders.converting import float_model, origins
from zoo_builders.converting.calibrated import calibrated, rounded
from zoo_builders.converting.encodings import Encodings, encoded
from zoo_builders.converting.float_model import Examples, FloatModel
from zoo_builders.converting.quantized_file import quantized
from zoo_builders.data.stored import load_about, load_split
from zoo_builders.keras_models import functions
from zoo_builders.keras_models.files import load
from zoo_builders.keras_models.weights import kernels_of_model
from zoo_builders.stage import Job
from zoo_builders.stages import keras_twin
from zoo_builders.techniques import TECHNIQUES
from zoo_builders.techniques.quantize.engines import CALIBRATION, SAMPLES
from zoo_builders.techniques.quantize_aware import configs
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.weight_tensors import find
from zoo_builders.training.job_context import write_json
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import write_bytes

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


FILE = "model.tflite"


def run(job: Job) -> None:
    """Write `model.tflite`, `encodings.json`, and what there is beside them.

    That is `layers.json` (the layers of a Keras model behind each weight tensor), the dense twin
    `dense.tflite` where the sparse encoding is kept, and `quantization.json` (a record's
    `Quantization`) where something is quantized.

    Reads params `quantize` (resolved parameters, or null for float32), `sparse_encoding` (`auto`,
    `always`, `never`), `task` (whose metric decides where layers are left in float by search),
    `quantize_configs` (functions of the user, [{function, sha256}], whose modules define classes
    that the model holds); inputs `model` (a Keras model, or a finished float `.tflite`) and `data`.

    Raises:
        BuildFailed: the converter refuses the model, there are fewer calibration inputs than asked
            for, `always` meets a sparse file that does not run as the dense one does, or a float
            file scores otherwise than its Keras model.
        MeasureFailed: the runtime cannot run the dense file; the message is the runtime's.
    """
    rule = str(job.params.get("sparse_encoding", "auto"))
    job.progress(0, 1, "convert")
    model = rounded(_float_model(job), job.progress)
    made = quantized(calibrated(model, job.progress), job.progress)
    encodings = encoded(made, rule, job.progress)
    if model.quantize is None and model.keras is not None and not model.trained_ranges:
        keras_twin.hold(job, made.file.data)
    kept = _write(job.out, encodings, rule)
    if model.keras is not None:
        _write_layers(job.out, model.keras, kept)
    if made.about is not None:
        write_json(job.out / "quantization.json", made.about.model_dump(mode="json"))


def _float_model(job: Job) -> FloatModel:
    settings, kind = job.params.get("quantize"), TECHNIQUES.get("quantize").params
    quantize = cast("Quantize", kind.model_validate(settings)) if settings else None
    examples = _examples(job, quantize)
    file = job.inputs["model"] / FILE
    if file.exists():
        return FloatModel(examples, quantize, file=read(file.read_bytes()))
    tf.deterministic(0)
    function = job.inputs["model"] / functions.FILE
    if function.is_file():
        return FloatModel(examples, quantize, keras=functions.load(function))
    with configs.scope(one["function"] for one in job.params.get("quantize_configs", ())):
        model = load(job.inputs["model"] / "model.keras")
    return float_model.of_keras(model, quantize, examples)


def _examples(job: Job, quantize: "Quantize | None") -> Examples:
    folder, searched = job.inputs["data"], quantize is not None and quantize.keep_float == "auto"
    split = quantize.calibration if quantize else CALIBRATION
    return Examples(
        calibration=_calibration(folder, split, quantize.samples if quantize else None),
        validation=load_split(folder, "validation") if searched else None,
        classes=tuple(load_about(folder).get("classes", ())),
        task=str(job.params.get("task", "")),
        split=split,
    )


def _calibration(folder: Path, split: str, asked: int | None) -> Any:
    inputs, _ = load_split(folder, split)
    if not len(inputs):
        raise BuildFailed(
            f"the split {split!r} is empty; ranges need some inputs",
            hint="zoo plan shows how the splits are cut",
        )
    if asked is not None and len(inputs) < asked:
        hint = f"write samples: {len(inputs)}, or make data.splits.{split} larger"
        raise BuildFailed(
            f"quantize asks for {asked} calibration inputs, the split {split!r} has {len(inputs)}",
            hint=hint,
        )
    return inputs[: asked or SAMPLES]


def _write(out: Path, encodings: Encodings, rule: str) -> bytes:
    chosen, why = encodings.choose(rule)
    kept = encodings.sparse if chosen == "sparse" and encodings.sparse else encodings.dense
    write_bytes(out / FILE, kept)
    if chosen == "sparse":
        write_bytes(out / "dense.tflite", encodings.dense)
    sizes = {
        "dense": _sizes(encodings.dense),
        "sparse": _sizes(encodings.sparse) if encodings.sparse else None,
    }
    write_json(out / "encodings.json", {"chosen": chosen, "why": why, **sizes})
    return kept


def _write_layers(out: Path, keras: Any, file: bytes) -> None:
    """Write which layers are behind each weight tensor; the proof of a layer needs no names."""
    weights = [weight for graph in read(file).subgraphs for weight in find(graph)]
    found = origins.origins(kernels_of_model(keras), weights)
    write_json(out / "layers.json", origins.named(found, weights))


def _sizes(data: bytes) -> dict[str, int]:
    return {"bytes": len(data), "gzip": len(gzip.compress(data, 9, mtime=0))}
