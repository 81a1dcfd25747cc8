"""A full disk, want of memory and native crashes: the cause, what is kept, what to type."""

import errno
import os
import signal
from pathlib import Path

import pytest

from zoo_builders.running import crash
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stage import TERMINATED, Stage
from zoo_client import output
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, Crashed, DiskFull, OutOfMemory

STAGE = Stage(
    kind="data", name="data", params={}, code=Digest.of(b"code"), tools={}, reproducible="bitwise"
)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_by_its_number_wherever_it_is_in_the_chain(
    number: int, tmp_path: Path
) -> None:
    system = OSError(number, os.strerror(number))
    wrapped = BuildFailed("the converter refuses it")
    wrapped.__cause__ = system
    for error in (system, wrapped, RuntimeError(f"Can't write data: {os.strerror(number)}")):
        told = crash.explained(error, tmp_path)
        assert isinstance(told, DiskFull)
        assert "finished stages and checkpoints are kept" in told.message
        assert told.hint.startswith(f"df -h {tmp_path}")
        assert "zoo build" in told.hint


def test_want_of_memory_is_told_whoever_says_it(tmp_path: Path) -> None:
    exhausted = type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor")
    for error in (MemoryError(), OSError(errno.ENOMEM, "no memory"), exhausted):
        told = crash.explained(error, tmp_path)
        assert isinstance(told, OutOfMemory)
        assert "batch_size" in told.hint


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (ValueError("x"), BuildFailed("x"), OSError(errno.ENOENT, "no such file")):
        assert crash.explained(error, tmp_path) is None


def test_an_error_without_a_number_is_of_the_disk_where_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash, "_left", lambda _: 1000.0)
    told = crash.explained(OSError("96000 requested and 61440 written"), tmp_path)
    assert isinstance(told, DiskFull)


@pytest.mark.parametrize(
    ("code", "log", "memory", "kind", "words"),
    [
        (-signal.SIGKILL, "", True, OutOfMemory, "the kernel ended it for want of memory"),
        (-signal.SIGKILL, "", None, OutOfMemory, "most likely the kernel"),
        (-signal.SIGKILL, "", False, Crashed, "somebody ended it, not the kernel"),
        (-signal.SIGABRT, "what(): std::bad_alloc", False, OutOfMemory, "ran out of memory"),
        (-signal.SIGABRT, "", False, Crashed, "native code of a library ended it (SIGABRT)"),
        (-signal.SIGSEGV, "", False, Crashed, "(SIGSEGV)"),
        (TERMINATED, "", False, Crashed, "somebody ended it"),
        (1, "", False, Crashed, "it ended by itself"),
        (None, "", None, Crashed, "it ended by itself"),
    ],
)
def test_a_process_that_died_is_told_by_its_signal(
    code: int | None, log: str, memory: bool | None, kind: type, words: str, tmp_path: Path
) -> None:
    (tmp_path / "data.log").write_text(log)
    told = crash.died(STAGE, code, tmp_path / "data.log", killed_for_memory=memory)
    assert type(told) is kind
    assert words in told.message
    assert "kept" in told.message
    assert told.hint


def test_the_words_of_a_native_crash_begin_where_it_says_where(tmp_path: Path) -> None:
    frames = "".join(f'  File "x.py", line {n} in f{n}\n' for n in range(40))
    (tmp_path / "log").write_text(f"before\nFatal Python error: Aborted\n\nThread 0:\n{frames}")
    words = crash.last_words(tmp_path / "log")
    assert words.splitlines()[0].strip() == "Fatal Python error: Aborted"
    assert "line 0 in f0" in words
    assert "line 39" not in words


PLUGIN = "import os, resource, numpy as np\n\n\ndef run(job):\n    {work}\n"
WORKS = {
    "abort": "print('hello', flush=True); os.abort()",
    "full": (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        " np.save(job.out / 'x.npy', np.zeros(1_000_000))"
    ),
    "memory": ("resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); np.ones(1 << 30)"),
}
KINDS = {"abort": Crashed, "full": DiskFull, "memory": OutOfMemory}


@pytest.mark.process
@pytest.mark.parametrize("name", WORKS)
def test_a_stage_that_dies_is_a_typed_error_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real process of a stage, whose module is one of this test's own."""
    (tmp_path / "dying.py").write_text(PLUGIN.format(work=WORKS[name]))
    (tmp_path / "sitecustomize.py").write_text(
        "import zoo_builders.stages as s\ns.ENTRY = {**s.ENTRY, 'inspect': 'dying'}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)  # a spawned process takes the path of its parent
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    pipeline = Pipeline(StageCache(tmp_path / "stages"), tmp_path / "logs")
    with pytest.raises(BuildFailed) as caught:
        pipeline.make(STAGE.model_copy(update={"kind": "inspect"}))
    assert type(caught.value) is KINDS[name]
    assert "stage 'data'" in caught.value.message
    assert caught.value.hint
    assert pipeline.cache.fingerprints() == ()
    assert list((tmp_path / "stages").glob("??/.*.tmp")) == []
    if name == "abort":
        assert "dying.py" in caught.value.message, "where it was"


def test_a_disk_that_is_full_outside_of_stages_is_told_too() -> None:
    told = output.unexpected(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/digests.json"))
    assert isinstance(told, DiskFull)
    assert told.hint.startswith("df -h /x/digests.json")
    assert not isinstance(output.unexpected(ValueError("x")), DiskFull)
