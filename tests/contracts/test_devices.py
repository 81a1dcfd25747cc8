"""Every device that this machine has keeps the contract, by being there."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo_builders.devices import DEVICES, Device, Place, Setting, Subject
from zoo_builders.tflite import golden
from zoo_registry.model.errors import MeasureFailed, Unsupported

pytestmark = pytest.mark.process

FILE = Path(__file__).resolve().parents[1] / "golden" / "files" / "fp32.tflite"
IN_CI = os.environ.get("CI") == "true"
REACHED_BY = {"ssh": "ssh_here", "android": "phone_here"}
"""Fixtures that bring the other side of a device.

Each gives an object whose `device` is its full name.
"""


@pytest.fixture(params=DEVICES.names())
def device(request: pytest.FixtureRequest) -> Device:
    return DEVICES.get(request.param)


@pytest.fixture
def setting(device: Device, request: pytest.FixtureRequest) -> Setting:
    other_side = (
        request.getfixturevalue(REACHED_BY[device.name]) if device.name in REACHED_BY else None
    )
    missing = (
        ""
        if other_side
        else next((f"{line.missing}: {line.hint}" for line in device.found() if line.missing), "")
    )
    if missing and not (IN_CI and (device.measures or shutil.which("qemu-aarch64"))):
        pytest.skip(f"needs {missing}")
    return Setting(other_side.device if other_side else device.name, threads=1, timeout_s=60)


@pytest.fixture
def place(device: Device, setting: Setting) -> Iterator[Place]:
    with device.connect(setting) as connected:
        yield connected


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    data = FILE.read_bytes()
    examples = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    vectors = golden.make(data, examples)
    (tmp_path / "golden.npz").write_bytes(vectors.to_bytes())
    (tmp_path / "model.tflite").write_bytes(data)
    return Subject(tmp_path / "model.tflite", tmp_path / "golden.npz", vectors.atol, vectors.rule)


def test_it_is_registered_under_its_name_and_says_what_it_needs(device: Device) -> None:
    assert DEVICES.get(device.name) is device
    assert (type(device).__doc__ or "").strip()
    assert device.runtime
    for line in device.found():
        assert line.device.partition(":")[0] == device.name
        assert bool(line.missing) == bool(line.hint)


def test_it_describes_its_machine_the_same_way_each_time(place: Place) -> None:
    assert place.host == place.host
    assert place.host.arch
    assert place.version
    load = place.busy()
    assert 0 <= load.others <= max(place.host.cores, os.cpu_count() or 1) * 1.1
    assert 0 <= load.stolen <= 1


def test_it_loads_checks_and_runs(device: Device, place: Place, subject: Subject) -> None:
    with place.prepare(subject) as runner:
        ready = runner.ready
        assert ready == runner.ready
        assert ready.init_ms > 0
        assert ready.first_ms > 0
        assert 0 <= ready.nodes_delegated <= ready.nodes_total
        assert 0 <= runner.peak_memory_mb() < 4000
        if not device.measures:
            with pytest.raises(Unsupported):
                runner.run(5)
            return
        times = runner.run(5)
        assert len(times) == 5
        assert all(seconds > 0 for seconds in times)
        operators = runner.profile(5)
        assert all(operator.kind for operator in operators)
        assert sum(operator.ms for operator in operators) < 1e3 * max(times) * 10
        assert not operators or max(operator.ms for operator in operators) > 0
        assert min((operator.ms for operator in operators), default=0) >= 0


def test_wrong_outputs_stop_it_before_anything_is_timed(place: Place, subject: Subject) -> None:
    data = subject.file.with_name("sparse.tflite")
    data.write_bytes(FILE.with_name("sparse.tflite").read_bytes())
    with (
        place.prepare(Subject(data, subject.golden, subject.atol, subject.rule)) as runner,
        pytest.raises(MeasureFailed),
    ):
        _ = runner.ready


def test_a_missing_file_is_an_error_of_ours(place: Place, subject: Subject) -> None:
    missing = Subject(
        subject.file.with_name("none.tflite"), subject.golden, subject.atol, subject.rule
    )
    with place.prepare(missing) as runner, pytest.raises(MeasureFailed):
        _ = runner.ready


def test_what_it_cannot_do_is_refused_before_anything_starts(
    device: Device, setting: Setting
) -> None:
    with pytest.raises(Unsupported):
        device.connect(replace(setting, threads=100_000))
