"""Fixtures of the builders' tests.

A manifest to break, a git repository to change, the real command line.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile(
    "shared-machine", deadline=None
)  # examples are few and small; a busy machine is no failure
settings.load_profile("shared-machine")

MANIFEST = """\
schema: edgezoo/v1
model: tiny
version: 1.0.0
task: image-classification
license: apache-2.0
base:
  network: digits_cnn
  args: {width: 8}
  train: {epochs: 1, batch_size: 64, seed: 3}
data:
  source: digits
  splits:
    train: train[:200]
    validation: train[200:260]
    test: test[:60]
    calibration: train[:20]
  preprocess:
    - rescale: [-1, 1]
variants:
  fp32: []
  fp16:
    - quantize: {dtype: float16}
  sparse:
    - prune: {final: 0.5, epochs: 1}
  sparse-fp16:
    - prune: {final: 0.5, epochs: 1}
    - quantize: {dtype: float16}
benchmark: {runs: 10, rounds: 5}
"""


@dataclass(frozen=True)
class Zoo:
    """The real `zoo` command in a folder of its own."""

    folder: Path
    env: Mapping[str, str]

    def __call__(
        self, *arguments: str, timeout: float = 300, **env: str
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from zoo_client.cli import main; main()", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """A project's folder with `manifests/tiny.yaml`, and the command to use there."""
    kept = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH"}
    env = {name: value for name, value in os.environ.items() if name in kept}
    here = Zoo(
        tmp_path, {**env, "ZOO_HOME": str(tmp_path / ".zoo"), "ZOO_CACHE": str(tmp_path / "pulled")}
    )
    here.write("manifests/tiny.yaml", MANIFEST)
    return here


Git = Callable[..., str]


@pytest.fixture
def git(zoo: Zoo) -> Git:
    """A git repository in the project's folder with everything committed.

    Call it with git's arguments.
    """

    def run(*arguments: str) -> str:
        return _git(zoo.folder, arguments)

    (zoo.folder / ".gitignore").write_text(".zoo/\n")
    run("init", "-q", "-b", "main")
    run("add", "-A")
    run("commit", "-q", "-m", "start")
    return run


def _git(folder: Path, arguments: Sequence[str]) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
