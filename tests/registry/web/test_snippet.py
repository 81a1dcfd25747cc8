"""The program on an artifact's page is run, on real files.

And held against the builders' own preprocessing.
"""

import ast
import io
import warnings
import wave
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
    """Convert a network that gives the mean of each channel.

    With a representative input, to int8 from end to end.
    """
    from zoo_builders.tf import tensorflow as tf

    def mean(shape: tuple[int, ...], sample: Any = None) -> bytes:
        traced = tf.function(
            lambda x: tf.reduce_mean(x, [1, 2]), input_signature=[tf.TensorSpec(shape, tf.float32)]
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [traced.get_concrete_function()], traced
        )
        if sample is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter([[sample], [-sample]])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # TensorFlow warns of statistics that its own int8 path does not use
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
            {
                "name": d["name"],
                "shape": d["shape"].tolist(),
                "dtype": np.dtype(d["dtype"]).name,
                "scale": d["quantization"][0],
                "zero_point": d["quantization"][1],
            }
            for d in details
        ]
        for kind, details in found.items()
    }


def run(
    data: bytes, image: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **signature: Any
) -> tuple[dict[str, Any], str]:
    """Run the program of a record of `data` on `image`; give its variables and what it printed."""
    from PIL import Image

    record = make(data=data, signature={**ports(data), **signature})
    (folder / record.file.path).write_bytes(data)
    Image.fromarray(image).save(folder / "input.png")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["run.py", "input.png"])
    variables: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        # running it is the test
        exec(compile(snippet.python(record), "run.py", "exec"), variables)  # noqa: S102
    return variables, printed.getvalue()


PHOTO = np.random.default_rng(7).integers(0, 256, (40, 50, 3)).astype(np.uint8)
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


@pytest.mark.train
@pytest.mark.parametrize(
    "steps",
    [
        [{"resize": [32, 32]}, {"rescale": [-1, 1]}],
        [{"resize": 32}],
        [
            {"center_crop": [32, 32]},
            {"rescale": [0, 1]},
            {"standardize": {"mean": MEAN, "std": STD}},
        ],
        [{"resize": [24, 28]}, {"pad": [32, 32]}, {"rescale": [0, 1]}, {"rescale": [-2, 2]}],
        [{"resize": [32, 32]}, {"grayscale": {}}, {"rescale": [-1, 1]}],
    ],
)
@pytest.mark.parametrize("recorded", [False, True], ids=["steps", "value map"])
def test_the_program_prepares_its_input_as_the_builders_do(
    steps: list[dict[str, Any]],
    recorded: bool,
    convert: Convert,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from zoo_builders.data import preprocess

    values = preprocess.value_map(steps, (0.0, 255.0), None)
    expected = values(preprocess.geometry(steps, PHOTO[None]))
    kept = (
        {"scale": values.scale, "offset": values.offset, "low": 0, "high": 255}
        if recorded
        else None
    )
    seen, _ = run(
        convert(expected.shape), PHOTO, tmp_path, monkeypatch, preprocess=steps, values=kept
    )
    # Grey values round once in Pillow and once here: half a step of 255 apart, at most one.
    assert seen["x"] == pytest.approx(
        expected, abs=1.01 * float(np.max(values.scale)) if "grayscale" in str(steps) else 1e-5
    )
    assert seen["y"] == pytest.approx(expected.mean(axis=(0, 1, 2)), abs=0.01)


@pytest.mark.train
def test_values_of_another_range_reach_the_model_in_that_range(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    white = np.full((8, 8), 255, np.uint8)
    kept = {"scale": 1 / 16, "offset": 0.0, "low": 0, "high": 16}
    seen, _ = run(
        convert((1, 8, 8, 1)),
        white,
        tmp_path,
        monkeypatch,
        preprocess=[{"rescale": [0, 1]}],
        values=kept,
    )
    assert seen["x"] == pytest.approx(np.ones((1, 8, 8, 1)))


@pytest.mark.train
def test_an_int8_interface_is_fed_and_read_with_its_scales(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    data = convert((1, 8, 8, 3), np.ones((1, 8, 8, 3), np.float32))
    seen, printed = run(
        data, red, tmp_path, monkeypatch, preprocess=[{"rescale": [-1, 1]}], labels=LABELS
    )
    assert seen["y"] == pytest.approx([1, -1, -1], abs=0.02)
    assert printed.splitlines()[0].endswith("class 0")


def test_hostile_names_stay_inside_strings_and_comments() -> None:
    evil = 'a"\nimport os  # \u2028'
    tensors = [
        {"name": evil, "shape": [1, 4], "dtype": "float32"},
        {"name": evil, "shape": [2], "dtype": "int32"},
    ]
    steps = [{'x")\nimport os': [1]}]
    record = make(
        signature={
            "inputs": tensors,
            "outputs": [tensors[0]],
            "preprocess": steps,
            "labels": [evil] * 4,
        }
    )
    modules = {
        alias.name
        for node in ast.walk(ast.parse(snippet.python(record)))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert modules <= {"sys", "numpy"}


def test_a_step_nobody_knows_raises_instead_of_being_left_out() -> None:
    picture = [{"name": "image", "shape": [1, 8, 8, 1], "dtype": "float32"}]
    scores = [{"name": "scores", "shape": [1, 10], "dtype": "float32"}]
    record = make(signature={"inputs": picture, "outputs": scores, "preprocess": [{"swirl": 3}]})
    raised = [
        node for node in ast.walk(ast.parse(snippet.python(record))) if isinstance(node, ast.Raise)
    ]
    assert len(raised) == 1


def heard(
    pcm: Any,
    steps: list[dict[str, Any]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    **values: Any,
) -> tuple[Any, Any]:
    """Give the input that the program of a speech model's record makes of a recording.

    And the builders' own.
    """
    from zoo_builders.data import preprocess
    from zoo_builders.data.audio_features import fitted

    made = preprocess.geometry(steps, fitted(pcm, 4000)[None, :, None, None], 8000)
    told = preprocess.completed(steps, (4000, 1, 1), 8000)
    shape = made.shape
    tensors = {
        kind: [{"name": kind, "shape": shape, "dtype": "float32"}] for kind in ("inputs", "outputs")
    }
    record = make(
        signature={**tensors, "preprocess": told, "values": {"low": -40, "high": 20, **values}}
    )
    found = run_program(record, pcm, folder, monkeypatch)
    return found, made * np.float32(values["scale"]) + np.float32(values["offset"])


def run_program(record: Any, pcm: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what the program of a record makes of a recording.

    Up to where it hands it to the interpreter.
    """
    write_wav(folder / "word.wav", pcm)
    monkeypatch.setattr("sys.argv", ["run.py", str(folder / "word.wav")])
    before, _, _ = snippet.python(record).partition("interpreter.set_tensor")
    lines = [line for line in before.splitlines() if "nterpreter" not in line]
    variables: dict[str, Any] = {}
    # running it is the test
    exec(compile("\n".join(lines), "run.py", "exec"), variables)  # noqa: S102
    return variables["x"]


def write_wav(path: Path, pcm: Any, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(pcm.astype("<i2").tobytes())


@pytest.mark.parametrize("length", [1500, 1501, 4000, 7003])
@pytest.mark.parametrize(
    "step",
    [
        {"mfcc": {}},
        {"mfcc": {"lifter": 0, "coefficients": 13}},
        {"log_mel": {"bins": 20, "high_hz": 3000}},
    ],
)
def test_a_recording_is_prepared_as_the_builders_do(
    length: int, step: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = np.random.default_rng(length).integers(-20000, 20000, length).astype(np.int16)
    found, expected = heard(
        pcm, [step, {"standardize": {}}], tmp_path, monkeypatch, scale=[0.5], offset=[0.25]
    )
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_recording_of_another_rate_is_told_how_to_get_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "other.wav", np.zeros(100), rate=16_000)
    with pytest.raises(SystemExit, match="ffmpeg"):
        heard_file(tmp_path / "other.wav", monkeypatch)


def heard_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo_registry.web import snippet_sound

    step = {
        "sample_rate": 8000,
        "samples": 4000,
        "window_ms": 40.0,
        "stride_ms": 20.0,
        "bins": 8,
        "low_hz": 20.0,
        "high_hz": 4000.0,
    }
    found = snippet_sound.step_of([("log_mel", {**step, "floor": 0.01})])
    assert found is not None
    monkeypatch.setattr("sys.argv", ["run.py", str(path)])
    program = "import sys, wave\nimport numpy as np\n" + "\n".join(snippet_sound.lines(*found))
    exec(compile(program, "run.py", "exec"), {})  # noqa: S102  running it is the test


def test_raw_recordings_and_incomplete_features_are_not_taken_for_pictures() -> None:
    tensors = {
        kind: [{"name": kind, "shape": [1, 8000, 1, 1], "dtype": "float32"}]
        for kind in ("inputs", "outputs")
    }
    pcm = {"scale": 1 / 32768, "offset": 0.0, "low": -32768, "high": 32767}
    for signature in (
        {"values": pcm},
        {"preprocess": [{"mfcc": {"sample_rate": "__import__('os')"}}]},
    ):
        program = snippet.python(make(signature={**tensors, **signature}))
        assert "Image" not in program
        assert "np.zeros" in program
        assert "__import__" not in program


@pytest.mark.parametrize("length", [1500, 4000, 7003])
def test_a_file_that_hears_itself_is_given_the_recording(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_builders.data.audio_features import fitted

    pcm = np.random.default_rng(length).integers(-20000, 20000, length).astype(np.int16)
    tensors = {
        kind: [{"name": kind, "shape": [1, 4000, 1, 1], "dtype": "float32"}]
        for kind in ("inputs", "outputs")
    }
    values = {"scale": 1 / 32768, "offset": 0.0, "low": -32768, "high": 32767}
    sound = {"sample_rate": 8000, "samples": 4000, "front_end": {"mfcc": {}}}
    found = run_program(
        make(signature={**tensors, "values": values, "sound": sound}), pcm, tmp_path, monkeypatch
    )
    assert found == pytest.approx((fitted(pcm, 4000) / 32768)[None, :, None, None], abs=1e-7)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("variables", "interpreter.reset_all_variables()"),
        ("resources", "# it keeps state that no reset clears: load it anew"),
    ],
)
def test_a_file_that_keeps_state_is_reset_right_before_it_runs(state: str, line: str) -> None:
    record = make()
    stateful = record.structure.model_copy(update={"state": state})
    program = snippet.python(record.model_copy(update={"structure": stateful}))
    before, _, _ = program.partition("\ninterpreter.invoke()")
    assert before.splitlines()[-1].startswith(line)
    assert "state" not in snippet.python(record), "of files that keep nothing, nothing is said"
