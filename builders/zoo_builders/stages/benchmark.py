"""Stage `benchmark`: latency of one file on one device, a session of `lab` with the float baseline.

    measurements.json   a list of one measurement (see
                        `zoo_registry.model.measurement.Measurement`), or of none
    not_measured.json   a list of what became of it instead (see `NotMeasured`), or of nothing

A float baseline measures itself: its verdict is `baseline`, its ratio that of the A/A control.
"""

from datetime import UTC, datetime
from pathlib import Path

from zoo_builders.devices import Subject
from zoo_builders.lab import session
from zoo_builders.lab.candidates import Candidate, Failure, Order, Outcome
from zoo_builders.stage import Job
from zoo_builders.stages.results import write_parts
from zoo_builders.tflite import golden
from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.measurement import Measurement, NotMeasured

MODEL, TWIN = "model.tflite", "dense.tflite"
MEASUREMENTS, NOT_MEASURED = "measurements.json", "not_measured.json"

OF_THE_DEVICE = frozenset({"interface", "load", "runtime"})
"""Failures that are told in the record.

This device, with this runtime, cannot run the file, today or tomorrow. The file ran on this
machine when it was evaluated. Wrong outputs fail the build; so do a process that hung or died and a
device that does not answer, which may go better the next time."""


def run(job: Job) -> None:
    """Measure; params `device`, `threads`, `runs`, `rounds`, `warmup`.

    Inputs `file`, `baseline` and their goldens.

    Raises:
        MeasureFailed: the outputs are not the golden ones, or the process hung or died, or the
            device does not answer.
        ProofFailed: the sparse path that was predicted did not show.
        Unsupported: the device cannot run as asked.
    """
    threads, runs, rounds, warmup = (
        int(job.params[name]) for name in ("threads", "runs", "rounds", "warmup")
    )
    order = Order(str(job.params["device"]), threads, runs, rounds, warmup)
    twin = job.inputs["file"] / TWIN
    file = _candidate(
        "file", job.inputs["file"], job.inputs["golden"], twin if twin.exists() else None
    )
    baseline = _candidate("float32", job.inputs["baseline"], job.inputs["baseline_golden"], None)
    (outcome,) = session.measure([file], baseline, order, job.progress)
    found = outcome.measurement
    if found is not None:
        demand(found)
    rows = [] if outcome.failure is None else [_row(outcome, outcome.failure, order)]
    write_parts(job.out / MEASUREMENTS, [] if found is None else [found])
    write_parts(job.out / NOT_MEASURED, rows)


def demand(found: Measurement) -> None:
    """See that the sparse path, where it was predicted, did not turn out otherwise.

    Raises:
        ProofFailed: it did; with what was predicted and what was found.
    """
    if found.sparse_path == "contradicted":
        raise ProofFailed(
            f"{found.device}: the sparse path was predicted, and did not show:"
            f" {found.sparse_reason}",
            hint=(
                "zoo preflight MANIFEST   # what the path needs; or measure again on an idle"
                " machine"
            ),
        )


def _row(outcome: Outcome, failure: Failure, order: Order) -> NotMeasured:
    """Say in the record why there is no number.

    A failure that is not in the device's nature is raised.
    """
    if failure.kind not in OF_THE_DEVICE:
        raise failure.error()
    kind = order.device.partition(":")[
        0
    ]  # what stands behind it, a serial number or an address, is nobody's business
    return NotMeasured(
        file_sha256=outcome.candidate.sha256,
        device=kind,
        threads=order.threads,
        kind=failure.kind,
        message=failure.message,
        when=datetime.now(UTC),
    )


def _candidate(name: str, file: Path, evaluated: Path, twin: Path | None) -> Candidate:
    vectors = golden.load(evaluated)
    subject = Subject(file / MODEL, evaluated / "golden.npz", vectors.atol, vectors.rule)
    return Candidate.of(name, subject, twin)
