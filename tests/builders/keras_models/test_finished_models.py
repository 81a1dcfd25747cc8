"""Models as people bring them: saved by today's Keras, by TFMOT, in half precision."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import TRAIN, a_job
from zoo_registry.model.errors import BuildFailed, WrongUse

pytestmark = pytest.mark.train

PARAMS = {
    "network": "file:",
    "args": {},
    "weights": {"source": "file"},
    "task": "image-classification",
    "train": {**TRAIN, "epochs": 1},
}


def known(keras: Any) -> Any:
    """Make a model of layers that the graph knows, one within another, with settled statistics."""
    k = keras.layers
    inner = keras.Sequential(
        [k.Input((8, 8, 4)), k.DepthwiseConv2D(3, padding="same", name="dw"), k.LeakyReLU(0.2)],
        name="inner",
    )
    image = keras.Input((8, 8, 1), name="image")
    x = k.Conv2D(4, 3, padding="same", activation="relu6", name="conv")(image)
    x = k.BatchNormalization(name="norm")(x)
    x = inner(x)
    x = k.GlobalAveragePooling2D(name="pool")(x)
    return settled(keras.Model(image, k.Dense(10, activation="softmax", name="head")(x), name="m"))


def settled(model: Any) -> Any:
    """Give every weight a value of its own, so that a mixed-up order shows."""
    draw = np.random.default_rng(3)
    model.set_weights(
        [draw.uniform(0.2, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    return model


def strange(keras: Any) -> Any:
    """Make a model with a layer that the graph does not know, and one that is used twice."""
    k = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = k.Reshape((8, 8))(image)
    twice = k.Conv1D(8, 3, padding="same", activation="relu", name="twice")
    x = twice(twice(x))
    return settled(keras.Model(image, k.Dense(10, name="head")(k.Flatten()(x)), name="odd"))


def based(data: Path, out: Path, model: Path, **params: Any) -> dict[str, Any]:
    from zoo_builders.stages import base as base_stage

    job = a_job("base", out, {**PARAMS, **params}, inputs={"data": data}, files={"network": model})
    base_stage.run(job)
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def file_outputs(data: Path, base: Path, out: Path, quantize: Any = None) -> Any:
    """Convert what the base stage left; give the file's outputs for four examples."""
    from zoo_builders.data.stored import load_split
    from zoo_builders.stages import convert
    from zoo_builders.tflite.litert import Session

    params = {"quantize": quantize, "sparse_encoding": "never", "task": "image-classification"}
    convert.run(a_job("convert", out, params, inputs={"model": base, "data": data}))
    session = Session((out / "model.tflite").read_bytes())
    assert session.inputs[0].shape[0] == 1
    return session.infer(load_split(data, "test")[0][:4])


def expected(model: Any, data: Path) -> Any:
    from zoo_builders.data.stored import load_split

    return np.asarray(model.predict(load_split(data, "test")[0][:4], verbose=0), np.float32)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.filterwarnings("ignore")
def test_a_keras_3_file_of_known_layers_becomes_a_model_with_its_outputs(
    name: str, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.files import load

    model = known(tf.keras3)
    model.save(tmp_path / name)
    report = based(digits_data, tmp_path / "base", tmp_path / name)
    assert report["versus_original"] < 1e-5
    made = load(tmp_path / "base/model.keras")
    np.testing.assert_allclose(
        expected(made, digits_data), expected(model, digits_data), atol=1e-5, rtol=0
    )


INT8 = {"dtype": "int8", "samples": 20, "report": False}


@pytest.mark.filterwarnings("ignore")
def test_other_keras_3_models_and_exports_are_converted_as_functions(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf

    model = strange(tf.keras3)
    model.save(tmp_path / "m.keras")
    model.export(str(tmp_path / "export"), verbose=False)
    theirs = expected(model, digits_data)
    for name in ("m.keras", "export"):
        base = tmp_path / f"base {name}"
        report = based(digits_data, base, tmp_path / name)
        assert report["parameters"] == model.count_params()
        assert 0 <= report["accuracy"]["validation"] <= 1
        assert (base / "function.zip").is_file()
        ours = file_outputs(digits_data, base, tmp_path / f"file {name}")
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.ptp(theirs), rtol=0)
    rounded = file_outputs(digits_data, tmp_path / "base m.keras", tmp_path / "int8", INT8)
    assert np.abs(rounded - theirs).max() < 0.1 * np.ptp(theirs)


@pytest.mark.parametrize("made", [known, strange])
@pytest.mark.parametrize("which", ["keras", "keras3"])
@pytest.mark.filterwarnings("ignore")
def test_half_precision_is_computed_in_float32(
    made: Any, which: str, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf

    keras = getattr(tf, which)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = made(keras)
        model.save(tmp_path / "m.keras")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    report = based(digits_data, tmp_path / "base", tmp_path / "m.keras")
    assert 0 < report["versus_original"] < 2e-2
    theirs = expected(model, digits_data)
    ours = file_outputs(digits_data, tmp_path / "base", tmp_path / "file")
    np.testing.assert_allclose(ours, theirs, atol=2e-2 * np.ptp(theirs), rtol=0)


@pytest.mark.parametrize("technique", ["prune", "cluster", "quantize_aware"])
@pytest.mark.filterwarnings("ignore")
def test_wrappers_of_tfmot_are_taken_off(technique: str, digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.files import load
    from zoo_builders.networks.keras_config import finished

    k, tfmot = tf.keras.layers, tf.tfmot
    image = tf.keras.Input((8, 8, 1), name="image")
    x = k.Conv2D(4, 3, padding="same", name="conv")(image)
    x = k.ReLU(name="relu")(k.BatchNormalization(name="norm")(x))
    plain = settled(tf.keras.Model(image, k.Dense(10, name="head")(k.Flatten(name="flat")(x))))
    theirs = expected(plain, digits_data)
    wrap = {
        "prune": tfmot.sparsity.keras.prune_low_magnitude,
        "quantize_aware": tfmot.quantization.keras.quantize_model,
        "cluster": lambda model: tfmot.clustering.keras.cluster_weights(
            model, 32, tfmot.clustering.keras.CentroidInitialization.LINEAR
        ),
    }
    wrapped = wrap[technique](plain)
    wrapped.save(tmp_path / "m.h5")
    assert finished(tmp_path / "m.h5").wrapped == technique
    based(digits_data, tmp_path / "base", tmp_path / "m.h5")
    made = load(tmp_path / "base/model.keras")
    assert [layer.name for layer in made.layers] == [
        "image",
        "conv",
        "norm",
        "relu",
        "flat",
        "head",
    ]
    room = 0.1 if technique == "cluster" else 1e-5
    np.testing.assert_allclose(
        expected(made, digits_data), theirs, atol=room * np.ptp(theirs), rtol=0
    )
    if technique == "cluster":
        assert len(np.unique(made.get_layer("head").get_weights()[0])) <= 32


def test_a_function_of_the_user_may_give_a_keras_3_model(digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders.stages import base as base_stage

    source = tmp_path / "net.py"
    source.write_text(
        "import keras\n\n\ndef net(kind):\n    k = keras.layers\n"
        "    image = keras.Input((8, 8, 1))\n"
        "    other = k.Conv1D(4, 3)(k.Reshape((8, 8))(image))\n"
        "    x = k.Conv2D(4, 3)(image) if kind == 'known' else other\n"
        "    return keras.Model(image, k.Dense(10)(k.Flatten()(x))) if kind != 'none' else 3\n"
    )

    def run(kind: str) -> Path:
        params = {**PARAMS, "network": "file:net", "args": {"kind": kind}}
        params["weights"] = {"source": "train"}
        job = a_job(
            "base",
            tmp_path / kind,
            params,
            inputs={"data": digits_data},
            files={"network_source": source},
        )
        base_stage.run(job)
        return job.out

    assert (run("known") / "model.keras").is_file()
    with pytest.raises(BuildFailed, match="Conv1D"):
        run("other")
    with pytest.raises(WrongUse, match="gave a int"):
        run("none")


def test_a_finished_model_needs_no_splits_to_train_on_and_labels_do_not_judge_features(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf
    from zoo_builders.stages import data as data_stage

    image = tf.keras.Input((8, 8, 1))
    features = tf.keras.layers.Conv2D(3, 3)(image)
    tf.keras.Model(image, features).save(tmp_path / "m.keras")
    splits = {"test": "test", "calibration": "train[:20]"}
    params = {"source": "digits", "args": {}, "splits": splits, "preprocess": []}
    data = a_job("data", tmp_path / "data", params)
    data_stage.run(data)
    for number, where in enumerate((data.out, digits_data)):
        report = based(where, tmp_path / f"{number}", tmp_path / "m.keras", task="fidelity")
        assert report["accuracy"] == {}


def test_a_model_that_is_not_the_original_is_refused() -> None:
    from zoo_builders.keras_models.finished_models import Loaded

    class Off:
        def predict(self, inputs: Any, verbose: int) -> Any:
            return inputs + 0.01 * verbose + 0.001

    with pytest.raises(BuildFailed, match=r"differ from the original's by 0\.10%"):
        Loaded(Off(), lambda inputs: inputs).hold(np.array([[0.0, 1.0]]))
