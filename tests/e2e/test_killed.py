"""`kill -9` in the middle of training, then the same command: finishes from the last stage, and the cache is whole."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from zoo_builders.stage_cache import StageCache

pytestmark = [pytest.mark.train, pytest.mark.slow]

MANIFEST = """\
schema: edgezoo/v1
model: slow
version: 1.0.0
license: apache-2.0
base:
  network: digits_cnn
  train: {epochs: 400, batch_size: 64, seed: 3}
data: {source: digits, preprocess: [{rescale: [0, 1]}]}
variants:
  fp32: []
"""
PATIENCE_S = 120


def test_killed_in_training_goes_on_from_the_last_stage(zoo_in: Callable[[str], Any]) -> None:
    zoo = zoo_in("killed")
    zoo.folder.mkdir()
    manifest = zoo.folder / "slow.yaml"
    manifest.write_text(MANIFEST)
    build = subprocess.Popen(["zoo", "build", "slow.yaml", "--no-benchmark"], cwd=zoo.folder, env=zoo.environment, start_new_session=True)
    deadline = time.monotonic() + PATIENCE_S
    cache = StageCache(zoo.home / "cache/stages")
    while not list(cache.root.glob("??/.*.tmp/")) or len(cache.fingerprints()) < 1:
        assert build.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "never began to train"
        time.sleep(0.05)
    time.sleep(1)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    first = cache.fingerprints()
    assert len(first) == 1, "the data, and no half-trained base"
    assert cache.verify() == ()
    written = (cache.folder(first[0]) / "stage.json").stat().st_mtime_ns

    manifest.write_text(MANIFEST.replace("epochs: 400", "epochs: 1"))
    zoo.run("build", "slow.yaml", "--no-benchmark")
    assert (cache.folder(first[0]) / "stage.json").stat().st_mtime_ns == written
    assert cache.verify() == ()
    assert len(cache.fingerprints()) > 2
