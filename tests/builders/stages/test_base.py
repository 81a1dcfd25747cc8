"""Training the base: from a seed, from files, from user functions; batches; what fails loudly."""

import json
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed, UnfitFile, Unsupported, WrongUse
from zoo_registry.model.files import digest_file

pytestmark = pytest.mark.train


def params(**changes: Any) -> dict[str, Any]:
    setting = {
        "network": "digits_cnn",
        "args": {"width": 4},
        "weights": {"source": "train"},
        "task": "image-classification",
    }
    return setting | {"train": {**TRAIN, "epochs": 1}, **changes}


def weights(path: Path) -> list[bytes]:
    from zoo_builders.keras_models.files import load

    return [weight.tobytes() for weight in load(path / "model.keras").get_weights()]


def test_the_base_learns_and_says_how(digits_base: Path) -> None:
    report = json.loads((digits_base / "report.json").read_text())
    assert report["accuracy"]["validation"] > 0.9
    assert [set(epoch) for epoch in report["history"]] == [
        {"loss", "accuracy", "val_loss", "val_accuracy"}
    ] * 8
    assert (report["seed"], report["threads"]) == (TRAIN["seed"], 2)


def test_the_same_seed_gives_the_same_weights_in_two_processes(
    digits_data: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, json; from pathlib import Path; from plugins.digits import a_job\nfrom"
        " zoo_builders.stages import base as base_stage\nbase_stage.run(a_job('base',"
        " Path(sys.argv[2]), json.loads(sys.argv[3]), inputs={'data': Path(sys.argv[1])}))\n"
    )
    found = []
    for name in ("one", "two"):
        arguments = [str(digits_data), str(tmp_path / name), json.dumps(params())]
        subprocess.run(
            [sys.executable, "-c", program, *arguments],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
        )
        found.append(weights(tmp_path / name))
    assert found[0] == found[1]


def test_another_seed_gives_other_weights_and_progress_is_told(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import base as base_stage

    told: list[tuple[int, int]] = []
    for seed in (1, 2):
        setting = params(train={**TRAIN, "epochs": 2, "seed": seed})
        job = a_job(
            "base",
            tmp_path / str(seed),
            setting,
            inputs={"data": digits_data},
            progress=lambda *said: told.append(said[:2]),
        )
        base_stage.run(job)
    assert weights(tmp_path / "1") != weights(tmp_path / "2")
    steps = told[0][1]
    assert told == [(done + 1, steps) for _ in range(2) for done in range(steps)]


def test_batches_hold_every_example_once_in_an_order_of_the_seed(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.training.job_context import JobContext

    def order(seed: int) -> list[list[bytes]]:
        context = JobContext(
            a_job("base", tmp_path, {}, inputs={"data": digits_data}), Train(), seed
        )
        epochs = [
            context.batches("validation", batch_size=100, shuffle=True, epoch=epoch)
            for epoch in (0, 1)
        ]
        return [[image.tobytes() for x, _ in batches for image in x.numpy()] for batches in epochs]

    context = JobContext(a_job("base", tmp_path, {}, inputs={"data": digits_data}), Train(), 1)
    inputs, labels = context.arrays("validation")
    [one, other] = order(1)
    assert one != other
    assert order(1) == [one, other]
    assert order(2) != [one, other]
    assert Counter(one) == Counter(image.tobytes() for image in inputs)
    plain = list(context.batches("validation", batch_size=100, shuffle=False))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in plain]), inputs)
    np.testing.assert_array_equal(np.concatenate([y for _, y in plain]), labels)


@pytest.mark.parametrize("form", ["model.keras", "model.h5", "saved"])
def test_every_form_keras_saves_is_taken_as_it_is(
    form: str, digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.keras_models import files as files_keras_models
    from zoo_builders.stages import base as base_stage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras would rather have its newest form
        files_keras_models.load(digits_base / "model.keras").save(tmp_path / form)
    setting = params(network="file:", weights={"source": "file"})
    base_stage.run(
        a_job(
            "base",
            tmp_path / "out",
            setting,
            inputs={"data": digits_data},
            files={"network": tmp_path / form},
        )
    )
    assert weights(tmp_path / "out") == weights(digits_base)
    assert json.loads((tmp_path / "out/report.json").read_text())["history"] == []


def borrowing(**more: Any) -> dict[str, Any]:
    return {"source": "file", "params": {"path": "file"}, **more}


def test_weights_from_a_file_fit_or_are_refused(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import base as base_stage

    files = {"weights": digits_base / "model.keras"}
    fitting = params(args={"width": 16}, weights=borrowing())
    base_stage.run(
        a_job("base", tmp_path / "fits", fitting, inputs={"data": digits_data}, files=files)
    )
    assert weights(tmp_path / "fits") == weights(digits_base)
    report = json.loads((tmp_path / "fits/report.json").read_text())
    assert report["history"] == []
    assert report["weights"] == {
        "source": "file",
        "sha256": digest_file(files["weights"]),
        "layers": 11,
        "fresh": [],
    }
    with pytest.raises(UnfitFile, match="do not fit"):
        base_stage.run(
            a_job(
                "base",
                tmp_path / "not",
                params(weights=borrowing()),
                inputs={"data": digits_data},
                files=files,
            )
        )


def test_borrowed_weights_are_tuned_for_as_long_as_asked(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import base as base_stage

    files = {"weights": digits_base / "model.keras"}
    tuning = params(
        args={"width": 16},
        weights=borrowing(fine_tune=1),
        train={**TRAIN, "epochs": 9, "learning_rate": 1e-4},
    )
    base_stage.run(
        a_job("base", tmp_path / "tuned", tuning, inputs={"data": digits_data}, files=files)
    )
    before, after = (
        json.loads((path / "report.json").read_text()) for path in (digits_base, tmp_path / "tuned")
    )
    assert len(after["history"]) == 1
    assert after["history"][0]["loss"] < before["history"][0]["loss"], (
        "it starts from what was learned"
    )
    assert weights(tmp_path / "tuned") != weights(digits_base)


def test_a_layer_without_weights_or_with_others_is_named(digits_base: Path) -> None:
    from zoo_builders.keras_models.files import load
    from zoo_builders.keras_models.render import graph_of
    from zoo_builders.keras_models.weights import put, weights_of

    model = load(digits_base / "model.keras")
    graph = graph_of(model)
    held = weights_of(model, graph)
    lacking = {name: arrays for name, arrays in held.items() if name != "stem_bn"}
    with pytest.raises(
        BuildFailed,
        match=r"layer stem_bn: expected .*gamma.* found none; layer classifier: expected",
    ):
        put(model, graph, {**lacking, "classifier": held["stem_conv"]})
    put(model, graph, lacking, fresh=("stem_bn",))


@pytest.mark.parametrize("data", [b"", b"not a model", b"PK\x03\x04"])
def test_a_file_that_is_no_model_is_refused(data: bytes, digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders.stages import base as base_stage

    (tmp_path / "model.keras").write_bytes(data)
    job = a_job(
        "base",
        tmp_path / "out",
        params(network="file:"),
        inputs={"data": digits_data},
        files={"network": tmp_path / "model.keras"},
    )
    with pytest.raises(Unsupported, match=r"model\.keras: "):
        base_stage.run(job)


KERAS = """
from zoo_builders import tf
def net():
    k = tf.keras.layers
    return tf.keras.Sequential([k.Input((8, 8, 1)), k.Flatten(), k.Dense(10, "softmax")])
"""
GRAPH = """
from zoo_builders.authoring import Net
def net():
    n = Net("n", (8, 8, 1))
    n.flatten()
    n.dense(10, activation="softmax")
    return n.graph()
"""
LINEAR = """
from zoo_builders.authoring import Net
def net():
    n = Net("n", (8, 8, 1))
    n.flatten()
    n.dense(500)
    n.dense(10)
    return n.graph()
"""


@pytest.mark.parametrize("made", [KERAS, GRAPH])
def test_a_function_of_the_user_may_give_a_graph_or_a_keras_model(
    made: str, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import base as base_stage

    (tmp_path / "net.py").write_text(made)
    setting = params(network="file:net", args={}, train={**TRAIN, "epochs": 4})
    base_stage.run(
        a_job(
            "base",
            tmp_path / "out",
            setting,
            inputs={"data": digits_data},
            files={"network_source": tmp_path / "net.py"},
        )
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["accuracy"]["validation"] > 0.7, (
        "the loss took probabilities for logits, or the other way round"
    )


def test_a_function_of_a_module_is_imported_whatever_else_its_file_holds(
    digits_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_builders.stages import base as base_stage

    (tmp_path / "nets_of_mine.py").write_text(GRAPH + GRAPH.replace("def net", "def other"))
    monkeypatch.syspath_prepend(tmp_path)
    setting = params(network="python:nets_of_mine:net", args={})
    files = {"network_source": tmp_path / "nets_of_mine.py"}
    base_stage.run(
        a_job("base", tmp_path / "out", setting, inputs={"data": digits_data}, files=files)
    )
    assert json.loads((tmp_path / "out" / "report.json").read_text())["parameters"] > 0


@pytest.mark.parametrize("scores", [5, 12])
def test_a_network_with_other_classes_than_the_data_is_refused(
    scores: int, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import base as base_stage

    job = a_job(
        "base",
        tmp_path / "out",
        params(args={"width": 4, "classes": scores}),
        inputs={"data": digits_data},
    )
    with pytest.raises(
        BuildFailed, match=f"the data have 10 classes, the network gives {scores} scores"
    ) as told:
        base_stage.run(job)
    assert "base.args (classes: …)" in told.value.hint
    assert not (tmp_path / "out" / "model.keras").exists()


def test_a_function_that_gives_something_else_is_refused(digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders.stages import base as base_stage

    (tmp_path / "net.py").write_text("def net():\n    return 3\n")
    job = a_job(
        "base",
        tmp_path / "out",
        params(network="file:net", args={}),
        inputs={"data": digits_data},
        files={"network_source": tmp_path / "net.py"},
    )
    with pytest.raises(WrongUse, match="gave a int"):
        base_stage.run(job)


def test_a_training_that_explodes_fails(digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders.stages import base as base_stage

    (tmp_path / "net.py").write_text(LINEAR)
    setting = params(
        network="file:net",
        args={},
        train={**TRAIN, "epochs": 30, "optimizer": "sgd", "learning_rate": 10},
    )
    job = a_job(
        "base",
        tmp_path / "out",
        setting,
        inputs={"data": digits_data},
        files={"network_source": tmp_path / "net.py"},
    )
    with pytest.raises(BuildFailed, match="NaN"):
        base_stage.run(job)
