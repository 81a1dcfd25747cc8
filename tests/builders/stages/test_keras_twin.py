"""A float file scores as the Keras model it was made of, or the build fails with both numbers."""

import json
import shutil
from pathlib import Path

import pytest

from plugins.digits import a_job
from zoo_builders.stages import keras_twin
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import BuildFailed


def test_a_score_within_the_interval_passes_and_beyond_it_fails() -> None:
    keras_twin.refuse_other(85, 100, 0.9)
    keras_twin.refuse_other(94, 100, 0.9)
    with pytest.raises(BuildFailed, match=r"scores 0\.8000 .* Keras model 0\.9000 \(95 % interval"):
        keras_twin.refuse_other(80, 100, 0.9)
    with pytest.raises(BuildFailed, match=r"scores 0\.9800 .* Keras model 0\.9000"):
        keras_twin.refuse_other(98, 100, 0.9)


@pytest.mark.train
def test_the_build_of_a_file_that_is_not_its_model_fails(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import convert

    other = tmp_path / "base"
    shutil.copytree(digits_base, other)
    report = json.loads((other / "report.json").read_text())
    assert report["accuracy"]["validation"] > 0.5
    report["accuracy"]["validation"] = 0.19
    (other / "report.json").write_text(json.dumps(report))
    job = a_job(
        "convert",
        tmp_path / "out",
        {"quantize": None},
        inputs={"model": other, "data": digits_data},
    )
    with pytest.raises(BuildFailed, match=r"float file scores .* its Keras model 0\.1900"):
        convert.run(job)
    assert not (job.out / "model.tflite").exists()


@pytest.mark.train
def test_a_state_that_is_carried_over_is_found_whatever_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reset, the score of an LSTM falls, and that alone stops the build."""
    import numpy as np

    from zoo_builders import tf
    from zoo_builders.converting.tensorflow_converter import to_tflite

    keras = tf.keras
    tf.deterministic(1)
    image = keras.Input((8, 1, 1))
    last = keras.layers.LSTM(8)(keras.layers.Reshape((8, 1))(image))
    model = keras.Model(image, keras.layers.Dense(4)(last))
    inputs = np.random.default_rng(0).normal(size=(200, 8, 1, 1)).astype(np.float32)
    labels = model.predict(inputs, verbose=0).argmax(axis=1)  # a model that is always right
    np.save(tmp_path / "validation_x.npy", inputs)
    np.save(tmp_path / "validation_y.npy", labels)
    (tmp_path / "dataset.json").write_text('{"value_map": {"scale": 1.0, "offset": 0.0}}')
    (tmp_path / "report.json").write_text('{"accuracy": {"validation": 1.0}}')
    job = a_job("convert", tmp_path / "out", {}, inputs={"model": tmp_path, "data": tmp_path})
    data = to_tflite(model)
    keras_twin.hold(job, data)
    monkeypatch.setattr(Session, "fresh", lambda _: None)
    with pytest.raises(BuildFailed, match=r"its Keras model 1\.0000"):
        keras_twin.hold(job, data)
