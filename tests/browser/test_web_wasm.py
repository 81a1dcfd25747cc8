"""`web-wasm` with its real parts: Chromium, LiteRT.js, processes.

Nothing is asserted about how fast anything is.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from playwright.sync_api import Browser

from zoo_builders.devices import Setting, Subject, host
from zoo_builders.devices.browser import processes
from zoo_builders.devices.browser.server import BrowserFiles
from zoo_builders.devices.web_wasm import WebBrowser, WebWasm
from zoo_builders.lab.candidates import Candidate, Order, Outcome
from zoo_builders.lab.session import measure
from zoo_builders.tflite import litert
from zoo_builders.tflite.golden import Vectors
from zoo_client import machine
from zoo_registry.litertjs import installed
from zoo_registry.model.errors import MeasureFailed, Unsupported

pytestmark = [pytest.mark.browser, pytest.mark.litertjs]

FILES = Path(__file__).resolve().parents[1] / "golden" / "files"
SETTING = Setting("web-wasm", threads=1, timeout_s=60)
PATIENCE_S = 60
MakeSubject = Callable[..., Subject]
Change = Callable[[Any], None]


def changed(data: bytes, change: Change) -> bytes:
    """Pack a file again after `change` to its object form."""
    model = litert.schema().ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def integer_interface(model: Any) -> None:
    """Take away the operators that quantize at the entry and dequantize at the exit."""
    graph = model.subgraphs[0]
    first, last = graph.operators[0], graph.operators[-1]
    graph.inputs, graph.outputs = [first.outputs[0]], [last.inputs[0]]
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex = (
            first.outputs[0],
            last.inputs[0],
        )
    graph.operators = graph.operators[1:-1]


def not_a_number(model: Any) -> None:
    """Make the last layer's bias NaN."""
    graph = model.subgraphs[0]
    dense = next(one for one in reversed(graph.operators) if len(one.inputs) == 3)
    bias = model.buffers[graph.tensors[dense.inputs[2]].buffer]
    bias.data = np.frombuffer(np.full(len(bias.data) // 4, np.nan, np.float32).tobytes(), np.uint8)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> MakeSubject:
    """Make a subject of a committed file, or of a changed one.

    Golden vectors are those of `like`, by default its own.
    """
    folder = tmp_path_factory.mktemp("subjects")

    def make(name: str, change: Change | None = None, like: str = "") -> Subject:
        data = (FILES / f"{name}.tflite").read_bytes()
        file = folder / f"{name}{f'-{change.__name__}' if change else ''}.tflite"
        file.write_bytes(changed(data, change) if change else data)
        session = litert.Session(
            (FILES / f"{like}.tflite").read_bytes() if like else file.read_bytes()
        )
        examples = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
        stored = [session.inputs[0].store(example[None]) for example in examples]
        outputs = [session.run([one])[0] for one in stored]
        golden = file.with_suffix(".npz")
        golden.write_bytes(Vectors((np.stack(stored),), (np.stack(outputs),), 1e-3).to_bytes())
        return Subject(file, golden, 3.0 if outputs[0].dtype == np.int8 else 0.05)

    return make


@pytest.fixture(scope="module")
def place() -> Iterator[WebBrowser]:
    with WebWasm().connect(SETTING) as connected:
        yield connected


def family(agent: int) -> dict[int, str]:
    """Give the living processes that descend from an agent, and itself.

    Each with its command line.
    """
    parents, commands = dict[int, int](), dict[int, str]()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            if fields[0] != "Z":
                parents[int(entry.name)], commands[int(entry.name)] = (
                    int(fields[1]),
                    (entry / "cmdline").read_text().replace("\0", " "),
                )
    found, waiting = set[int](), [agent]
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting += [pid for pid, parent in parents.items() if parent == one]
    return {pid: commands[pid] for pid in found if pid in commands}


def gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes lives."""

    def dead(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
        except OSError:
            return True

    return all(map(dead, pids))


def computing(place: WebBrowser) -> dict[int, int]:
    """Give the threads of web workers, each with the process it belongs to."""
    owner = {
        int(task.name): pid
        for pid in family(place._talk.process.pid)
        for task in Path(f"/proc/{pid}/task").glob("*")
    }
    return {
        task: owner[task] for task in processes.threads(place._talk.process.pid, "DedicatedWorker")
    }


def wait_until(condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.1)


def test_the_host_is_this_machine_as_a_page_sees_it(place: WebBrowser) -> None:
    here = machine.describe()
    assert (place.host.arch, place.host.cpu) == ("wasm", here.cpu)
    assert {"simd", "threads"} <= set(place.host.features), "threads: the page is isolated"
    assert place.host.os.startswith("Chromium ")
    assert place.host.os.endswith(here.os)
    assert place.host.fingerprint != here.fingerprint
    assert host.xnnpack_cpu(place.host) == "wasm-simd"


def test_each_file_has_a_pinned_process_and_memory_of_its_own(
    place: WebBrowser, subject: MakeSubject
) -> None:
    with place.prepare(subject("fp32")) as one, place.prepare(subject("sparse")) as other:
        assert one.ready.pinned
        assert (one.ready.delegate, other.ready.delegate) == ("XNNPACK", "XNNPACK")
        workers = computing(place)
        assert len(set(workers.values())) == 2, "two processes"
        assert {core for task in workers for core in os.sched_getaffinity(task)} == {
            host.usable_cores()[-1]
        }
        assert one.peak_memory_mb() > 1
        assert len(one.run(7)) == 7


def test_runs_too_short_for_the_clock_are_timed_in_batches(
    place: WebBrowser, subject: MakeSubject
) -> None:
    with place.prepare(subject("fp32")) as tiny:
        assert tiny.ready.init_ms > 0
        tiny.run(10)
        times = tiny.run(10)
        assert tiny.batch > 1
        assert len(set(times)) > 2, "finer than the clock's steps"


@pytest.mark.parametrize(
    ("name", "change", "like", "kind"),
    [
        ("sparse", None, "fp32", "wrong-output"),
        ("int8", integer_interface, "", "interface"),
        ("fp32", not_a_number, "fp32", "not-finite"),
    ],
)
def test_what_goes_wrong_has_its_kind_and_no_number(
    place: WebBrowser, subject: MakeSubject, name: str, change: Change | None, like: str, kind: str
) -> None:
    with (
        place.prepare(subject(name, change, like)) as runner,
        pytest.raises(MeasureFailed) as failed,
    ):
        _ = runner.ready
    assert failed.value.kind == kind, failed.value.message
    assert ("interface: float" in failed.value.hint) == (kind == "interface")


def test_damaged_bytes_are_the_runtimes_error(place: WebBrowser, subject: MakeSubject) -> None:
    good = subject("fp32")
    for name, data in (
        ("cut", good.file.read_bytes()[:5000]),
        ("noise", bytes(range(256)) * 40),
        ("empty", b""),
    ):
        file = good.file.with_name(f"{name}.tflite")
        file.write_bytes(data)
        with (
            place.prepare(Subject(file, good.golden, good.atol)) as runner,
            pytest.raises(MeasureFailed) as failed,
        ):
            _ = runner.ready
        assert failed.value.kind in {"load", "died"}, failed.value.message


def test_a_renderer_that_dies_takes_nobody_along(place: WebBrowser, subject: MakeSubject) -> None:
    with place.prepare(subject("fp32")) as victim:
        assert victim.ready.init_ms > 0
        (of_victim,) = computing(place).values()
        with place.prepare(subject("sparse")) as survivor:
            assert survivor.ready.init_ms > 0
            os.kill(of_victim, signal.SIGKILL)
            with pytest.raises(MeasureFailed) as failed:
                victim.run(5)
            assert failed.value.kind == "died"
            assert len(survivor.run(5)) == 5


def test_a_browser_that_dies_is_started_again_for_the_next_file(subject: MakeSubject) -> None:
    with WebWasm().connect(SETTING) as place:
        with place.prepare(subject("fp32")) as runner:
            assert runner.ready.init_ms > 0
            for pid, command in family(place._talk.process.pid).items():
                if "--type=" not in command and "--remote-debugging-pipe" in command:
                    os.kill(pid, signal.SIGKILL)
            with pytest.raises(MeasureFailed) as failed:
                runner.run(5)
            assert failed.value.kind == "died"
        with place.prepare(subject("fp32")) as runner:
            assert runner.ready.init_ms > 0
            os.kill(place._talk.process.pid, signal.SIGKILL)  # with all of its browser
            for _ in range(2):
                with pytest.raises(MeasureFailed) as failed:
                    runner.run(5)
                assert failed.value.kind == "died"
        known = family(place._talk.process.pid)
    wait_until(lambda: gone(known), "something of the browser is left")


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped by Ctrl-C"]
)
def test_the_browser_ends_with_whoever_asked_for_it(how: signal.Signals) -> None:
    script = (
        "import time\n"
        "from zoo_builders.devices import Setting\n"
        "from zoo_builders.devices.web_wasm import WebWasm\n"
        "with WebWasm().connect(Setting('web-wasm', 1)) as place:\n"
        "    print(place._talk.process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # background jobs of a shell are born deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        assert asking.stdout is not None
        known = family(int(asking.stdout.readline()))
        assert any("--type=" in command for command in known.values())
        os.killpg(asking.pid, how)
        asking.wait(PATIENCE_S)
        wait_until(lambda: gone(known), "something of the browser is left")
    finally:
        asking.kill()
        asking.communicate()


def test_what_is_missing_is_said_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = WebWasm()
    assert device.found()[0].missing == ""
    monkeypatch.setenv("ZOO_LITERTJS", str(tmp_path / "none"))
    (line,) = device.found()
    assert (line.missing, line.hint) == ("LiteRT.js", "zoo devices install web-wasm")
    with pytest.raises(Unsupported, match=r"LiteRT\.js"):
        device.connect(SETTING)
    monkeypatch.setenv("ZOO_CHROMIUM", str(tmp_path / "no-browser"))
    assert device.found()[0].missing == "Chromium"
    impostor = tmp_path / "not-a-browser"
    impostor.write_text("#!/bin/sh\necho no >&2\nexit 3\n")
    impostor.chmod(0o755)
    monkeypatch.delenv("ZOO_LITERTJS")
    monkeypatch.setenv("ZOO_CHROMIUM", str(impostor))
    with pytest.raises(MeasureFailed) as failed:
        device.connect(SETTING)
    assert failed.value.kind == "device"


HANGS = """
async ([file, golden, atol]) => {
  const lab = await import("/lab/runtime.js");
  const runtime = await lab.open({base: "/litertjs"});
  const bytes = async (path) => (await fetch(path)).arrayBuffer();
  const vectors = await lab.readGolden(await bytes(golden));
  const prepare = async () => runtime.prepare({bytes: new Uint8Array(await bytes(file)), golden: vectors, atol, name: "slow"});
  const [slow, other] = [await prepare(), await prepare()];
  slow.timeout = 200;
  const kinds = [];
  for (const count of [1e9, 1]) await slow.run(count).catch((error) => kinds.push(error.kind));
  return [kinds, (await other.run(3)).length];
}
"""


def test_a_file_that_hangs_is_ended_and_the_others_go_on(
    chromium: Browser, subject: MakeSubject
) -> None:
    one = subject("fp32")
    with BrowserFiles(installed.found()) as files:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{files.address}/")
        assert page.evaluate(HANGS, [files.offer(one.file), files.offer(one.golden), one.atol]) == [
            ["hang", "hang"],
            3,
        ]
        context.close()


@pytest.fixture(scope="module")
def outcomes(subject: MakeSubject) -> dict[str, Outcome]:
    """Measure a session with a sparse file and its dense twin, and one that no browser can take."""
    candidates = [
        Candidate.of("sparse", subject("sparse"), dense=None),
        Candidate.of("integers", subject("int8", integer_interface)),
    ]
    order = Order(device="web-wasm", rounds=1, runs=10, timeout_s=60)
    return {
        one.candidate.name: one
        for one in measure(candidates, Candidate.of("fp32", subject("fp32")), order)
    }


def test_a_session_gives_numbers_with_their_conditions(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["sparse"].measurement
    assert found is not None
    assert (found.device, found.runtime, found.delegate) == ("web-wasm", "litert.js", "XNNPACK")
    assert found.pinned
    assert found.host.arch == "wasm"
    assert found.sparse_path != "none", (
        "XNNPACK runs sparse kernels in WebAssembly, on every processor"
    )


def test_a_file_that_no_browser_takes_is_a_row_without_a_number(
    outcomes: dict[str, Outcome],
) -> None:
    failed = outcomes["integers"]
    assert failed.measurement is None
    assert failed.failure is not None
    assert failed.failure.kind == "interface"
    assert "interface: float" in failed.failure.hint
