"""`android:<serial>` through the real `adb`, against a server that speaks its protocol.

What is measured, and what goes wrong.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plugins.phone import SERIAL, Server, nobody_listens, write_tool
from zoo_builders.devices import DEVICES, Setting, Subject
from zoo_builders.devices.phone.adb import Adb
from zoo_builders.devices.phone.session import Handset
from zoo_builders.lab import session
from zoo_builders.lab.candidates import Candidate, Order
from zoo_builders.tflite import golden
from zoo_registry.model.errors import DigestMismatch, MeasureFailed, Unsupported

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"
SPARSE_KERNEL = "Convolution (NCHW, F32) SPMM"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder, data = tmp_path_factory.mktemp("subject"), (FILES / "fp32.tflite").read_bytes()
    vectors = golden.make(
        data, np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    )
    (folder / "model.tflite").write_bytes(data)
    (folder / "golden.npz").write_bytes(vectors.to_bytes())
    return Subject(folder / "model.tflite", folder / "golden.npz", vectors.atol, vectors.rule)


def connect(
    device: str = f"android:{SERIAL}", *, threads: int = 1, timeout_s: float = 60
) -> Handset:
    place = DEVICES.get("android").connect(Setting(device, threads, timeout_s))
    assert isinstance(place, Handset)
    return place


@pytest.fixture
def place(phone_here: Server) -> Iterator[Handset]:
    with connect() as one:
        yield one


def tool(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **how: str | list[str]
) -> Path:
    # the fields of write_tool
    file = write_tool(tmp_path / "own_tool", **how)  # type: ignore[arg-type]
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", str(file))
    return file


def test_a_phone_is_described_measured_and_left_clean(
    phone_here: Server, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(
        phone_here, tmp_path, monkeypatch, inside=[SPARSE_KERNEL, "Convolution (NHWC, F32) DWConv"]
    )
    with connect() as place:
        host = place.host
        assert (host.cpu, host.os, host.governor, host.memory_gb) == (
            "Acme AC7000 (Acme Test Phone 7)",
            "Android 14",
            "schedutil",
            8.0,
        )
        assert host.features == ("asimd", "asimddp", "asimdhp", "i8mm")
        assert SERIAL not in host.model_dump_json() + place.known_as
        assert place.known_as == "android:test-phone-7"
        with place.prepare(subject) as runner:
            assert runner.ready.pinned
            assert (runner.ready.delegate, runner.ready.partitions) == ("XNNPACK", 1)
            assert runner.ready.nodes_delegated == runner.ready.nodes_total > 0
            assert len(runner.run(7)) == 7
            assert runner.peak_memory_mb() == 2.5
            assert [step.kind for step in runner.profile(2)] == [
                SPARSE_KERNEL,
                "Convolution (NHWC, F32) DWConv",
            ]
        assert place._chosen[0].highest_khz == 2_800_000
        assert place._spent_s > 0
        assert place.busy().causes == ()
        assert len(phone_here.phone.left) == 1
    assert not phone_here.phone.left


@pytest.mark.parametrize(("name", "shape"), [("lstm", (8, 8, 1)), ("counter", (4,))])
def test_a_file_that_keeps_state_is_compared_in_runs_alone(
    place: Handset, tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    file = FILES.parent / "stateful" / f"{name}.tflite"
    inputs = np.random.default_rng(0).uniform(0, 1, (3, *shape)).astype(np.float32)
    vectors = golden.make(file.read_bytes(), inputs)
    (tmp_path / "golden.npz").write_bytes(vectors.to_bytes())
    with place.prepare(Subject(file, tmp_path / "golden.npz", 1e-5)) as runner:
        assert runner.ready.first_ms > 0


def test_kernels_named_by_the_phone_confirm_the_sparse_path(
    phone_here: Server, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone_here.phone.properties["ro.product.cpu.abi"] = "arm64-v8a"
    phone_here.phone.thermal = 3
    phone_here.phone.write()
    tool(phone_here, tmp_path, monkeypatch, inside=[SPARSE_KERNEL])
    data = (FILES / "sparse.tflite").read_bytes()
    vectors = golden.make(
        data, np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    )
    (tmp_path / "sparse.tflite").write_bytes(data)
    (tmp_path / "sparse.npz").write_bytes(vectors.to_bytes())
    sparse = Candidate.of(
        "sparse",
        Subject(tmp_path / "sparse.tflite", tmp_path / "sparse.npz", vectors.atol, vectors.rule),
    )
    (found,) = session.measure(
        [sparse],
        Candidate.of("fp32", subject),
        Order("android", runs=2, rounds=1, warmup=1, timeout_s=60),
    )
    assert found.measurement is not None
    assert found.measurement.sparse_path == "confirmed"
    assert "SPMM" in found.measurement.sparse_reason
    assert found.measurement.device == "android:test-phone-7"
    assert SERIAL not in found.measurement.model_dump_json()
    assert any("thermal status 3, severe" in cause for cause in found.measurement.noise_causes)
    assert found.measurement.noisy


def test_heat_capped_clocks_and_saving_power_are_causes_of_noise(
    phone_here: Server, place: Handset
) -> None:
    phone = phone_here.phone
    phone.thermal, phone.level, phone.temperature, phone.saver, phone.cap_khz = (
        2,
        12,
        431,
        "1",
        1_500_000,
    )
    phone.write()
    causes = "; ".join(place.busy().causes)
    for words in (
        "thermal status 2, moderate",
        "1500 of its 2800 MHz",
        "battery saver",
        "battery is at 12 %",
        "43.1 °C",
    ):
        assert words in causes


def test_what_a_phone_cannot_read_is_the_tools_error(
    place: Handset, subject: Subject, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"TFL3" * 8)
    with (
        place.prepare(Subject(broken, subject.golden, subject.atol, subject.rule)) as runner,
        pytest.raises(MeasureFailed, match=r"^broken\.tflite: ") as caught,
    ):
        _ = runner.ready
    assert caught.value.kind == "load"


@pytest.mark.parametrize(
    ("before", "kind", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died", "signal 11"),
        (
            "import sys; print('ERROR: no memory'); sys.exit(3)",
            "runtime",
            "code 3: ERROR: no memory",
        ),
        ("import sys; print('INFO: STARTING!'); sys.exit(0)", "runtime", "wrote no outputs"),
        ("import time; time.sleep(60)", "hang", r"no answer within 1\.5 s"),
    ],
)
def test_a_tool_that_misbehaves_gives_a_typed_failure_and_no_number(
    phone_here: Server,
    subject: Subject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    kind: str,
    words: str,
) -> None:
    tool(phone_here, tmp_path, monkeypatch, before=before)
    with (
        connect(timeout_s=1.5 if kind == "hang" else 60) as place,
        place.prepare(subject) as runner,
    ):
        with pytest.raises(MeasureFailed, match=words) as caught:
            runner.run(3)
        assert caught.value.kind == kind
        assert ("CompiledModel" in caught.value.hint) == ("wrote no outputs" in words)
    assert not phone_here.phone.left


def test_outputs_that_are_not_numbers_are_found_here(
    place: Handset, subject: Subject, tmp_path: Path
) -> None:
    with np.load(subject.golden) as archive:
        arrays = dict(archive)
    arrays["input_0"][:] = np.nan
    np.savez(tmp_path / "golden.npz", **arrays)
    with (
        place.prepare(Subject(subject.file, tmp_path / "golden.npz", 0.1)) as runner,
        pytest.raises(MeasureFailed) as caught,
    ):
        _ = runner.ready
    assert caught.value.kind == "not-finite"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("gone while pushing", "did not arrive"),
        ("push fails", "No space left on device"),
        ("wrong bytes", "arrived on the phone as sha256:"),
        ("shell fails", "closed by the phone"),
        ("garbage status", "the adb server: .*protocol fault"),
        ("endless length", "the adb server: "),
    ],
)
def test_a_server_or_phone_that_fails_on_the_way_is_a_device_failure(
    phone_here: Server, fault: str, words: str
) -> None:
    phone_here.fault = fault
    with pytest.raises(MeasureFailed, match=words) as caught:
        connect()
    assert caught.value.kind == "device"


def test_a_list_of_garbage_names_no_phone(phone_here: Server) -> None:
    phone_here.fault = "garbage length"
    with pytest.raises(Unsupported, match="is connected"):
        connect()


def test_a_server_that_never_answers_does_not_hold_us(phone_here: Server) -> None:
    phone_here.fault = "silent"
    with pytest.raises(MeasureFailed, match="no answer within 1 s") as caught:
        connect(timeout_s=1)
    assert caught.value.kind == "hang"


def test_a_phone_that_goes_away_between_runs_is_lost(phone_here: Server, subject: Subject) -> None:
    with connect() as place, place.prepare(subject) as runner:
        _ = runner.ready
        phone_here.states.clear()
        with pytest.raises(MeasureFailed, match="not found") as caught:
            runner.run(1)
        assert caught.value.kind == "device"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("unauthorized", "has not allowed"),
        ("offline", "does not answer"),
        ("recovery", "in recovery"),
    ],
)
def test_a_phone_that_cannot_be_used_says_why_and_what_to_do(
    phone_here: Server, state: str, words: str
) -> None:
    phone_here.states[SERIAL] = state
    with pytest.raises(Unsupported, match=words) as caught:
        connect()
    assert caught.value.hint
    (line,) = DEVICES.get("android").found()
    assert words in line.missing


def test_of_two_phones_one_is_named(phone_here: Server) -> None:
    phone_here.states["emulator-5554"] = "device"
    with pytest.raises(Unsupported, match="2 phones are connected, and none is named") as caught:
        connect("android")
    assert f"android:{SERIAL}" in caught.value.hint
    with connect("android:emulator-5554") as place:
        assert place._adb.serial == "emulator-5554"
    assert len(DEVICES.get("android").found()) == 2


def test_the_only_phone_needs_no_name(phone_here: Server) -> None:
    with connect("android:") as place:
        assert place._adb.serial == SERIAL


@pytest.mark.parametrize("serial", ["-s", "a b", "x;id", "nobody"])
def test_a_serial_number_that_is_not_connected_is_refused(phone_here: Server, serial: str) -> None:
    with pytest.raises(Unsupported, match="is connected"):
        connect(f"android:{serial}")


def test_phones_before_android_7_are_refused(phone_here: Server) -> None:
    phone_here.features = "cmd"
    with pytest.raises(Unsupported, match="older than Android 7"):
        connect()


def test_without_the_tool_the_user_learns_where_it_is(adb_server: Server) -> None:
    with pytest.raises(Unsupported, match="benchmark_model for x86_64 is not here") as caught:
        connect()
    assert "https://" in caught.value.hint
    (line,) = DEVICES.get("android").found()
    assert "benchmark_model" in line.missing


def test_the_tool_is_the_one_that_was_stated_or_used_before(
    phone_here: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tool(phone_here, tmp_path, monkeypatch)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", f"{file}#sha256:{sha256}")
    with connect() as place:
        assert place.version == f"benchmark_model sha256:{sha256[:12]}"
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", f"{file}#sha256:{'0' * 64}")
    with pytest.raises(DigestMismatch):
        connect()
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", str(file))
    connect().leave()
    write_tool(file, before="# another one")
    with pytest.raises(DigestMismatch, match="not the one used before") as caught:
        connect()
    assert caught.value.hint.startswith("if you replaced it on purpose: rm ")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"<html>not found</html>", "is no program"),
        (
            b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"),
            "is a program for arm64-v8a, the phone wants x86_64",
        ),
    ],
)
def test_a_tool_for_something_else_is_not_sent(
    adb_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, words: str
) -> None:
    (tmp_path / "benchmark_model").write_bytes(head)
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", str(tmp_path / "benchmark_model"))
    with pytest.raises(Unsupported, match=words):
        connect()
    assert not adb_server.phone.left


def test_looking_for_phones_starts_no_server(
    adb_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = nobody_listens()
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    (line,) = DEVICES.get("android").found()
    assert line.missing == "adb's server"
    assert line.hint.startswith("adb start-server")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    adb_server.states.clear()
    (line,) = DEVICES.get("android").found()
    assert line.missing == "a phone"


def test_a_phone_that_lacks_nothing_is_listed_as_ready_and_one_that_fails_says_so(
    phone_here: Server,
) -> None:
    (line,) = DEVICES.get("android").found()
    assert (line.device, line.what, line.missing, line.hint) == (
        f"android:{SERIAL}",
        "Test Phone 7",
        "",
        "",
    )
    phone_here.fault = "shell fails"
    (line,) = DEVICES.get("android").found()
    assert "closed by the phone" in line.missing
    assert line.hint


def test_without_adb_the_device_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Adb.find() is None
    (line,) = DEVICES.get("android").found()
    assert (line.missing, line.hint) == ("adb", "apt install adb")
    with pytest.raises(Unsupported, match="adb is not installed"):
        connect()
