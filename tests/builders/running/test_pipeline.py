"""Stages in processes of their own: what comes back, what a crash leaves, who ends with whom."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from zoo_builders.data.examples import BadData
from zoo_builders.running.pipeline import Pipeline, ordered
from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stage import SourceFile, Stage
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed

pytestmark = pytest.mark.process

SPLITS = {
    "train": "train[:50]",
    "validation": "train[50:60]",
    "test": "test[:10]",
    "calibration": "train[:5]",
}
CODE = Digest.of(b"code")
PATIENCE_S = 60


def data_stage(**params: object) -> Stage:
    asked = {"source": "digits", "args": {}, "splits": SPLITS, "preprocess": [], **params}
    return Stage(
        kind="data", name="data", params=asked, code=CODE, tools={}, reproducible="bitwise"
    )


def reading(path: Path) -> Stage:
    """A data stage over a file; over a named pipe it waits for ever."""
    args = {"path": "file", "sha256": "0" * 64}
    stage = data_stage(source="npz-images", args=args)
    return stage.model_copy(
        update={"files": {"path": SourceFile(path=str(path), sha256=Digest("0" * 64))}}
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(StageCache(tmp_path / "stages"), tmp_path / "logs")


def test_a_stage_runs_once_and_reports(pipeline: Pipeline) -> None:
    told: list[tuple[str, float | None]] = []
    moved: list[tuple[int, int]] = []
    pipeline.announce = lambda stage, seconds: told.append((stage.name, seconds))
    pipeline.progress = lambda _stage, done, total, _note: moved.append((done, total))
    folder = pipeline.make(data_stage())
    assert (folder / "dataset.json").is_file()
    assert [name for name, _ in told] == ["data", "data"]
    assert told[0][1] is None
    assert (told[1][1] or 0) > 0
    assert moved[-1] == (1, 1)
    assert pipeline.make(data_stage()) == folder
    assert len(told) == 2
    assert pipeline.cache.verify() == ()


def test_equal_stages_give_equal_bytes(tmp_path: Path) -> None:
    notes = []
    for name in "ab":
        cache = StageCache(tmp_path / name)
        Pipeline(cache, tmp_path / "logs").make(data_stage())
        notes.append(cache.note(data_stage().fingerprint).files)
    assert notes[0] == notes[1]


def test_what_a_stage_refuses_comes_back_as_the_same_error(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "set.npz").write_bytes(b"nothing")
    with pytest.raises(BadData, match=r"stage 'data': set\.npz is not a readable"):
        pipeline.make(reading(tmp_path / "set.npz"))
    assert pipeline.cache.fingerprints() == ()


def test_a_bug_in_a_stage_is_a_failed_build_with_its_log(pipeline: Pipeline) -> None:
    with pytest.raises(BuildFailed, match="ValueError") as failed:
        pipeline.make(data_stage(preprocess=[{"center_crop": 99}]))
    log = Path(failed.value.hint.removeprefix("less "))
    assert "Traceback" in log.read_text()


def children() -> list[psutil.Process]:
    """Workers of this process (not the resource tracker)."""
    return [
        child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())
    ]


def eventually(holds: "threading.Event | object") -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if callable(holds) and holds():
            return True
        time.sleep(0.05)
    return False


def test_a_killed_worker_is_a_failed_build_and_leaves_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    log = tmp_path / "logs"

    def kill() -> None:
        assert eventually(lambda: log.is_dir() and any(log.iterdir()))
        for child in children():
            child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(BuildFailed, match=r"ended without a result \(signal 9\)"):
        pipeline.make(reading(tmp_path / "pipe"))
    killer.join()
    assert list((tmp_path / "stages").glob("??/.*.tmp")) == []
    assert pipeline.cache.fingerprints() == ()


PARENT = """
import sys
from pathlib import Path
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.stage import Stage
from zoo_builders.running.stage_cache import StageCache

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    stage = Stage.model_validate_json((folder / "stage.json").read_text())
    Pipeline(StageCache(folder / "stages"), folder / "logs").make(stage)
"""


def test_a_worker_ends_when_its_parent_is_killed_and_the_next_run_clears_up(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    stage = reading(tmp_path / "pipe")
    (tmp_path / "stage.json").write_text(stage.model_dump_json())
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    assert eventually(lambda: (tmp_path / "logs").is_dir() and any((tmp_path / "logs").iterdir()))
    workers = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert workers
    assert psutil.wait_procs(workers, timeout=PATIENCE_S)[1] == []
    assert list((tmp_path / "stages").glob("??/.*.tmp"))
    (tmp_path / "pipe").unlink()
    with pytest.raises(BadData):
        pipeline.make(stage)
    assert list((tmp_path / "stages").glob("??/.*.tmp")) == []


def test_an_order_holds_each_stage_once() -> None:
    assert ordered([]) == ()
