"""Stage `evaluate`: how good the .tflite itself is, run by its own runtime on the data.

Golden vectors on the way.

evaluation.json   {file: sizes, signature, metrics, fidelity, golden, runtime_version}: all that a
                  record says of quality
golden.npz        see `golden`
"""

import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.stage import Job
from zoo_builders.stages.results import write_parts
from zoo_builders.tasks import TASKS, Task, refuse_other_classes
from zoo_builders.tflite import base_file, fed_examples, golden, litert
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine
from zoo_builders.tflite.proof import Inspection
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, MeasureFailed, Unsupported
from zoo_registry.model.files import write_bytes
from zoo_registry.model.label_space import label_space
from zoo_registry.model.record import (
    ClassMetric,
    Fidelity,
    Golden,
    Metric,
    Part,
    Signature,
    Sound,
    Values,
)

SQNR_CEILING_DB = 200.0
"""Reported where outputs are equal.

No JSON number says infinity, and float32 itself resolves no more than some 150 dB.
"""

FIDELITY_EXAMPLES = 500
"""Of the test split, at most: examples that fixed no ranges."""

_REPORT_EVERY = 64
GZIP_LEVEL, ZSTD_LEVEL = 9, 19


class Sizes(Part):
    """A file's digest and its bytes: as it is, gzip at level 9, zstd at level 19."""

    sha256: Digest
    size: int
    size_gzip: int
    size_zstd: int


def measure(data: bytes) -> Sizes:
    """Compress `data` both ways; equal bytes give equal sizes (gzip's time stamp is left out)."""
    import zstandard

    return Sizes(
        sha256=Digest.of(data),
        size=len(data),
        size_gzip=len(gzip.compress(data, GZIP_LEVEL, mtime=0)),
        size_zstd=len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)),
    )


class Evaluation(Part):
    """All that is known of a file's quality.

    No fidelity where there is no float32 file: the base came as a file that is quantized already.
    """

    file: Sizes
    signature: Signature
    metrics: tuple[Metric, ...]
    fidelity: Fidelity | None
    golden: Golden
    runtime_version: str


@dataclass(frozen=True, slots=True)
class _Split:
    """One split of a data stage's result.

    Stored inputs, labels, the map to what the model sees, facts about the data set.
    """

    name: str
    inputs: Array
    labels: Array
    values: Any
    about: Mapping[str, Any]


def run(job: Job) -> None:
    """Write `evaluation.json` and `golden.npz`.

    Reads params `task`, `split`, `calibration`, `output` (position of the output that is judged;
    null: all), inputs `file`, `data`, `baseline`.

    Raises:
        MeasureFailed: the runtime cannot run the file, or its outputs are not numbers; the message
            is the runtime's.
        Unsupported: the file takes something else than one batch of one example.
        BuildFailed: outputs depend on which kernels compute them; or the data have no such
            examples, or no labels and the task's metrics need some.
    """
    data = (job.inputs["file"] / "model.tflite").read_bytes()
    baseline = (job.inputs["baseline"] / "model.tflite").read_bytes()
    task, seen = TASKS.get(str(job.params["task"])), examine(read(data))
    test, calibration = (
        _split(job, str(job.params["split"])),
        _split(job, str(job.params["calibration"])),
    )
    vectors = golden.make(data, _spread(calibration))
    spelled = vectors.to_bytes()
    evaluation = Evaluation(
        file=measure(data),
        signature=_signature(job, seen, test),
        metrics=_metrics(job, data, task, test, _judged(job, seen)),
        fidelity=(
            None
            if base_file.stored_already(read(baseline).main)
            else _fidelity(job, data, baseline, task, _fresh(test, calibration))
        ),
        golden=vectors.describe(spelled),
        runtime_version=litert.version(),
    )
    write_bytes(job.out / "golden.npz", spelled)
    write_parts(job.out / "evaluation.json", evaluation)


def _output(job: Job) -> int | None:
    """The output that is judged, by position; None: all together, of which none is a decision."""
    output = job.params.get("output", 0)
    return None if output is None else int(output)


def _judged(job: Job, seen: Inspection) -> tuple[int, ...]:
    """The shape of what is judged of one example."""
    outputs = [port.shape[1:] for port in seen.signature.outputs]
    output = _output(job)
    return outputs[output] if output is not None else (sum(math.prod(one) for one in outputs),)


def _split(job: Job, name: str) -> _Split:
    from zoo_builders.data import stored

    folder = job.inputs["data"]
    inputs, labels = stored.load_raw(folder, name)
    if not len(labels):
        raise BuildFailed(
            f"the split {name!r} is empty", hint="zoo plan shows how the splits are cut"
        )
    return _Split(name, inputs, labels, stored.load_value_map(folder), stored.load_about(folder))


def _fresh(test: _Split, calibration: _Split) -> _Split:
    """Take at most `FIDELITY_EXAMPLES` that fixed no ranges, evenly spread over the test split.

    Where every one did (the manifest allows it), the split is taken as it is: its record says so.
    """
    from zoo_builders.data import report

    fresh = report.fresh(test.inputs, calibration.inputs)
    fresh = fresh if len(fresh) else np.arange(len(test.labels))
    chosen = fresh[_evenly(len(fresh), FIDELITY_EXAMPLES)]
    return replace(test, inputs=test.inputs[chosen], labels=test.labels[chosen])


def _evenly(total: int, wanted: int) -> Array:
    places: Array = np.unique(np.linspace(0, total - 1, min(total, wanted)).astype(int))
    return places


def _spread(split: _Split) -> Array:
    """Take examples for golden vectors, evenly spread over the split."""
    one: Array = split.values(np.asarray(split.inputs[:1]))
    chosen = _evenly(len(split.labels), golden.affordable(one.nbytes))
    mapped: Array = split.values(np.asarray(split.inputs[chosen]))
    return mapped


def _signature(job: Job, seen: Inspection, split: _Split) -> Signature:
    about, (low, high) = split.about, split.about["value_range"]
    values = Values(scale=split.values.scale, offset=split.values.offset, low=low, high=high)
    update = {
        "preprocess": tuple(about.get("preprocess", ())),
        "values": values,
        "labels": tuple(about.get("classes", ())),
    }
    front = about.get("front_end")
    sound = (
        Sound(
            **{name: front["params"][name] for name in ("sample_rate", "samples")},
            front_end=_spelled(front),
        )
        if front
        else None
    )
    several, output = len(seen.signature.outputs) > 1, _output(job)
    judged = seen.signature.outputs[output].name if several and output is not None else ""
    return seen.signature.model_copy(update=update | {"sound": sound, "output": judged})


def _spelled(front: Mapping[str, Any]) -> dict[str, Any]:
    """Write a front end as a step of preprocessing, with all that it depends on."""
    values = (
        {"values": {"scale": front["scale"], "offset": front["offset"]}} if front["mapped"] else {}
    )
    return {str(front["step"]): {**front["params"], **values}}


def outputs_of(job: Job, data: bytes, split: _Split, note: str) -> Array:
    """Run a file over a split, one example a time, as any application does.

    Real values [N, …] of the output that is judged (see `litert.Session.infer`).
    """
    session = litert.Session(data)
    if len(session.inputs) != 1 or not fed_examples.fits(
        session.inputs[0].shape, split.inputs.shape[1:]
    ):
        shapes = [port.shape for port in session.inputs]
        raise Unsupported(
            f"the file takes inputs of shape {shapes}, the data are {split.inputs.shape[1:]}",
            hint="convert with a batch of one",
        )
    total = len(split.labels)
    found: list[Array] = []
    for start in range(0, total, _REPORT_EVERY):
        job.progress(start, total, note)
        inputs = np.asarray(split.inputs[start : start + _REPORT_EVERY])
        values = split.values(inputs)
        found.append(_inferred(session, values, _output(job), (split.name, start)))
    job.progress(total, total, note)
    return np.concatenate(found)


def _inferred(
    session: litert.Session, inputs: Array, output: int | None, place: tuple[str, int]
) -> Array:
    """Run examples from a place (split, number) on.

    Outputs that are no numbers are named by the example they belong to.
    """
    try:
        return session.infer(inputs, output)
    except MeasureFailed as error:
        if error.kind != "not-finite":
            raise
        split, start = place
        wrong = next((at for at, one in enumerate(inputs) if _fails(session, one, output)), 0)
        raise MeasureFailed(
            f"{error.message} for example {start + wrong} of split {split!r}",
            kind=error.kind,
            hint="look at that example and at the layers' largest values: zoo preflight MANIFEST",
        ) from error


def _fails(session: litert.Session, example: Array, output: int | None) -> bool:
    try:
        session.infer(example[None], output)
    except MeasureFailed:
        return True
    return False


def _metrics(
    job: Job, data: bytes, task: Task, split: _Split, outputs: Sequence[int]
) -> tuple[Metric, ...]:
    classes = tuple(split.about.get("classes", ()))
    if not task.metrics:
        return ()
    if not classes:
        raise BuildFailed(
            f"{task.name} reports {', '.join(task.metrics)}, and the data have no labels",
            hint="write task: fidelity, or sort the examples into class folders",
        )
    refuse_other_classes(task.name, outputs, classes)
    scores = task.score(
        outputs_of(job, data, split, f"{task.name} on {split.name}"), split.labels, classes
    )
    return tuple(
        Metric(
            dataset=str(split.about["name"]),
            dataset_sha256=Digest(str(split.about["dataset_sha256"])),
            split=split.name,
            examples=len(split.labels),
            metric=name,
            value=score.value,
            ci95=score.ci95,
            labels=label_space(classes),
            classes=tuple(
                ClassMetric(label=one.label, examples=one.examples, value=one.value)
                for one in score.classes
            ),
        )
        for name, score in scores.items()
    )


def _fidelity(job: Job, data: bytes, baseline: bytes, task: Task, split: _Split) -> Fidelity:
    reference = outputs_of(job, baseline, split, f"float32 on {split.name}")
    found = (
        reference if data == baseline else outputs_of(job, data, split, f"fidelity on {split.name}")
    )
    together = _output(job) is None
    ours, theirs = (None if together else task.decide(one) for one in (found, reference))
    agreement = None if ours is None or theirs is None else float(np.mean(ours == theirs))
    return Fidelity(
        versus_sha256=Digest.of(baseline),
        split=split.name,
        examples=len(split.labels),
        top1_agreement=agreement,
        sqnr_db=sqnr_db(reference, found),
    )


def sqnr_db(reference: Array, found: Array) -> float:
    """Signal to quantization noise.

    10 log10(sum r² / sum (r - f)²) over all outputs of all examples; at most `SQNR_CEILING_DB`.
    """
    signal = float(np.sum(np.square(reference, dtype=np.float64)))
    noise = float(np.sum(np.square(reference.astype(np.float64) - found)))
    if not noise or not signal:
        return SQNR_CEILING_DB if not noise else -SQNR_CEILING_DB
    return max(-SQNR_CEILING_DB, min(SQNR_CEILING_DB, 10 * math.log10(signal / noise)))
