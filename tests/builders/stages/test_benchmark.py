"""Measuring on this machine: real children, real times.

Nothing is asserted about how fast it is.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo_builders.devices import DEVICES, Setting, Subject, host
from zoo_builders.devices.agent.runner import AgentRunner
from zoo_builders.lab import protocol
from zoo_builders.stage import Job
from zoo_builders.stages import evaluate
from zoo_builders.stages.benchmark import demand, run
from zoo_builders.tflite.golden import load
from zoo_client import machine
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import MeasureFailed, ProofFailed, Unsupported
from zoo_registry.model.measurement import Measurement, NotMeasured

pytestmark = pytest.mark.process

Files = Mapping[str, bytes]
MakeJob = Callable[..., Job]
PARAMS = {"device": "host-cpu", "threads": 1, "runs": 50, "rounds": 5, "warmup": 5, "host": ""}


@pytest.fixture
def judged(
    files: Files, data: Path, make_job: MakeJob, tmp_path: Path
) -> Callable[[str], tuple[Path, Path]]:
    """Give the folders of a file's convert and evaluate stage."""

    def judge(name: str) -> tuple[Path, Path]:
        folder = tmp_path / f"file-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "model.tflite").write_bytes(files[name])
        params = {
            "task": "image-classification",
            "split": "calibration",
            "calibration": "calibration",
        }
        job = make_job("evaluate", params, file=folder, baseline=files["fp32"], data=data)
        evaluate.run(job)
        return folder, job.out

    return judge


@pytest.fixture
def subject(judged: Callable[[str], tuple[Path, Path]]) -> Subject:
    file, golden = judged("fp32")
    vectors = load(golden)
    return Subject(file / "model.tflite", golden / "golden.npz", vectors.atol, vectors.rule)


SETTING = Setting("host-cpu", threads=1, timeout_s=60)


def child(subject: Subject, setting: Setting = SETTING) -> AgentRunner:
    runner = DEVICES.get("host-cpu").connect(setting).prepare(subject)
    assert isinstance(runner, AgentRunner)
    return runner


def test_a_measurement_carries_its_conditions(
    judged: Callable[[str], tuple[Path, Path]], make_job: MakeJob
) -> None:
    (file, golden), (baseline, baseline_golden) = judged("int8"), judged("fp32")
    job = make_job(
        "benchmark",
        PARAMS,
        file=file,
        golden=golden,
        baseline=baseline,
        baseline_golden=baseline_golden,
    )
    run(job)
    (plain,) = json.loads((job.out / "measurements.json").read_bytes())
    found = Measurement.model_validate(plain, extra="forbid")
    assert (found.runs, found.rounds, found.warmup, found.threads) == (50, 5, 5, 1)
    assert found.file_sha256 != found.baseline.sha256
    assert found.latency_ms.min <= found.latency_ms.median <= found.latency_ms.max
    assert found.ratio.ci95[0] <= found.ratio.value <= found.ratio.ci95[1]
    assert found.noisy == bool(found.noise_causes)
    assert (found.delegate, found.partitions, found.nodes_delegated) == (
        "XNNPACK",
        1,
        found.nodes_total,
    )
    assert found.protocol == protocol.NAME
    assert found.host == machine.describe()
    assert found.sparse_path == "none"


def test_the_baseline_measures_itself_by_the_control(
    judged: Callable[[str], tuple[Path, Path]], make_job: MakeJob
) -> None:
    file, golden = judged("fp32")
    job = make_job(
        "benchmark",
        PARAMS | {"runs": 20},
        file=file,
        golden=golden,
        baseline=file,
        baseline_golden=golden,
    )
    run(job)
    found = Measurement.model_validate(json.loads((job.out / "measurements.json").read_bytes())[0])
    assert found.verdict == "baseline"
    assert found.ratio == found.aa_ratio


def test_a_device_that_cannot_run_a_file_becomes_a_row_not_a_failed_build(
    judged: Callable[[str], tuple[Path, Path]], make_job: MakeJob, files: Files
) -> None:
    (file, golden), (baseline, baseline_golden) = judged("int8"), judged("fp32")
    (file / "model.tflite").write_bytes(files["int8"][:4000])  # what this device cannot load
    job = make_job(
        "benchmark",
        PARAMS,
        file=file,
        golden=golden,
        baseline=baseline,
        baseline_golden=baseline_golden,
    )
    run(job)
    assert json.loads((job.out / "measurements.json").read_bytes()) == []
    (plain,) = json.loads((job.out / "not_measured.json").read_bytes())
    found = NotMeasured.model_validate(plain, extra="forbid")
    assert (found.kind, found.device, found.threads) == ("load", "host-cpu", 1)
    assert found.file_sha256 == Digest.of(files["int8"][:4000])
    assert "not a valid Flatbuffer" in found.message


def test_wrong_outputs_fail_the_build(
    judged: Callable[[str], tuple[Path, Path]], make_job: MakeJob, files: Files
) -> None:
    (file, golden), (baseline, baseline_golden) = judged("int8"), judged("fp32")
    (file / "model.tflite").write_bytes(files["sparse"])
    job = make_job(
        "benchmark",
        PARAMS,
        file=file,
        golden=golden,
        baseline=baseline,
        baseline_golden=baseline_golden,
    )
    with pytest.raises(MeasureFailed) as caught:
        run(job)
    assert caught.value.kind == "wrong-output"
    assert not list(job.out.iterdir())


def test_a_contradicted_sparse_path_fails_the_build_with_both_sides(
    make_measurement: Callable[..., Measurement],
) -> None:
    digest = Digest.of(b"a file")
    demand(make_measurement(digest))
    told = (
        "1.30 [1.25, 1.35] of the time of the same graph with dense weights, though 75.0% of its"
        " weights are zero"
    )
    with pytest.raises(ProofFailed, match="the sparse path was predicted") as caught:
        demand(make_measurement(digest, sparse_path="contradicted", sparse_reason=told))
    assert told in caught.value.message
    assert "zoo preflight" in caught.value.hint


def test_a_child_runs_as_often_as_told_and_is_pinned(subject: Subject) -> None:
    with child(subject) as one:
        assert one.ready.pinned
        assert len(one.run(7)) == 7
        assert all(seconds > 0 for seconds in one.run(3))
        assert one.peak_memory_mb() > 0


def test_no_time_is_taken_of_a_file_with_other_outputs(subject: Subject, files: Files) -> None:
    subject.file.write_bytes(files["sparse"])
    with child(subject) as one, pytest.raises(MeasureFailed, match="golden examples are off"):
        _ = one.ready


def test_a_damaged_file_is_the_runtimes_error(subject: Subject) -> None:
    subject.file.write_bytes(b"TFL3" * 8)
    with (
        child(subject) as one,
        pytest.raises(MeasureFailed, match=r"model\.tflite: the runtime cannot prepare"),
    ):
        _ = one.ready


def test_a_child_that_dies_is_an_error_and_leaves_nothing_behind(subject: Subject) -> None:
    with child(subject) as one:
        _ = one.ready
        one._talk.process.kill()
        with pytest.raises(MeasureFailed, match="ended with code -9"):
            one.run(1)
    assert one._talk.process.returncode == -signal.SIGKILL


def test_a_child_that_hangs_is_ended(subject: Subject) -> None:
    with child(subject, Setting("host-cpu", threads=1, timeout_s=20)) as one:
        _ = one.ready
        os.kill(one._talk.process.pid, signal.SIGSTOP)
        one._talk.timeout_s = 0.2
        with pytest.raises(MeasureFailed, match=r"no answer within 0\.2 s"):
            one.run(1)
    assert one._talk.process.poll() is not None


def test_more_threads_than_cores_are_refused(subject: Subject) -> None:
    with pytest.raises(Unsupported, match="4096 threads on"):
        child(subject, Setting("host-cpu", threads=4096))


def test_the_agent_imports_little() -> None:
    import subprocess
    import sys

    code = (
        "import sys, zoo_builders.devices.agent.child as a; a.Agent(); print([m for m in"
        " ('tensorflow','pydantic','fastapi','rich') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
        == "[]"
    )


def test_the_host_is_described_alike_each_time_and_says_nothing_of_people() -> None:
    import getpass
    import socket

    first = machine.describe()
    assert first == machine.describe()
    assert first.cores == os.cpu_count()
    text = first.model_dump_json()
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert getpass.getuser() not in text or len(getpass.getuser()) < 5


def test_load_counts_others_but_not_ourselves() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("the system has no /proc/stat")
    before, ends = host.Clock.look(), time.monotonic() + 0.5
    spin = threading.Thread(
        target=lambda: [None for _ in iter(lambda: time.monotonic() < ends, False)]
    )
    spin.start()
    spin.join()
    after = host.Clock.look()
    alone = host.Clock(after.busy, after.stolen, after.total, own=before.own)
    assert after.since(before).others < alone.since(before).others
