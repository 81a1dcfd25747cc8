"""Sessions of many files: real processes, real broken files.

Each failure has a kind and stops nobody else.
"""

import os
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from zoo_builders.devices import DEVICES, Setting, Subject
from zoo_builders.devices.host_cpu import Machine
from zoo_builders.lab import protocol
from zoo_builders.lab import session as session_lab
from zoo_builders.lab.candidates import Candidate, Order, Outcome
from zoo_builders.tflite import golden, litert
from zoo_builders.tflite.dense_twin import densify
from zoo_builders.tflite.flatbuffer import IDENTIFIER
from zoo_builders.tflite.inspection import inspect
from zoo_registry.model.errors import MEASURE_FAILURES, Unsupported
from zoo_registry.model.measurement import Host
from zoo_registry.model.submitted import PROTOCOLS, accept

pytestmark = pytest.mark.process

Files = Mapping[str, bytes]
QUICK = Order(runs=5, rounds=1, warmup=2, timeout_s=60)


class Shelf:
    """Candidates from bytes: each with golden vectors of its own, or those of other bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(
        self, name: str, data: bytes, golden_of: bytes | None = None, dense: bytes | None = None
    ) -> Candidate:
        source = golden_of or data
        vectors = golden.seeded(source, examples=2)
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        for part, content in (
            ("model.tflite", data),
            ("golden.npz", vectors.to_bytes()),
            ("dense.tflite", dense),
        ):
            if content is not None:
                (folder / part).write_bytes(content)
        subject = Subject(
            folder / "model.tflite", folder / "golden.npz", vectors.atol, vectors.rule
        )
        return Candidate.of(name, subject, folder / "dense.tflite" if dense is not None else None)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    """Change a file through the schema's own objects."""
    model = litert.schema().ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def with_a_nan(model: Any) -> None:
    graph = model.subgraphs[0]
    kernel = graph.tensors[graph.operators[-1].inputs[1]]
    values = np.frombuffer(bytes(model.buffers[kernel.buffer].data), np.float32).copy()
    values[:] = np.nan
    model.buffers[kernel.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def with_an_unknown_operator(model: Any) -> None:
    code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = litert.schema().BuiltinOperator.CUSTOM
    code.deprecatedBuiltinCode = litert.schema().BuiltinOperator.CUSTOM
    code.customCode = b"NobodyKnowsThis"


def with_a_filter_that_does_not_fit(model: Any) -> None:
    graph = model.subgraphs[0]
    kernel = graph.tensors[graph.operators[-1].inputs[1]]
    kernel.shape = [kernel.shape[0] * 2, kernel.shape[1] // 2]


def test_a_file_that_fails_leaves_the_session_and_the_others_go_on(
    shelf: Shelf, files: Files
) -> None:
    fp32 = files["fp32"]
    broken = {
        "truncated": (fp32[:5000], "load", "not a valid Flatbuffer"),
        "nan": (edited(fp32, with_a_nan), "not-finite", "not numbers"),
        "unknown operator": (edited(fp32, with_an_unknown_operator), "load", "NobodyKnowsThis"),
        "does not fit": (edited(fp32, with_a_filter_that_does_not_fit), "load", "prepare"),
        "other outputs": (files["sparse"], "wrong-output", "golden examples are off"),
        "empty": (b"", "load", "prepare"),
    }
    candidates = [shelf.put(name, data, golden_of=fp32) for name, (data, _, _) in broken.items()]
    good = shelf.put("good", files["int8"])
    outcomes = session_lab.measure([*candidates, good], shelf.put("float", fp32), QUICK)
    assert [one.candidate.name for one in outcomes] == [*broken, "good"]
    for one in outcomes[:-1]:
        _, kind, words = broken[one.candidate.name]
        assert one.measurement is None
        assert one.failure is not None
        assert (one.failure.kind, words in one.failure.message) == (kind, True), one.failure
        assert one.failure.error().kind in MEASURE_FAILURES
    assert outcomes[-1].measurement is not None
    assert outcomes[-1].measurement.file_sha256 == good.sha256


def children() -> list[int]:
    """Processes of this one, in the order they were started.

    Servers of other tests may be among them.
    """
    return [
        int(pid)
        for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    ]


class Strike:
    """A session's progress that does something to the process of the candidate `victim`.

    The `at`-th time it is named: 1 before it loads,
    2 before its first turn."""

    def __init__(self, deed: Callable[[int], object], at: int = 2) -> None:
        self._deed, self._at, self._seen = deed, at, 0
        self._others = frozenset(children())

    def __call__(self, done: int, total: int, note: str) -> None:
        assert 0 < done <= total
        self._seen += note.endswith("victim")
        if note.endswith("victim") and self._seen == self._at:
            self._deed(self.ours()[2])  # started after the baseline and its control

    def ours(self) -> list[int]:
        """Processes that were started since."""
        return [pid for pid in children() if pid not in self._others]

    @property
    def done(self) -> bool:
        return self._seen >= self._at


@pytest.mark.parametrize(
    ("deed", "kind", "words"),
    [
        (lambda pid: os.kill(pid, signal.SIGKILL), "died", "-9 (SIGKILL, as when memory runs out)"),
        (lambda pid: os.kill(pid, signal.SIGABRT), "died", "SIGABRT"),
        (lambda pid: os.kill(pid, signal.SIGSTOP), "hang", "no answer within"),
    ],
    ids=["killed", "aborted", "stopped"],
)
def test_a_process_that_hangs_or_dies_fails_alone(
    shelf: Shelf, files: Files, deed: Callable[[int], None], kind: str, words: str
) -> None:
    strike = Strike(deed)
    victim, other = shelf.put("victim", files["sparse"]), shelf.put("other", files["int8"])
    order = Order(runs=5, rounds=2, warmup=2, timeout_s=10)
    lost, kept = session_lab.measure(
        [victim, other], shelf.put("float", files["fp32"]), order, strike
    )
    assert strike.done
    assert lost.failure is not None
    assert (lost.failure.kind, words in lost.failure.message) == (kind, True), lost.failure
    assert kept.measurement is not None
    assert not strike.ours()


def test_a_file_that_memory_does_not_suffice_for_has_no_number(shelf: Shelf, files: Files) -> None:
    strike = Strike(lambda pid: resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20)), at=1)
    (lost,) = session_lab.measure(
        [shelf.put("victim", files["sparse"])], shelf.put("float", files["fp32"]), QUICK, strike
    )
    assert strike.done
    assert lost.failure is not None
    assert lost.failure.kind in {"load", "died"}


def test_without_a_baseline_nobody_has_a_number_and_each_is_told_why(
    shelf: Shelf, files: Files
) -> None:
    wrong = shelf.put("float", files["sparse"], golden_of=files["fp32"])
    outcomes = session_lab.measure([shelf.put("a", files["int8"]), wrong], wrong, QUICK)
    told = [one.failure.message for one in outcomes if one.failure]
    assert [one.failure and one.failure.kind for one in outcomes] == ["wrong-output"] * 2
    assert told[0].startswith("no ratio without the float baseline float: ")
    assert not told[1].startswith("no ratio")


def test_the_baseline_among_the_files_is_measured_by_the_control(
    shelf: Shelf, files: Files
) -> None:
    same = shelf.put("float", files["fp32"])
    found = measurement(session_lab.measure([same], same, QUICK)[0])
    assert found.verdict == "baseline"
    assert found.ratio == found.aa_ratio
    accept(found)  # a registry takes it as it is


def measurement(outcome: Outcome) -> Any:
    assert outcome.failure is None
    return outcome.measurement


@pytest.mark.parametrize(
    ("kernels", "delegate"), [("builtin", "none"), ("reference", "none"), ("xnnpack", "XNNPACK")]
)
def test_who_computes_is_chosen_and_recorded(
    shelf: Shelf, files: Files, kernels: litert.Kernels, delegate: str
) -> None:
    same = shelf.put("float", files["fp32"])
    found = measurement(
        session_lab.measure([same], same, Order(runs=5, rounds=1, warmup=2, kernels=kernels))[0]
    )
    assert (found.kernels, found.delegate) == (kernels, delegate)
    assert bool(found.nodes_delegated) == (kernels == "xnnpack")
    assert ("kernels" in found.model_dump(mode="json")) == (
        kernels != "xnnpack"
    )  # what was written before the field keeps its bytes


def test_a_device_is_not_asked_for_kernels_it_does_not_have(shelf: Shelf, files: Files) -> None:
    other = next(name for name in DEVICES.names() if "builtin" not in DEVICES.get(name).kernels)
    same = shelf.put("float", files["fp32"])
    with pytest.raises(Unsupported, match="xnnpack only"):
        session_lab.measure([same], same, Order(device=other, kernels="builtin"))


class Arm(Machine):
    """This machine, which says that it is another.

    What is predicted, and which twins run along, follow from the description.
    """

    @property
    def host(self) -> Host:
        """This machine's description with another architecture."""
        return super().host.model_copy(update={"arch": "arm64"})


def session(order: Order, candidates: list[Candidate], baseline: Candidate) -> tuple[Outcome, ...]:
    cores = sorted(os.sched_getaffinity(0))[-1:]
    with Arm(Setting("host-cpu", 1), cores) as place:
        return session_lab._Session(
            order, DEVICES.get("host-cpu"), place, candidates, baseline
        ).run(lambda *_: None)


def test_a_dense_twin_runs_along_where_sparse_kernels_should_run(
    shelf: Shelf, files: Files
) -> None:
    sparse = shelf.put("sparse", files["sparse"], dense=densify(files["sparse"]))
    dense = shelf.put("dense", files["int8"], dense=None)
    first, second = session(QUICK, [sparse, dense], shelf.put("float", files["fp32"]))
    assert first.against_dense is not None
    assert measurement(first).sparse_path in {"predicted", "confirmed", "contradicted"}
    assert "of the time of the same graph with dense weights" in measurement(first).sparse_reason
    assert (second.against_dense, measurement(second).sparse_path) == (None, "none")


def test_a_twin_that_fails_costs_its_file_nothing(shelf: Shelf, files: Files) -> None:
    sparse = shelf.put("sparse", files["sparse"], dense=files["sparse"][:900])
    (found,) = session(QUICK, [sparse], shelf.put("float", files["fp32"]))
    assert found.against_dense is None
    assert measurement(found).sparse_path == "predicted"


def test_a_dense_twin_computes_the_same_without_a_sparse_tensor(files: Files) -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    for name in ("sparse", "sparse-fp16"):
        twin = densify(files[name])
        assert twin is not None
        before, after = inspect(files[name]), inspect(twin)
        assert (
            before.densify > 0,
            after.densify,
            any(weight.encoded_sparse for weight in after.weights),
        ) == (True, 0, False)
        assert after.sparsity_overall == before.sparsity_overall
        assert after.macs == before.macs
        np.testing.assert_array_equal(
            litert.Session(files[name]).run([inputs])[0], litert.Session(twin).run([inputs])[0]
        )
    assert densify(files["fp32"]) is None


def test_inputs_drawn_from_a_seed_are_what_a_port_can_take(files: Files) -> None:
    random = np.random.default_rng(0)
    ports = {
        kind: litert.Port(0, "x", (1, 400), np.dtype(kind), scale, 0)
        for kind, scale in (("float32", 0.0), ("int8", 0.1), ("uint8", 0.1), ("int32", 0.0))
    }
    drawn = {kind: golden._drawn(port, random) for kind, port in ports.items()}
    assert all(
        drawn[kind].dtype == np.dtype(kind) and drawn[kind].shape == (1, 400) for kind in ports
    )
    assert (drawn["float32"].min() >= -1, drawn["float32"].max() <= 1) == (True, True)
    assert (drawn["int8"].min() < -64, drawn["int8"].max() > 64, drawn["uint8"].max() > 200) == (
        True,
        True,
        True,
    )
    assert not drawn["int32"].any()  # an index that every file has
    first, again = (golden.seeded(files["int8"]).to_bytes() for _ in range(2))
    assert first == again


def test_the_protocol_is_one_that_registries_take() -> None:
    assert PROTOCOLS[-1] == protocol.NAME
