"""Conversion: every dtype, a static batch of one, equal bytes in two processes.

And the encoding that pays.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import a_job
from zoo_builders.converting.encodings import Encodings
from zoo_registry.model.errors import BuildFailed

pytestmark = pytest.mark.train
RECIPES: dict[str, Any] = {
    "fp32": None,
    "fp16": {"dtype": "float16"},
    "dynamic": {"dtype": "dynamic"},
    "int8": {"dtype": "int8"},
    "int8-io": {"dtype": "int8", "interface": "int8"},
    "int16x8": {"dtype": "int16x8"},
}


@pytest.fixture(scope="module")
def files(
    digits_base: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Each recipe of the tiny model, converted once."""
    from zoo_builders.stages import convert

    found = {}
    for name, quantize in RECIPES.items():
        job = a_job(
            "convert",
            tmp_path_factory.mktemp(name),
            {"quantize": quantize},
            inputs={"model": digits_base, "data": digits_data},
        )
        convert.run(job)
        found[name] = job.out
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_a_file_runs_one_image_and_agrees_with_the_keras_model(
    name: str, files: dict[str, Path], digits_base: Path, digits_data: Path
) -> None:
    from zoo_builders.data.stored import load_split
    from zoo_builders.keras_models.files import load
    from zoo_builders.tflite.litert import Session

    inputs, _ = load_split(digits_data, "test")
    expected = load(digits_base / "model.keras").predict(inputs[:100], verbose=0).argmax(axis=1)
    session = Session(files[name] / "model.tflite")
    [port], [out] = session.inputs, session.outputs
    assert port.shape == (1, 8, 8, 1)
    assert port.dtype == out.dtype == (np.int8 if name == "int8-io" else np.float32)
    found = [session.run([port.store(image[None])])[0].argmax() for image in inputs[:100]]
    assert np.mean(np.equal(found, expected)) >= 0.95


def test_fewer_bits_are_fewer_bytes(files: dict[str, Path]) -> None:
    sizes = {name: (folder / "model.tflite").stat().st_size for name, folder in files.items()}
    assert sizes["fp16"] < sizes["fp32"]
    assert sizes["dynamic"] < sizes["fp32"]
    assert sizes["int8"] < sizes["fp32"]


def test_two_processes_write_the_same_bytes(
    files: dict[str, Path], digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, json; from pathlib import Path; from plugins.digits import a_job\nfrom"
        " zoo_builders.stages import convert as convert_stage\nbase, data, out, recipes ="
        " Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])\nfor"
        " name, quantize in recipes.items():\n    convert_stage.run(a_job('convert', out / name,"
        " {'quantize': quantize}, inputs={'model': base, 'data': data}))\n"
    )
    arguments = [str(digits_base), str(digits_data), str(tmp_path), json.dumps(RECIPES)]
    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )
    for name, folder in files.items():
        assert (tmp_path / name / "model.tflite").read_bytes() == (
            folder / "model.tflite"
        ).read_bytes(), name


def test_a_dense_model_has_no_sparse_twin(files: dict[str, Path]) -> None:
    about = json.loads((files["fp32"] / "encodings.json").read_text())
    assert (about["chosen"], about["sparse"]) == ("dense", None)
    assert about["dense"]["bytes"] == (files["fp32"] / "model.tflite").stat().st_size
    assert not (files["fp32"] / "dense.tflite").exists()


@pytest.fixture
def half_empty(digits_base: Path, tmp_path: Path) -> Path:
    """The tiny model with the smaller half of every kernel set to zero, as a model folder."""
    from zoo_builders.keras_models.files import load, save

    model = load(digits_base / "model.keras")
    model.set_weights(
        [
            np.where(np.abs(w) < np.quantile(np.abs(w), 0.8), 0, w) if w.ndim > 1 else w
            for w in model.get_weights()
        ]
    )
    (tmp_path / "half").mkdir()
    save(model, tmp_path / "half" / "model.keras")
    return tmp_path / "half"


@pytest.mark.parametrize(
    ("rule", "chosen"), [("auto", "sparse"), ("never", "dense"), ("always", "sparse")]
)
def test_the_sparse_encoding_is_kept_where_it_pays(
    rule: str, chosen: str, half_empty: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import convert
    from zoo_builders.tflite.litert import Session

    job = a_job(
        "convert",
        tmp_path / rule,
        {"quantize": None, "sparse_encoding": rule},
        inputs={"model": half_empty, "data": digits_data},
    )
    convert.run(job)
    about = json.loads((job.out / "encodings.json").read_text())
    assert about["chosen"] == chosen
    assert about["why"]
    assert (job.out / "dense.tflite").exists() == (chosen == "sparse")
    if chosen == "sparse":
        assert (
            about["sparse"]["bytes"]
            == (job.out / "model.tflite").stat().st_size
            < about["dense"]["bytes"]
        )
        probe = np.random.default_rng(0).uniform(0, 1, (1, 8, 8, 1)).astype(np.float32)
        left, right = (
            Session(job.out / name).run([probe])[0] for name in ("model.tflite", "dense.tflite")
        )
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_the_converters_own_words_reach_the_user(digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders import tf
    from zoo_builders.converting.tensorflow_converter import to_tflite

    start = tf.keras.Input((8, 8, 1))
    model = tf.keras.Model(
        start, tf.keras.layers.Lambda(lambda x: tf.tensorflow.raw_ops.Betainc(a=x, b=x, x=x))(start)
    )
    with pytest.raises(BuildFailed, match="the converter refuses"):
        to_tflite(model)


@pytest.mark.parametrize(
    ("encodings", "rule", "chosen"),
    [
        (Encodings(b"x" * 10, b"x" * 9), "auto", "sparse"),
        (Encodings(b"x" * 10, b"x" * 10), "auto", "dense"),
        (Encodings(b"x" * 10, b"x" * 11, opens=True), "auto", "sparse"),
        (Encodings(b"x" * 10, b"x" * 5, refused="failed to prepare", opens=True), "auto", "dense"),
        (Encodings(b"x" * 10, b"x" * 99), "always", "sparse"),
        (Encodings(b"x" * 10), "never", "dense"),
    ],
)
def test_the_choice_says_why(encodings: Encodings, rule: str, chosen: str) -> None:
    found, why = encodings.choose(rule)
    assert found == chosen
    assert why
    if encodings.refused:
        assert encodings.refused in why


def test_always_fails_where_the_runtime_refuses() -> None:
    with pytest.raises(BuildFailed, match="failed to prepare"):
        Encodings(b"x", b"x", refused="failed to prepare").choose("always")


def test_always_fails_where_no_tensor_has_zeros_enough_to_be_stored_sparse(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import convert

    job = a_job(
        "convert",
        tmp_path,
        {"quantize": None, "sparse_encoding": "always"},
        inputs={"model": digits_base, "data": digits_data},
    )
    with pytest.raises(BuildFailed, match="no weight tensor has 30% zeros") as caught:
        convert.run(job)
    assert caught.value.hint == "set sparse_encoding: auto"
