"""What `zoo build` shows while it runs, where there is no terminal."""

from pathlib import Path

import pytest

from zoo_builders.running import build_view
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stage import Stage
from zoo_registry.model.digest import Digest


def test_a_stage_that_goes_on_from_a_checkpoint_is_told_below_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(
        kind="base",
        name="base",
        params={},
        code=Digest.of(b"code"),
        tools={},
        reproducible="weights",
    )
    pipeline = Pipeline(StageCache(tmp_path), tmp_path)
    with build_view.following(pipeline, 3):
        pipeline.announce(stage, None)
        pipeline.said(stage, "train: resumed at epoch 3, step 120")
        pipeline.progress(stage, 1, 2, "train: epoch 1/2, accuracy 0.500")
        pipeline.announce(stage, 1.0)
    assert capsys.readouterr().err.splitlines() == [
        "[1/3] base",
        "  train: resumed at epoch 3, step 120",
    ]
