"""The program on an artifact's page is run, on real files, and held against the builders' own preprocessing."""

import ast
import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from plugins.records import make
from zoo_registry.web import snippet

np: Any = pytest.importorskip("numpy", reason="needs numpy: pip install 'edgezoo[build]'")
Convert = Callable[..., bytes]
LABELS = [f"class {index}" for index in range(3)]


@pytest.fixture(scope="module")
def convert() -> Convert:
    """Convert a network that gives the mean of each channel; with a representative input, to int8 from end to end."""
    from zoo_builders.tf import tensorflow as tf

    def mean(shape: tuple[int, ...], sample: Any = None) -> bytes:
        traced = tf.function(lambda x: tf.reduce_mean(x, [1, 2]), input_signature=[tf.TensorSpec(shape, tf.float32)])
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], traced)
        if sample is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter([[sample], [-sample]])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow warns of statistics that its own int8 path does not use
            found: bytes = converter.convert()
        return found

    return mean


def ports(data: bytes) -> dict[str, list[dict[str, Any]]]:
    """Read a file's signature the way its record would hold it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    found = {"inputs": interpreter.get_input_details(), "outputs": interpreter.get_output_details()}
    return {
        kind: [
            {"name": d["name"], "shape": d["shape"].tolist(), "dtype": np.dtype(d["dtype"]).name, "scale": d["quantization"][0],
             "zero_point": d["quantization"][1]}
            for d in details
        ]
        for kind, details in found.items()
    }  # fmt: skip


def run(data: bytes, image: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **signature: Any) -> tuple[dict[str, Any], str]:
    """Run the program of a record of `data` on `image`; give its variables and what it printed."""
    from PIL import Image

    record = make(data=data, signature={**ports(data), **signature})
    (folder / record.file.path).write_bytes(data)
    Image.fromarray(image).save(folder / "input.png")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["run.py", "input.png"])
    variables: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(snippet.python(record), "run.py", "exec"), variables)  # noqa: S102  running it is the test
    return variables, printed.getvalue()


PHOTO = np.random.default_rng(7).integers(0, 256, (40, 50, 3)).astype(np.uint8)
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


@pytest.mark.train
@pytest.mark.parametrize(
    "steps",
    [
        [{"resize": [32, 32]}, {"rescale": [-1, 1]}],
        [{"resize": 32}],
        [{"center_crop": [32, 32]}, {"rescale": [0, 1]}, {"standardize": {"mean": MEAN, "std": STD}}],
        [{"resize": [24, 28]}, {"pad": [32, 32]}, {"rescale": [0, 1]}, {"rescale": [-2, 2]}],
        [{"resize": [32, 32]}, {"grayscale": {}}, {"rescale": [-1, 1]}],
    ],
)
@pytest.mark.parametrize("recorded", [False, True], ids=["steps", "value map"])
def test_the_program_prepares_its_input_as_the_builders_do(
    steps: list[dict[str, Any]], recorded: bool, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_builders import preprocess

    values = preprocess.value_map(steps, (0.0, 255.0), None)
    expected = values(preprocess.geometry(steps, PHOTO[None]))
    kept = {"scale": values.scale, "offset": values.offset, "low": 0, "high": 255} if recorded else None
    seen, _ = run(convert(expected.shape), PHOTO, tmp_path, monkeypatch, preprocess=steps, values=kept)
    # Grey values round once in Pillow and once here: half a step of 255 apart, at most one.
    assert seen["x"] == pytest.approx(expected, abs=1.01 * float(np.max(values.scale)) if "grayscale" in str(steps) else 1e-5)
    assert seen["y"] == pytest.approx(expected.mean(axis=(0, 1, 2)), abs=0.01)


@pytest.mark.train
def test_values_of_another_range_reach_the_model_in_that_range(convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    white = np.full((8, 8), 255, np.uint8)
    kept = {"scale": 1 / 16, "offset": 0.0, "low": 0, "high": 16}
    seen, _ = run(convert((1, 8, 8, 1)), white, tmp_path, monkeypatch, preprocess=[{"rescale": [0, 1]}], values=kept)
    assert seen["x"] == pytest.approx(np.ones((1, 8, 8, 1)))


@pytest.mark.train
def test_an_int8_interface_is_fed_and_read_with_its_scales(convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    data = convert((1, 8, 8, 3), np.ones((1, 8, 8, 3), np.float32))
    seen, printed = run(data, red, tmp_path, monkeypatch, preprocess=[{"rescale": [-1, 1]}], labels=LABELS)
    assert seen["y"] == pytest.approx([1, -1, -1], abs=0.02)
    assert printed.splitlines()[0].endswith("class 0")


def test_hostile_names_stay_inside_strings_and_comments() -> None:
    evil = 'a"\nimport os  # \u2028'
    tensors = [{"name": evil, "shape": [1, 4], "dtype": "float32"}, {"name": evil, "shape": [2], "dtype": "int32"}]
    steps = [{'x")\nimport os': [1]}]
    record = make(signature={"inputs": tensors, "outputs": [tensors[0]], "preprocess": steps, "labels": [evil] * 4})
    modules = {alias.name for node in ast.walk(ast.parse(snippet.python(record))) if isinstance(node, ast.Import) for alias in node.names}
    assert modules <= {"sys", "numpy"}


def test_a_step_nobody_knows_raises_instead_of_being_left_out() -> None:
    picture = [{"name": "image", "shape": [1, 8, 8, 1], "dtype": "float32"}]
    scores = [{"name": "scores", "shape": [1, 10], "dtype": "float32"}]
    record = make(signature={"inputs": picture, "outputs": scores, "preprocess": [{"swirl": 3}]})
    raised = [node for node in ast.walk(ast.parse(snippet.python(record))) if isinstance(node, ast.Raise)]
    assert len(raised) == 1
