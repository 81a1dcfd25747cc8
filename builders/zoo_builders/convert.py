"""Stage `convert`: a Keras model, or a float .tflite, becomes a TFLite file with a static batch of one, in the smaller of two encodings."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import quantize_configs, quantizing, sparse_path, tf
from zoo_builders.context import write_json
from zoo_builders.converter import to_tflite
from zoo_builders.data_stage import load_about, load_split
from zoo_builders.flatbuffer import read
from zoo_builders.graph import FIXED
from zoo_builders.keras_weights import weights_of
from zoo_builders.litert import Session
from zoo_builders.quantize_params import SAMPLES
from zoo_builders.quantize_params import Params as Quantize
from zoo_builders.quantizing import Data
from zoo_builders.render import graph_of
from zoo_builders.stage import Job
from zoo_builders.train import load
from zoo_registry.model.errors import BuildFailed, MeasureFailed, Unsupported
from zoo_registry.model.files import write_bytes
from zoo_registry.model.record import Quantization

__all__ = ["Data", "Encodings", "encode", "most_zeros", "run", "to_tflite"]

FILE = "model.tflite"

PROBES = 8
"""On how many calibration inputs the finished files are run and compared."""

SPARSE_FROM = 0.3
"""Share of zeros from which the converter stores a tensor sparse; below it in every tensor no sparse twin is built."""

FEW = f"no weight tensor has {SPARSE_FROM:.0%} zeros"
"""Why there is no sparse file then."""


@dataclass(frozen=True, slots=True)
class Encodings:
    """Two spellings of the same weights: dense, and with zeros left out where that was tried.

    Attributes:
        refused: why the sparse file cannot be kept (the runtime's own words); empty when it runs and agrees with the dense one.
        why_dense: why there is no sparse file, where that was found while making one.
        about: how it was quantized.
        opens: whether XNNPACK takes its sparse path with it, where the processor has one.
    """

    dense: bytes
    sparse: bytes | None = None
    refused: str = ""
    opens: bool = False
    why_dense: str = ""
    about: Quantization | None = None

    def choose(self, rule: str) -> tuple[str, str]:
        """Give the encoding to keep and why, under the rule `auto`, `always` or `never`.

        Raises:
            BuildFailed: `always`, and there is no sparse file, or it does not run.
        """
        if self.sparse is None and self.why_dense and rule == "always":
            raise BuildFailed(f"sparse_encoding: always, but there is no sparse file: {self.why_dense}", hint="set sparse_encoding: auto")
        if self.sparse is None:
            return "dense", self.why_dense or ("never asked for" if rule == "never" else FEW)
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
    """Write `model.tflite`, `encodings.json`, and, when the sparse encoding is kept, its dense twin `dense.tflite`.

    Writes `quantization.json` (a record's `Quantization`) too where it quantizes. Reads params `quantize` (resolved parameters, or null
    for float32), `sparse_encoding` (`auto`, `always`, `never`), `task` (whose metric decides where layers are left in float by search),
    `quantize_configs` (functions of the user, [{function, sha256}], whose modules define classes that the model holds); inputs `model`
    (a Keras model, or a finished float `.tflite`) and `data`.

    Raises:
        BuildFailed: the converter refuses the model, there are fewer calibration inputs than asked for, or `always` meets a sparse file
            that does not run as the dense one does.
        MeasureFailed: the runtime cannot run the dense file; the message is the runtime's.
    """
    settings = job.params.get("quantize")
    quantize = Quantize.model_validate(settings) if settings else None
    rule = str(job.params.get("sparse_encoding", "auto"))
    file = job.inputs["model"] / FILE
    if file.exists():
        encodings = encode(None, quantize, _data(job, quantize), file=file.read_bytes(), rule=rule, report=job.progress)
    else:
        tf.deterministic(0)
        with quantize_configs.scope(one["function"] for one in job.params.get("quantize_configs", ())):
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
        raise BuildFailed(f"the split {split!r} is empty; ranges need some inputs", hint="zoo plan shows how the splits are cut")
    asked = quantize.samples if quantize else None
    if asked is not None and len(inputs) < asked:
        hint = f"write samples: {len(inputs)}, or make data.splits.{split} larger"
        raise BuildFailed(f"quantize asks for {asked} calibration inputs, the split {split!r} has {len(inputs)}", hint=hint)
    return inputs[: asked or SAMPLES]


def encode(
    model: Any,
    quantize: Quantize | None,
    data: Data,
    *,
    file: bytes = b"",
    rule: str = "auto",
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Encodings:
    """Convert `model` (or take the finished `file`) dense and, if the rule wants it and a weight tensor has zeros enough, sparse.

    What was made is run on a few inputs before it is given away: a file that converts is not yet one that works.

    Raises:
        BuildFailed: the converter refuses the model.
        MeasureFailed: the runtime refuses the dense file.
    """
    report(0, 1, "convert")
    made = quantizing.of_file(file, quantize, data, report) if file else quantizing.of_model(model, quantize, data, report)
    samples = data.calibration()[:PROBES]
    expected = _outputs(made.dense, samples)
    report(1, 1, "convert")
    tried = rule == "always" or (rule == "auto" and not file and most_zeros(model) >= SPARSE_FROM)
    if made.sparse is None or not tried:
        return Encodings(made.dense, why_dense=made.why_dense, about=made.about)
    sparse = made.sparse()
    report(2, 2, "convert")
    if not any(tensor.sparse is not None for tensor in read(sparse).main.tensors):
        return Encodings(made.dense, why_dense=FEW, about=made.about)
    refused = _disagreement(sparse, samples, expected)
    return Encodings(made.dense, sparse, refused, _opens(model, quantize), about=made.about)


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
    zeros = {name: float(np.mean(own["kernel"] == 0)) for name, own in weights_of(model, graph).items() if "kernel" in own}
    return not sparse_path.objections(graph) and sparse_path.enough(sparse_path.share_of_zeros(graph, zeros))


def most_zeros(model: Any) -> float:
    """Largest share of zeros in any kernel of the model that is no formula: most of a mel filter bank is zero by nature."""
    learned = [layer for layer in model.layers if not layer.name.startswith(FIXED)]
    kernels = [weight for layer in learned for weight in layer.get_weights() if weight.ndim > 1]
    return max((float(np.mean(kernel == 0)) for kernel in kernels), default=0.0)


def _write(job: Job, encodings: Encodings, rule: str) -> None:
    chosen, why = encodings.choose(rule)
    kept = encodings.sparse if chosen == "sparse" and encodings.sparse else encodings.dense
    write_bytes(job.out / "model.tflite", kept)
    if chosen == "sparse":
        write_bytes(job.out / "dense.tflite", encodings.dense)
    sizes = {"dense": _sizes(encodings.dense), "sparse": _sizes(encodings.sparse) if encodings.sparse else None}
    write_json(job.out / "encodings.json", {"chosen": chosen, "why": why, **sizes})
    if encodings.about is not None:
        write_json(job.out / "quantization.json", encodings.about.model_dump(mode="json"))


def _sizes(data: bytes) -> dict[str, int]:
    return {"bytes": len(data), "gzip": len(gzip.compress(data, 9, mtime=0))}
