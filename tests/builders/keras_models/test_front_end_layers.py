"""The front end inside the file, built: real recordings in, the features that are made outside.

What techniques leave of it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import a_job
from plugins.matrix import step_by_step
from zoo_builders import tf
from zoo_builders.converting import tensorflow_converter
from zoo_builders.data import audio_features, front_end
from zoo_builders.data import stored as stored_data
from zoo_builders.keras_models import files
from zoo_builders.keras_models.render import graph_of
from zoo_builders.manifest.recipes import graphs, judge, read_recipes
from zoo_builders.manifest.yaml_lines import Document
from zoo_builders.stages import base as base_stage
from zoo_builders.stages import convert, evaluate
from zoo_builders.stages import data as data_stage
from zoo_builders.stages import inspect as look
from zoo_builders.stages import technique as technique_stage
from zoo_builders.stages.evaluate import sqnr_db
from zoo_builders.techniques import TECHNIQUES
from zoo_builders.techniques.prune.work import anew
from zoo_builders.tflite.litert import Session
from zoo_registry.model.record import Values

pytestmark = [pytest.mark.train, pytest.mark.data]

TRAIN = {"epochs": 1, "batch_size": 32, "learning_rate": 2e-3, "seed": 7}
SPLITS = {
    "train": "train[:96]",
    "validation": "train[96:112]",
    "test": "test[:40]",
    "calibration": "train[:20]",
}
MFCC = {"mfcc": {"window_ms": 64, "stride_ms": 64, "bins": 16, "coefficients": 8, "inside": True}}
NETWORK = """
from zoo_builders.authoring import Net

def tiny():
    net = Net("tiny", (15, 8, 1))
    net.conv(8, 3, 2, padding="same", bias=False, name="stem")
    net.batch_norm(momentum=0.9, name="stem_bn")
    net.relu(name="stem_relu")
    net.conv(16, 1, name="pointwise")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(10, name="classifier")
    return net.graph()
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` and `base`.

    A tiny network behind a front end, trained for three steps on spoken digits.
    """
    folder = tmp_path_factory.mktemp("front")
    (folder / "tiny.py").write_text(NETWORK)
    params = {
        "source": "fsdd",
        "args": {"path": "file", "sha256": "0" * 64},
        "splits": SPLITS,
        "preprocess": [MFCC, {"standardize": {}}],
    }
    data = a_job(
        "data", folder / "data", params, files={"path": Path(os.environ["ZOO_DATA"]) / "fsdd.npz"}
    )
    data_stage.run(data)
    params = {"network": "file:tiny", "args": {}, "train": TRAIN, "task": "keyword-spotting"}
    with step_by_step():
        base_stage.run(
            a_job(
                "base",
                folder / "base",
                params,
                files={"network_source": folder / "tiny.py"},
                inputs={"data": data.out},
            )
        )
    return folder


def heard(built: Path) -> tuple[Any, Any]:
    """Give the test recordings as the file takes them.

    And the features that are made of them outside.
    """
    about = stored_data.load_about(built / "data")
    made, values = front_end.read(about["front_end"])
    pcm, _ = stored_data.load_raw(built / "data", "test")
    assert pcm.dtype == np.int16
    return stored_data.load_split(built / "data", "test")[0], values(
        audio_features.features(made.params, np.asarray(pcm), 8000)
    )


def outputs(file: bytes, inputs: Any) -> Any:
    session = Session(file)
    [port], [out] = session.inputs, session.outputs
    return np.stack([out.real(session.run([port.store(one[None])])[0])[0] for one in inputs])


def test_the_runtime_hears_what_the_features_outside_are(built: Path) -> None:
    model = files.load(built / "base/model.keras")
    front = tf.keras.Model(model.input, model.get_layer(front_end.LAST).output, name="front")
    inputs, expected = heard(built)
    assert abs(inputs).max() <= 1
    found = outputs(tensorflow_converter.to_tflite(front), inputs)
    assert found == pytest.approx(expected, abs=1e-4)
    assert abs(expected.mean()) < 0.2, "standardize is inside too"


Cell = Callable[..., tuple[bytes, dict[str, Any], Any]]


@pytest.fixture(scope="module")
def cell(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """Apply a recipe to the base as a build does.

    Gives the proven file, its structure, and the Keras model before it.
    """

    def make(*raw: dict[str, Any]) -> tuple[bytes, dict[str, Any], Any]:
        from zoo_builders.manifest.diagnostics import Mistakes

        folder, model = tmp_path_factory.mktemp("cell"), built / "base"
        graph = graph_of(files.load(model / "model.keras"))
        mistakes = Mistakes("m.yaml", Document({"variants": {"v": list(raw)}}, {}))
        recipes = read_recipes({"v": list(raw)}, mistakes)
        judge(recipes, graph, mistakes)
        mistakes.finish()
        steps = recipes["v"]
        for index, step in enumerate(steps):
            if TECHNIQUES.get(step.technique).work is not None:
                params = {
                    "technique": step.technique,
                    "params": step.params.model_dump(mode="json"),
                    "train": TRAIN,
                    "seed": 7,
                }
                job = a_job(
                    "technique",
                    folder / str(index),
                    params,
                    inputs={"model": model, "data": built / "data"},
                )
                with step_by_step():
                    technique_stage.run(job)
                model = job.out
        asked = {
            key: value
            for step in steps
            for key, value in TECHNIQUES.get(step.technique).converts(step.params, steps).items()
        }
        file = a_job(
            "convert",
            folder / "file",
            {"quantize": None, "sparse_encoding": "never", **asked},
            inputs={"model": model, "data": built / "data"},
        )
        convert.run(file)
        met = zip(steps, graphs(graph, steps), strict=True)
        promises = [
            promise
            for step, here in met
            for promise in TECHNIQUES.get(step.technique).promises(here, step.params, steps)
        ]
        seen = a_job(
            "inspect",
            folder / "seen",
            {"promises": [one.model_dump(mode="json") for one in promises]},
            inputs={"file": file.out},
        )
        look.run(seen)
        structure = json.loads((seen.out / "structure.json").read_text())
        return (
            (file.out / "model.tflite").read_bytes(),
            structure,
            None if asked.get("quantize") else files.load(model / "model.keras"),
        )

    return make


def stored(structure: dict[str, Any]) -> dict[str, set[str]]:
    """Dtypes of the weights of the front end, and of the network behind it."""
    kinds: dict[str, set[str]] = {"front": set(), "behind": set()}
    for weight in structure["weights"]:
        kinds["front" if "front_end_" in weight["name"] else "behind"].add(weight["dtype"])
    return kinds


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param([{"quantize": {"dtype": "int8", "samples": 20}}], id="int8"),
        pytest.param(
            [
                {"prune": {"epochs": 1, "batch_size": 32, "final": 0.5}},
                {"quantize_aware": {"epochs": 1, "batch_size": 32}},
            ],
            id="PQAT",
        ),
    ],
)
def test_integers_begin_behind_it(recipe: list[dict[str, Any]], built: Path, cell: Cell) -> None:
    plain, _, _ = cell()
    file, structure, _ = cell(*recipe)
    assert stored(structure) == {"front": {"float32"}, "behind": {"int8"}}
    inputs, _ = heard(built)
    if "quantize" in recipe[0]:
        assert sqnr_db(outputs(plain, inputs), outputs(file, inputs)) > 15, (
            "with the front end in int8 too it is less than 1"
        )


def test_clusters_and_a_new_start_leave_its_formulas_alone(built: Path, cell: Cell) -> None:
    base = files.load(built / "base/model.keras")
    _, _, clustered = cell({"cluster": {"epochs": 1, "batch_size": 32, "clusters": 8}})
    fixed = [layer for layer in base.layers if layer.name.startswith("front_end_")]
    for other in (clustered, anew(base)):
        for layer in fixed:
            pairs = zip(layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True)
            assert all(np.array_equal(*pair) for pair in pairs), layer.name
    assert not np.array_equal(
        anew(base).get_layer("pointwise").get_weights()[0],
        base.get_layer("pointwise").get_weights()[0],
    )


def test_the_record_says_what_it_wants_to_hear(built: Path, cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file/model.tflite").write_bytes(cell()[0])
    inputs = {"file": tmp_path / "file", "baseline": tmp_path / "file", "data": built / "data"}
    params = {"task": "keyword-spotting", "split": "test", "calibration": "calibration"}
    evaluate.run(a_job("evaluate", tmp_path / "out", params, inputs=inputs))
    found = evaluate.Evaluation.model_validate_json(
        (tmp_path / "out/evaluation.json").read_bytes()
    ).signature
    assert (found.preprocess, found.values) == (
        (),
        Values(scale=1 / 32768, offset=0.0, low=-32768, high=32767),
    )
    assert found.sound is not None
    assert (found.sound.sample_rate, found.sound.samples) == (8000, 8000)
    assert found.sound.front_end["mfcc"]["bins"] == 16
    assert set(found.sound.front_end["mfcc"]["values"]) == {"scale", "offset"}
