"""A float file beside the Keras model that it was made of: both must score alike.

Whatever goes wrong on the way into the file (a state that is carried over, an operator that means
something else, preprocessing that is applied twice) shows here as another score on the very same
examples, before anybody publishes it.
"""

import json
from pathlib import Path

import numpy as np

from zoo_builders.data import stored
from zoo_builders.metrics import wilson
from zoo_builders.stage import Job
from zoo_builders.tflite import litert
from zoo_registry.model.errors import BuildFailed

SPLIT = "validation"
_AT_ONCE = 64


def hold(job: Job, data: bytes) -> None:
    """Score a float file on the examples that its Keras model was scored on, and compare.

    The model's own score is in the report of the stage that made it (input `model`); without one
    (no labels, a finished file) there is nothing to compare.

    Raises:
        BuildFailed: the file's score is outside the 95 % interval of the model's; both are named.
        MeasureFailed: the runtime cannot run the file.
    """
    wanted = _score(job.inputs["model"] / "report.json")
    if wanted is None:
        return
    inputs, labels = stored.load_raw(job.inputs["data"], SPLIT)
    if len(labels):
        refuse_other(_hits(job, data, inputs, labels), len(labels), wanted)


def refuse_other(hits: int, examples: int, wanted: float) -> None:
    """Insist that a file that is right on `hits` of `examples` scores as its model, `wanted`.

    Raises:
        BuildFailed: it does not.
    """
    low, high = wilson(wanted * examples, examples)
    if not low <= hits / examples <= high:
        raise BuildFailed(
            f"the float file scores {hits / examples:.4f} on the {examples} examples of {SPLIT},"
            f" its Keras model {wanted:.4f} (95 % interval {low:.4f} to {high:.4f}): the file"
            " does not compute what the model does",
            hint="zoo build MANIFEST --variant fp32, after taking layers out until both agree",
        )


def _score(report: Path) -> float | None:
    if not report.is_file():
        return None
    found = json.loads(report.read_text(encoding="utf-8")).get("accuracy", {}).get(SPLIT)
    return None if found is None else float(found)


def _hits(job: Job, data: bytes, inputs: np.ndarray, labels: np.ndarray) -> int:
    session, values = litert.Session(data), stored.load_value_map(job.inputs["data"])
    hits = 0
    for start in range(0, len(labels), _AT_ONCE):
        job.progress(start, len(labels), f"file and model on {SPLIT}")
        found = session.infer(values(np.asarray(inputs[start : start + _AT_ONCE])))
        decided = found.reshape(len(found), -1).argmax(axis=1)
        hits += int((decided == labels[start : start + _AT_ONCE]).sum())
    return hits
