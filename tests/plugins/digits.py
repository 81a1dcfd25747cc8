"""A tiny real model, trained once a session.

Digits from scikit-learn, a narrow `digits_cnn`, a few seconds.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.stage import Job, StageKind

MakeJob = Callable[..., Job]
TRAIN = {"epochs": 8, "batch_size": 32, "learning_rate": 3e-3, "seed": 7}


def silent(done: int, total: int, note: str) -> None:
    """Report to nobody."""


def a_job(kind: StageKind, out: Path, params: Mapping[str, Any], **rest: Any) -> Job:
    """Make a job with a fresh result folder."""
    out.mkdir(parents=True, exist_ok=True)
    return Job(
        kind,
        params,
        rest.get("files", {}),
        rest.get("inputs", {}),
        out,
        rest.get("progress", silent),
    )


@pytest.fixture(scope="session")
def digits_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result folder of a data stage: digits, scaled to [0, 1]."""
    from zoo_builders.stages import data as data_stage

    splits = {
        "train": "train[:80%]",
        "validation": "train[80%:]",
        "test": "test",
        "calibration": "train[:100]",
    }
    params = {"source": "digits", "args": {}, "splits": splits, "preprocess": [{"rescale": [0, 1]}]}
    job = a_job("data", tmp_path_factory.mktemp("digits"), params)
    data_stage.run(job)
    return job.out


@pytest.fixture(scope="session")
def digits_base(digits_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result folder of a base stage: `digits_cnn` at half width, trained to more than 90 %."""
    from zoo_builders.stages import base as base_stage

    params = {
        "network": "digits_cnn",
        "args": {"width": 16},
        "weights": {"source": "train"},
        "train": TRAIN,
        "task": "image-classification",
    }
    job = a_job("base", tmp_path_factory.mktemp("base"), params, inputs={"data": digits_data})
    base_stage.run(job)
    return job.out
