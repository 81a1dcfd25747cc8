"""TensorBoard summaries, read back from the event files.

What they hold, and that they change nothing.
"""

import json
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.training import tensorboard

pytestmark = pytest.mark.train

PRUNED = ("stem_conv", "block1_pointwise", "block2_pointwise", "classifier")


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read {tag: {step: value}} from all event files of a folder."""
    from zoo_builders import tf

    found: dict[str, dict[int, float]] = defaultdict(dict)
    for file in folder.glob("events.out.tfevents.*"):
        for record in tf.tensorflow.data.TFRecordDataset(str(file)):
            event = tf.tensorflow.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag][event.step] = float(tf.tensorflow.make_ndarray(value.tensor))
    return found


def weights(folder: Path) -> list[bytes]:
    from zoo_builders.keras_models.files import load

    return [weight.tobytes() for weight in load(folder / "model.keras").get_weights()]


def test_zeros_masks_thresholds_and_curves_are_written_and_change_nothing(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import technique as technique_stage

    params = {"final": 0.7, "epochs": 2, "batch_size": 200, "learning_rate": 1e-3}
    stage = {"technique": "prune", "params": params, "train": TRAIN, "seed": 7}
    job = a_job(
        "technique", tmp_path / "watched", stage, inputs={"model": digits_base, "data": digits_data}
    )
    technique_stage.run(replace(job, observe=partial(tensorboard.observe, tmp_path / "board")))
    found = scalars(tmp_path / "board/prune")
    report: dict[str, Any] = json.loads((job.out / "report.json").read_text())
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert found[name] == {
            epoch: pytest.approx(logs[name])
            for epoch, logs in enumerate(report["history"]["epochs"], 1)
        }
    assert found["learning_rate"] == {1: pytest.approx(1e-3), 2: pytest.approx(1e-3)}
    for name in PRUNED:
        assert found[f"mask_sparsity/{name}"][2] == pytest.approx(0.7, abs=0.02)
        assert found[f"sparsity/{name}"][2] >= found[f"mask_sparsity/{name}"][2]
        assert found[f"threshold/{name}"][2] > 0
    assert found["sparsity/block1_depthwise"] == {1: 0, 2: 0}
    assert "mask_sparsity/block1_depthwise" not in found
    plain = a_job(
        "technique", tmp_path / "plain", stage, inputs={"model": digits_base, "data": digits_data}
    )
    technique_stage.run(plain)
    assert weights(plain.out) == weights(job.out)
