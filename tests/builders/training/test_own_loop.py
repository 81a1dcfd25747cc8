"""Training loops of the user.

What they are given, that they prune, are taken up again and watched; what is refused, and when.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.stage import Job
from zoo_builders.training import checkpoints
from zoo_registry.model.errors import BuildFailed, InvalidManifest

LOOP = """
from zoo_builders.tf import tensorflow as tf

def loop(training):
    model, optimizer = training.model, training.optimizer

    @tf.function
    def step(inputs, labels):
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = training.loss(labels, outputs)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        training.measure(loss, labels, outputs)

    for epoch in training.epochs():
        for inputs, labels in epoch:
            step(inputs, labels)
"""
SKIPS = LOOP.replace("            step(inputs, labels)\n", "            break\n")
STOPS = LOOP.replace(
    "            step(inputs, labels)\n", "            step(inputs, labels)\n        break\n"
)
SILENT = LOOP.replace("        training.measure(loss, labels, outputs)\n", "")
IDLE = LOOP.replace(
    "        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))\n", ""
)
RAISES = "def loop(training):\n    raise RuntimeError('on purpose')\n"
EXPLODES = LOOP.replace(
    "loss = training.loss(labels, outputs)", "loss = training.loss(labels, outputs) * float('nan')"
)


@pytest.fixture
def stage(digits_base: Path, digits_data: Path, tmp_path: Path) -> Callable[..., Job]:
    """Make a pruning stage whose loop is `source`."""

    def make(source: str, out: str = "out", **rest: Any) -> Job:
        (tmp_path / "loop.py").write_text(source)
        params = {"final": 0.6, "epochs": 2, "batch_size": 200}
        stage = {
            "technique": "prune",
            "params": params,
            "train": {**TRAIN, "trainer": "file:loop"},
            "seed": 7,
        }
        inputs, files = (
            {"model": digits_base, "data": digits_data},
            {"trainer": tmp_path / "loop.py"},
        )
        return a_job("technique", tmp_path / out, stage, inputs=inputs, files=files, **rest)

    return make


def weights(folder: Path) -> list[bytes]:
    from zoo_builders.keras_models.files import load

    return [weight.tobytes() for weight in load(folder / "model.keras").get_weights()]


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


@pytest.mark.train
def test_a_gradient_tape_loop_prunes_and_is_taken_up_again(
    stage: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_builders.stages import technique as technique_stage

    told: list[tuple[int, int, str]] = []
    whole = stage(LOOP, "whole", progress=lambda *said: told.append(said))
    technique_stage.run(whole)
    report = json.loads((whole.out / "report.json").read_text())
    assert min(report["sparsity"].values()) >= 0.6
    assert report["accuracy"]["validation"] > 0.5
    assert [set(epoch) for epoch in report["history"]["epochs"]] == [
        {"loss", "accuracy", "val_loss", "val_accuracy"}
    ] * 2
    assert [done for done, _, _ in told] == list(range(1, told[0][1] + 1))

    monkeypatch.setattr(checkpoints.Checkpoint, "due", lambda *_, **__: True)
    said: list[str] = []

    def killed(done: int, total: int, note: str) -> None:
        if done == total - 2:
            raise Killed

    broken = replace(
        stage(LOOP, "broken", progress=killed), scratch=tmp_path / "scratch", say=said.append
    )
    with pytest.raises(Killed):
        technique_stage.run(broken)
    technique_stage.run(replace(broken, progress=lambda *_: None))
    steps = told[0][1] // 2
    assert said == [f"prune: resumed at epoch 2, step {steps - 3}"]
    assert weights(broken.out) == weights(whole.out)
    assert json.loads((broken.out / "report.json").read_text())["history"] == report["history"]


@pytest.mark.train
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SKIPS, r"file:loop took 0 of \d+ batches in epoch 1"),
        (STOPS, "file:loop ended after 0 of 2 epochs"),
        (SILENT, "file:loop measured no batch"),
        (IDLE, "file:loop changed no weight"),
        (RAISES, "file:loop raised RuntimeError: on purpose"),
        (EXPLODES, "the loss became NaN"),
    ],
    ids=["skips", "stops", "silent", "idle", "raises", "explodes"],
)
def test_a_loop_that_does_not_train_fails_the_build(
    source: str, words: str, stage: Callable[..., Job]
) -> None:
    from zoo_builders.stages import technique as technique_stage

    with pytest.raises(BuildFailed, match=words):
        technique_stage.run(stage(source))


MANIFEST = (
    (Path(__file__).parents[1] / "conftest.py")
    .read_text()
    .partition('MANIFEST = """\\\n')[2]
    .partition('"""')[0]
)


def read(folder: Path, trainer: str, source: str | None) -> Any:
    (folder / "m.yaml").write_text(MANIFEST.replace("seed: 3}", f"seed: 3, trainer: '{trainer}'}}"))
    if source is not None:
        (folder / "loop.py").write_text(source)
    return Reader(WorkTree(Digests(folder / "digests.json")), {}).read(folder / "m.yaml", "m.yaml")


REFUSED = {
    "no file": ("./loop.py", None, "no such file"),
    "no python": ("./loop.py", "def loop(", "does not parse"),
    "no function": ("./loop.py:lop", LOOP, "no function 'lop'; its functions: loop"),
    "no argument": ("./loop.py", "def loop():\n    pass\n", "takes 0 arguments"),
    "too many arguments": ("./loop.py", "def loop(model, data):\n    pass\n", "takes 2 arguments"),
    "no loop": ("./loop.txt", "x", "no training loop"),
    "no module": ("python:nowhere.at_all:loop", None, "cannot import"),
    "no function of a module": ("python:json", None, "names no function"),
    "absolute": ("/loop.py", LOOP, "absolute path"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_no_loop_is_refused_while_planning(name: str, tmp_path: Path) -> None:
    trainer, source, words = REFUSED[name]
    with pytest.raises(InvalidManifest) as refused:
        read(tmp_path, trainer, source)
    assert words in str(refused.value)
    assert "base.train.trainer" in str(refused.value)


def test_what_a_loop_says_counts_and_not_where_it_lies(tmp_path: Path) -> None:
    from zoo_builders.planning import code_digest, toolchain
    from zoo_builders.planning.planner import plan

    def prints(trainer: str, source: str) -> tuple[str, ...]:
        resolved = read(tmp_path, trainer, source)
        tools = toolchain.gather(
            resolved, code_digest.Code(WorkTree(Digests(tmp_path / "digests.json"))), ""
        )
        found = next(
            made for made in plan(resolved, tools, benchmark=False) if made.variant == "sparse"
        )
        return found.parts["base"], found.parts["prune"]

    first = prints("./loop.py", LOOP)
    assert prints("./loop.py:loop", LOOP) == first
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops/slow.py").write_text(LOOP)
    assert prints("./loops/slow.py:loop", LOOP) == first
    other = prints("./loop.py", LOOP.replace("training=True", "training=False"))
    assert not set(other) & set(first), "base and technique both train with it"
