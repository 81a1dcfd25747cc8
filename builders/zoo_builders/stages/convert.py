"""Stage `convert`: a Keras model, or a float .tflite.

Becomes a TFLite file with a static batch of one, in the smaller of two encodings.
"""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.converting.encodings import Encodings, encode
from zoo_builders.converting.quantized_file import Data
from zoo_builders.data.stored import load_about, load_split
from zoo_builders.keras_models.files import load
from zoo_builders.stage import Job
from zoo_builders.techniques.quantize.params import SAMPLES
from zoo_builders.techniques.quantize.params import Params as Quantize
from zoo_builders.techniques.quantize_aware import configs
from zoo_builders.training.job_context import write_json
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import write_bytes

FILE = "model.tflite"


def run(job: Job) -> None:
    """Write `model.tflite`, `encodings.json`, and, when the sparse encoding is kept.

    Its dense twin `dense.tflite`.

    Writes `quantization.json` (a record's `Quantization`) too where it quantizes. Reads params
    `quantize` (resolved parameters, or null for float32), `sparse_encoding` (`auto`, `always`,
    `never`), `task` (whose metric decides where layers are left in float by search),
    `quantize_configs` (functions of the user, [{function, sha256}], whose modules define classes
    that the model holds); inputs `model` (a Keras model, or a finished float `.tflite`) and `data`.

    Raises:
        BuildFailed: the converter refuses the model, there are fewer calibration inputs than asked
            for, or `always` meets a sparse file that does not run as the dense one does.
        MeasureFailed: the runtime cannot run the dense file; the message is the runtime's.
    """
    settings = job.params.get("quantize")
    quantize = Quantize.model_validate(settings) if settings else None
    rule = str(job.params.get("sparse_encoding", "auto"))
    file = job.inputs["model"] / FILE
    if file.exists():
        encodings = encode(
            None,
            quantize,
            _data(job, quantize),
            file=file.read_bytes(),
            rule=rule,
            report=job.progress,
        )
    else:
        tf.deterministic(0)
        with configs.scope(one["function"] for one in job.params.get("quantize_configs", ())):
            model = load(job.inputs["model"] / "model.keras")
        encodings = encode(model, quantize, _data(job, quantize), rule=rule, report=job.progress)
    _write(job, encodings, rule)


def _data(job: Job, quantize: Quantize | None) -> Data:
    folder = job.inputs["data"]
    return Data(
        calibration=cache(lambda: _calibration(folder, quantize)),
        validation=lambda: load_split(folder, "validation"),
        about=load_about(folder),
        task=str(job.params.get("task", "")),
    )


def _calibration(folder: Path, quantize: Quantize | None) -> Any:
    split = quantize.calibration if quantize else "calibration"
    inputs, _ = load_split(folder, split)
    if not len(inputs):
        raise BuildFailed(
            f"the split {split!r} is empty; ranges need some inputs",
            hint="zoo plan shows how the splits are cut",
        )
    asked = quantize.samples if quantize else None
    if asked is not None and len(inputs) < asked:
        hint = f"write samples: {len(inputs)}, or make data.splits.{split} larger"
        raise BuildFailed(
            f"quantize asks for {asked} calibration inputs, the split {split!r} has {len(inputs)}",
            hint=hint,
        )
    return inputs[: asked or SAMPLES]


def _write(job: Job, encodings: Encodings, rule: str) -> None:
    chosen, why = encodings.choose(rule)
    kept = encodings.sparse if chosen == "sparse" and encodings.sparse else encodings.dense
    write_bytes(job.out / "model.tflite", kept)
    if chosen == "sparse":
        write_bytes(job.out / "dense.tflite", encodings.dense)
    sizes = {
        "dense": _sizes(encodings.dense),
        "sparse": _sizes(encodings.sparse) if encodings.sparse else None,
    }
    write_json(job.out / "encodings.json", {"chosen": chosen, "why": why, **sizes})
    if encodings.about is not None:
        write_json(job.out / "quantization.json", encodings.about.model_dump(mode="json"))


def _sizes(data: bytes) -> dict[str, int]:
    return {"bytes": len(data), "gzip": len(gzip.compress(data, 9, mtime=0))}
