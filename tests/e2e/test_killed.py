"""`kill -9` of everything in the middle of training, then the same command.

Goes on inside the stage, and makes the same file.
"""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.running.stage_cache import StageCache

pytestmark = [pytest.mark.train, pytest.mark.slow]

MANIFEST = """\
schema: edgezoo/v1
model: slow
version: 1.0.0
license: apache-2.0
base:
  network: digits_cnn
  args: {width: 8}
  train: {epochs: 25, batch_size: 64, seed: 3}
data: {source: digits, preprocess: [{rescale: [0, 1]}]}
variants:
  fp32: []
"""
HASTY = """\
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder


class Hasty(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        wanted = name == "zoo_builders.training.checkpoints"
        spec = PathFinder.find_spec(name, path) if wanted else None
        if spec is not None:
            run = spec.loader.exec_module
            often = {"EVERY_S": 0.3, "SHARE": 1.0}
            spec.loader.exec_module = lambda module: (run(module), vars(module).update(often))
        return spec


sys.meta_path.insert(0, Hasty())
"""
"""A sitecustomize that has checkpoints written every tenth of a second instead of every five.

Nobody wants to wait for the first.
"""
PATIENCE_S = 180


def digest(home: Path) -> str:
    return hashlib.sha256(
        (home / "builds/slow-fp32/1.0.0/slow-fp32.tflite").read_bytes()
    ).hexdigest()


def until(seen: Callable[[], Any], build: "subprocess.Popen[bytes]") -> None:
    """Wait for something that a build does."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        assert build.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "never got so far"
        time.sleep(0.02)


def test_killed_in_training_goes_on_inside_the_stage(
    zoo_in: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "hasty").mkdir()
    (tmp_path / "hasty/sitecustomize.py").write_text(HASTY)
    zoo, untouched = zoo_in("killed"), zoo_in("untouched")
    for project in (zoo, untouched):
        project.folder.mkdir()
        (project.folder / "slow.yaml").write_text(MANIFEST)
    command, hasty = (
        ["zoo", "build", "slow.yaml", "--no-benchmark"],
        {"PYTHONPATH": str(tmp_path / "hasty")},
    )
    build = subprocess.Popen(
        command, cwd=zoo.folder, env={**zoo.environment, **hasty}, start_new_session=True
    )
    cache = StageCache(zoo.home / "cache/stages")
    until(lambda: list(cache.root.glob("??/.*.scratch/*.npz")), build)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    first = cache.fingerprints()
    assert len(first) == 1, "the data, and no half-trained base"
    assert cache.verify() == ()
    written = (cache.folder(first[0]) / "stage.json").stat().st_mtime_ns

    done = subprocess.run(
        command, cwd=zoo.folder, env=zoo.environment, capture_output=True, text=True, check=True
    )
    assert "train: resumed at epoch" in done.stdout + done.stderr
    assert (cache.folder(first[0]) / "stage.json").stat().st_mtime_ns == written
    assert cache.verify() == ()
    assert not list(cache.root.glob("??/.*.scratch/*")), (
        "checkpoints are gone once there is a result"
    )

    untouched.run("build", "slow.yaml", "--no-benchmark")
    assert digest(zoo.home) == digest(untouched.home), (
        "trained in two parts, it is the file that training in one makes"
    )
