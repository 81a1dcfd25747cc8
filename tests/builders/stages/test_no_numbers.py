"""NaN and infinity are found where they enter, and named by file, layer and place."""

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders import finite
from zoo_builders.manifest import yaml_lines
from zoo_builders.stages import evaluate, import_file, inspect
from zoo_builders.stages.results import write_parts
from zoo_builders.tflite import finite_weights, litert, weight_tensors
from zoo_builders.tflite.flatbuffer import read
from zoo_registry.model.errors import (
    BuildFailed,
    InvalidManifest,
    MeasureFailed,
    ProofFailed,
    Unsupported,
)
from zoo_registry.model.part import Part

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"
LOG = """
from zoo_builders import tf

def net():
    image = tf.keras.Input((8, 8, 1))
    x = tf.keras.layers.Flatten(name="flat")(image)
    x = tf.keras.layers.Lambda(lambda v: tf.tensorflow.math.log(v - 1e6), name="log")(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(10, name="head")(x))
"""


def spoiled(name: str, value: float) -> bytes:
    """A committed file with one weight changed."""
    data = (FILES / f"{name}.tflite").read_bytes()
    weight = next(weight_tensors.find(read(data).main))
    stored = weight.tensor.data
    changed = np.frombuffer(stored, "<f4").copy()
    changed[3] = value
    assert data.count(stored) == 1
    return data.replace(stored, changed.tobytes())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_file_with_such_a_weight_is_not_imported(value: float, tmp_path: Path) -> None:
    (tmp_path / "given.tflite").write_bytes(spoiled("fp32", value))
    job = a_job("import", tmp_path / "out", {}, files={"tflite": tmp_path / "given.tflite"})
    with pytest.raises(Unsupported, match=rf"CONV.* holds {value} at \[") as told:
        import_file.run(job)
    assert "1 of " in told.value.message


def test_a_finished_file_with_such_a_weight_fails(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(spoiled("fp32", math.inf))
    job = a_job("inspect", tmp_path / "out", {"promises": []}, inputs={"file": folder})
    with pytest.raises(ProofFailed, match=r"the finished file: .* holds inf at"):
        inspect.run(job)


def test_sound_files_have_no_such_weight() -> None:
    for file in FILES.glob("*.tflite"):
        assert finite_weights.problem(read(file.read_bytes()).main) == "", file.name


def test_outputs_that_are_no_numbers_are_named_by_their_example() -> None:
    session = litert.Session((FILES / "fp32.tflite").read_bytes())
    inputs = np.zeros((8, *session.inputs[0].shape[1:]), np.float32)
    inputs[5] = 3e38
    with pytest.raises(MeasureFailed, match="for example 69 of split 'test'") as told:
        evaluate._inferred(session, inputs, 0, ("test", 64))
    assert told.value.kind == "not-finite"


def test_the_example_is_looked_for_in_the_output_that_is_judged() -> None:
    class TwoOutputs:
        """Its second output is no number for one example; its first always is."""

        def infer(self, examples: Any, output: int | None = 0) -> Any:
            if output == 1 and np.max(examples) > 1:
                raise MeasureFailed("output 'b' is no number", kind="not-finite")
            return np.zeros(len(examples))

    session = cast("litert.Session", TwoOutputs())
    inputs = np.array([[0.0], [1.0], [0.0], [2.0]], np.float32)
    with pytest.raises(MeasureFailed, match="for example 67 of split 'test'"):
        evaluate._inferred(session, inputs, 1, ("test", 64))
    assert len(evaluate._inferred(session, inputs, 0, ("test", 64))) == 4


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999"])
def test_a_manifest_holds_numbers_only(text: str) -> None:
    with pytest.raises(InvalidManifest, match=r"some\.yaml:2: a\.b: .*not a number"):
        yaml_lines.read(f"a:\n  b: {text}\n".encode(), "some.yaml")


def test_what_is_no_number_is_named_before_json_refuses_it(tmp_path: Path) -> None:
    class Some(Part):
        """Holds one number."""

        value: float

    assert finite.path_in({"a": [1.0, {"b": math.inf}]}) == "a[1].b"
    assert finite.path_in({"a": [1.0, "nan", None, True]}) == ""
    with pytest.raises(BuildFailed, match=r"some\.json: \[1\]\.value is no number"):
        write_parts(tmp_path / "some.json", [Some(value=1), Some(value=math.nan)])
    assert not list(tmp_path.iterdir())


def base(folder: Path, data: Path, **files: Path) -> None:
    from zoo_builders.stages import base as base_stage

    setting: dict[str, Any] = {
        "network": "file:net",
        "args": {},
        "weights": {"source": "train"},
        "task": "image-classification",
        "train": {**TRAIN, "epochs": 1},
    }
    base_stage.run(a_job("base", folder / "out", setting, inputs={"data": data}, files=files))


@pytest.mark.train
def test_a_base_with_such_a_weight_is_named_by_file_and_layer(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf

    image = tf.keras.Input((8, 8, 1))
    x = tf.keras.layers.Conv2D(4, 3, name="c1")(image)
    model = tf.keras.Model(
        image, tf.keras.layers.Dense(10, name="head")(tf.keras.layers.Flatten()(x))
    )
    kernel, bias = model.get_layer("head").get_weights()
    kernel[7, 3] = np.nan
    model.get_layer("head").set_weights([kernel, bias])
    model.save(tmp_path / "mine.keras")
    with pytest.raises(BuildFailed) as told:
        base(tmp_path, digits_data, network=tmp_path / "mine.keras")
    assert "mine.keras: layer 'head': head/kernel holds nan at [7, 3] (1 of" in told.value.message
    assert "learning" not in told.value.message + told.value.hint


@pytest.mark.train
def test_a_network_that_gives_no_numbers_is_named_by_layer(
    digits_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(LOG)
    with pytest.raises(BuildFailed, match=r"the first such layer is 'log' \(Lambda\)") as told:
        base(tmp_path, digits_data, network_source=tmp_path / "net.py")
    assert "learning" not in told.value.message + told.value.hint


@pytest.mark.train
def test_a_model_that_is_a_function_names_the_variable() -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models import finite_weights as of_keras
    from zoo_builders.keras_models.functions import Function

    sound = tf.tensorflow.Variable([1.0, 2.0], name="scale")
    spoiled = tf.tensorflow.Variable([[1.0, math.inf]], name="head/kernel")
    model = Function("net", lambda x: x, (1, 2), (1, 2), (sound, spoiled), None)
    assert of_keras.problem(model) == (
        "head/kernel holds inf at [0, 1] (1 of its 2 values are no numbers)"
    )
