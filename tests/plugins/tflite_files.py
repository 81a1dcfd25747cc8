"""Real small files: the committed ones for every test.

All kinds freshly converted for those marked `train`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.stage import Job, StageKind

ALL = (
    "fp32",
    "fp16",
    "dynamic",
    "int8",
    "int8-io",
    "int16x8",
    "sparse",
    "sparse-fp16",
    "sparse-int8",
)
FOLDER = Path(__file__).resolve().parents[1] / "golden" / "files"


@pytest.fixture(scope="session")
def files() -> Mapping[str, bytes]:
    """Committed files by name: fp32, int8, sparse, sparse-fp16."""
    return {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.tflite"))}


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Convert the small network in every way, in a process of its own (as the pipeline does).

    Needs TensorFlow.
    """
    folder = tmp_path_factory.mktemp("converted")
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("make_files.py")), str(folder), *ALL],
        check=True,
        capture_output=True,
    )
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data stage's result: noise with random labels."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(3)
    for split, count in (("test", 60), ("calibration", 20)):
        np.save(folder / f"{split}_x.npy", random.integers(0, 256, (count, 16, 16, 3), np.uint8))
        np.save(folder / f"{split}_y.npy", random.integers(0, 6, count))
    about = {
        "name": "noise",
        "source": "noise",
        "dataset_sha256": "ab" * 32,
        "classes": list("abcdef"),
        "preprocess": [{"rescale": [-1, 1]}],
        "splits": {"test": {"examples": 60}, "calibration": {"examples": 20}},
        "value_map": {"scale": 2 / 255, "offset": -1.0},
        "value_range": [0, 255],
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="session")
def job_maker() -> Callable[[Path], Callable[..., Job]]:
    """Give makers of jobs in a folder.

    Inputs are folders, or bytes that become the `model.tflite` of a convert stage's result.
    """

    def in_folder(root: Path) -> Callable[..., Job]:
        def make(kind: StageKind, params: Mapping[str, Any], **inputs: Path | bytes) -> Job:
            folders = {role: _folder(root / role, value) for role, value in inputs.items()}
            out = root / f"{kind}-{len(list(root.iterdir()))}"
            out.mkdir()
            return Job(kind, params, {}, folders, out, lambda *_: None)

        return make

    return in_folder


@pytest.fixture
def make_job(tmp_path: Path, job_maker: Callable[[Path], Callable[..., Job]]) -> Callable[..., Job]:
    """Make jobs in this test's own folder."""
    return job_maker(tmp_path)


def _folder(place: Path, value: Path | bytes) -> Path:
    if isinstance(value, Path):
        return value
    place.mkdir(exist_ok=True)
    (place / "model.tflite").write_bytes(value)
    return place
