"""`emulated-arm64`: what it shows where QEMU is, what is said where a part is missing.

And that no number can come of it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from zoo_builders.devices import DEVICES, Ready, Setting, Subject, emulator
from zoo_builders.devices.emulated_arm64 import EmulatedRunner
from zoo_builders.devices.emulator import Emulator
from zoo_builders.lab import path_check, session
from zoo_builders.lab.candidates import Candidate, Failure, Order
from zoo_builders.lab.path_check import Evidence
from zoo_builders.tflite import dense_twin, golden
from zoo_client.settings import Settings
from zoo_registry.model.errors import Unreachable, Unsupported
from zoo_registry.model.record import Ratio

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"
IN_CI = os.environ.get("CI") == "true"
READY = Ready(
    init_ms=1,
    first_ms=1,
    delegate="XNNPACK",
    nodes_delegated=11,
    nodes_total=11,
    partitions=1,
    pinned=False,
)


def fake(folder: Path, name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program before all others."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{line}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def candidate(folder: Path, name: str) -> Candidate:
    data = (FILES / f"{name}.tflite").read_bytes()
    vectors = golden.make(
        data, np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    )
    (folder / f"{name}.tflite").write_bytes(data)
    (folder / f"{name}.npz").write_bytes(vectors.to_bytes())
    twin = dense_twin.densify(data)
    if twin is not None:
        (folder / f"{name}-dense.tflite").write_bytes(twin)
    subject = Subject(folder / f"{name}.tflite", folder / f"{name}.npz", vectors.atol, vectors.rule)
    return Candidate.of(
        name, subject, folder / f"{name}-dense.tflite" if twin is not None else None
    )


def test_a_sparse_file_shows_its_path_and_a_wrong_one_its_failure(tmp_path: Path) -> None:
    (line,) = DEVICES.get("emulated-arm64").found()
    if line.missing and not (IN_CI and shutil.which("qemu-aarch64")):
        pytest.skip(f"needs {line.missing}: {line.hint}")
    sparse, fp32 = candidate(tmp_path, "sparse"), candidate(tmp_path, "fp32")
    fp32.subject.file.write_bytes(sparse.subject.file.read_bytes())
    seen, wrong = path_check.gather([sparse, fp32], Order("emulated-arm64"))
    assert seen.failure is None, seen.told()
    assert seen.ratio is not None
    assert (
        seen.ratio.value < path_check.TAKEN_BELOW
    )  # its interval may be wide on a machine that is busy
    assert "outputs agree" in seen.told()
    assert wrong.failure is not None
    assert wrong.failure.kind == "wrong-output"


def test_no_session_and_no_runner_gives_a_number(tmp_path: Path) -> None:
    device = DEVICES.get("emulated-arm64")
    one = candidate(tmp_path, "fp32")
    assert not device.measures
    with pytest.raises(Unsupported, match="no latency"):
        session.measure([one], one, Order("emulated-arm64"))
    # it must refuse before it talks to anybody
    runner = EmulatedRunner(None, dict)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="no latency"):
        runner.run(1)


def test_places_that_measure_are_parted_from_those_that_only_show() -> None:
    timed, witnessed = path_check.split(
        [Order("host-cpu"), Order("emulated-arm64"), Order("ssh:pi")]
    )
    assert [order.device for order in timed] == ["host-cpu", "ssh:pi"]
    assert [order.device for order in witnessed] == ["emulated-arm64"]


@pytest.mark.parametrize(
    ("ratio", "path", "words"),
    [
        (
            Ratio(value=0.43, ci95=(0.42, 0.45)),
            "taken",
            "sparse/dense ratio under emulation 0.43: path taken; no latency",
        ),
        (Ratio(value=1.0, ci95=(0.98, 1.02)), "not taken", "path not taken"),
        (Ratio(value=0.85, ci95=(0.7, 1.0)), "unclear", "unclear whether"),
        (None, "not stored sparse", "outputs agree; 11/11 nodes taken by XNNPACK; no latency"),
    ],
)
def test_evidence_says_what_it_means(ratio: Ratio | None, path: str, words: str) -> None:
    seen = Evidence("a.tflite", "emulated-arm64", READY, ratio)
    assert seen.path == path
    assert words in seen.told()


def test_a_failure_is_told_with_its_kind() -> None:
    assert (
        Evidence("a", "emulated-arm64", failure=Failure("load", "broken")).told()
        == "a: load: broken"
    )


def test_without_qemu_the_device_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = DEVICES.get("emulated-arm64").found()
    assert "not installed" in line.missing
    assert line.hint.startswith("apt install qemu-user")
    with pytest.raises(Unsupported):
        DEVICES.get("emulated-arm64").connect(Setting("emulated-arm64", 1))


def test_an_old_qemu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", "qemu-aarch64", "echo qemu-aarch64 version 7.2.15", monkeypatch)
    with pytest.raises(Unsupported, match=r"7\.2\.15 crashes"):
        Emulator.find(Settings.read())


def test_with_qemu_alone_the_command_that_brings_the_rest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "bin", "qemu-aarch64", "echo qemu-aarch64 version 10.0.2", monkeypatch)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Unsupported) as caught:
        Emulator.find(Settings.read())
    assert caught.value.hint == "zoo devices install emulated-arm64"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("apt-get", "echo E: no such suite >&2; exit 100"),
        ("dpkg-deb", "echo dpkg-deb: error: not a package >&2; exit 2"),
    ],
)
def test_an_installation_that_fails_leaves_what_was_there(
    program: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "bin", "qemu-aarch64", "echo qemu-aarch64 version 10.0.2", monkeypatch)
    fake(tmp_path / "bin", "dpkg-deb", "exit 0", monkeypatch)
    archives = (
        'for part in "$@"; do case $part in Dir::Cache=*) touch'
        ' "${part#Dir::Cache=}/archives/a.deb";; esac; done'
    )
    fake(tmp_path / "bin", "apt-get", archives, monkeypatch)
    fake(tmp_path / "bin", program, line, monkeypatch)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    settings = Settings.read()
    before = emulator.where(settings)
    before.mkdir(parents=True)
    (before / "ready").write_text(json.dumps({"python": "usr/bin/python3.11", "litert": "2.0"}))
    told: list[str] = []
    with pytest.raises(Unreachable, match=rf"{program} ended with code"):
        emulator.install(settings, told.append)
    assert Emulator.find(settings).litert == "2.0"
    assert list(before.parent.iterdir()) == [before]
    assert told


def test_the_emulated_process_sees_nothing_of_this_machines_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("LD_PRELOAD", "")
    one = Emulator("/usr/bin/qemu-aarch64", "10.0", tmp_path, "usr/bin/python3.11", "2.3")
    environment = one.environment()
    assert "PYTHONHOME" not in environment
    assert "LD_PRELOAD" not in environment
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "site")
    assert one.command("m")[:3] == ("/usr/bin/qemu-aarch64", "-L", str(tmp_path / "root"))


def test_zoo_bench_refuses_to_submit_what_is_no_latency(tmp_path: Path) -> None:
    done = subprocess.run(
        ["zoo", "bench", str(FILES / "fp32.tflite"), "--device", "emulated-arm64", "--submit"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "gives no latency to submit" in done.stderr
