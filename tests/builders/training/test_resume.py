"""A training whose process is killed, or told to end, goes on at its step.

The same weights as one that ran through, bit for bit.
"""

import json
import random
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plugins.killable import EVERY, hasty
from zoo_builders.running import pipeline as pipelines
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stage import SourceFile, Stage
from zoo_builders.techniques import TECHNIQUES
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed

pytestmark = [pytest.mark.train, pytest.mark.slow]

SPLITS = {
    "train": "train[:200]",
    "validation": "train[200:240]",
    "test": "test[:20]",
    "calibration": "train[:20]",
}
TRAIN = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "seed": 7,
    "augment": [{"crop": 1}],
    "schedule": "cosine",
}
STEPS = 2 * 13
RANDOM = random.Random("three steps")
TRAINING = sorted(
    name
    for name in TECHNIQUES.names()
    if TECHNIQUES.get(name).work and "epochs" in TECHNIQUES.get(name).params.model_fields
)
"""Every technique that trains, by being there."""

DROPS = """
from zoo_builders.authoring import Net
def drops():
    n = Net("drops", (8, 8, 1))
    n.conv(6, 3)
    n.batch_norm()
    n.relu()
    n.dropout(0.3)
    n.flatten()
    n.dense(10)
    return n.graph()
"""


def a_stage(kind: Any, name: str, params: Mapping[str, Any], **rest: Any) -> Stage:
    return Stage(
        kind=kind,
        name=name,
        params=dict(params),
        code=Digest.of(b"code"),
        tools={},
        reproducible="weights",
        **rest,
    )


DATA = a_stage(
    "data",
    "data",
    {"source": "digits", "args": {}, "splits": SPLITS, "preprocess": [{"rescale": [0, 1]}]},
)


def base(**changes: Any) -> Stage:
    params = {
        "network": "digits_cnn",
        "args": {"width": 4},
        "weights": {"source": "train"},
        "train": TRAIN,
        "task": "image-classification",
    }
    return a_stage("base", "base", params | changes, inputs={"data": DATA.fingerprint})


def technique(name: str, below: Stage, **said: Any) -> Stage:
    fields = (
        TECHNIQUES.get(name)
        .params.model_validate({"epochs": 2, **said})
        .model_dump(mode="json", by_alias=True)
    )
    params = {"technique": name, "params": fields, "train": TRAIN, "seed": 7}
    return a_stage(
        "technique", name, params, inputs={"model": below.fingerprint, "data": DATA.fingerprint}
    )


class Place:
    """A stage cache with the real pipeline over it, whose stages can be sent signals."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pipeline, self._patch = (
            Pipeline(StageCache(folder / "stages"), folder / "logs"),
            monkeypatch,
        )
        self.said: list[str] = []
        self.pipeline.said = lambda _stage, text: self.said.append(text)

    def run(self, stage: Stage, *, at: int = 0, sent: int = 0) -> Path:
        self._patch.setattr(pipelines, "main", partial(hasty, at=at, signal=sent))
        return self.pipeline.make(stage)

    def interrupted(self, stage: Stage, at: int, sent: int, code: str) -> None:
        with pytest.raises(BuildFailed, match=code):
            self.run(stage, at=at, sent=sent)


MakePlace = Callable[[str, Sequence[Stage]], Place]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Makes what trainings of several tests begin with, once."""
    folder = tmp_path_factory.mktemp("made")
    return Pipeline(StageCache(folder / "stages"), folder / "logs")


@pytest.fixture
def place(tmp_path: Path, made: Pipeline, monkeypatch: pytest.MonkeyPatch) -> MakePlace:
    """Make a place that begins with the results of `below` in its cache and nothing else."""

    def make(name: str, below: Sequence[Stage]) -> Place:
        here = Place(tmp_path / name, monkeypatch)
        for stage in below:
            folder = made.make(stage)
            shutil.copytree(folder, here.pipeline.cache.folder(stage.fingerprint))
        return here

    return make


def weights(folder: Path) -> list[bytes]:
    from zoo_builders.keras_models.files import load

    return [weight.tobytes() for weight in load(folder / "model.keras").get_weights()]


def history(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())["history"]


def hold(place: MakePlace, stages: list[Stage], *, kills: int) -> None:
    """The last of `stages`, killed at random steps, ends as if nothing had happened."""
    through, broken = place("through", stages[:-1]), place("broken", stages[:-1])
    straight = through.run(stages[-1])
    steps = sorted(RANDOM.sample(range(EVERY + 1, STEPS), kills))
    for at in steps:
        broken.interrupted(stages[-1], at, signal.SIGKILL, r"ended without a result \(signal 9\)")
    resumed = broken.run(stages[-1])
    assert weights(resumed) == weights(straight), f"killed at steps {steps}"
    assert history(resumed) == history(straight), f"killed at steps {steps}"
    assert len(broken.said) == kills, f"resumed after each of {steps}"
    assert through.said == []
    assert list((broken.pipeline.cache.root).glob("??/.*.scratch")) == [], (
        "what a kill leaves is gone with the result"
    )


@pytest.mark.parametrize("name", TRAINING)
def test_a_technique_killed_at_some_step_ends_with_the_same_bits(
    name: str, place: MakePlace
) -> None:
    below = [DATA, base(train=TRAIN | {"epochs": 1})]
    said: dict[str, Any] = {}
    if name == "quantize_aware":  # what it holds while it trains must be found again too
        below, said = [*below, technique("prune", below[-1], epochs=0)], {"preserve": ["sparsity"]}
    hold(place, [*below, technique(name, below[-1], **said)], kills=1)


def test_a_base_with_dropout_killed_at_three_steps_ends_with_the_same_bits(
    place: MakePlace, tmp_path: Path
) -> None:
    (tmp_path / "drops.py").write_text(DROPS)
    source = SourceFile(path=str(tmp_path / "drops.py"), sha256=Digest.of(DROPS.encode()))
    hold(
        place,
        [
            DATA,
            base(network="file:drops", args={}).model_copy(
                update={"files": {"network_source": source}}
            ),
        ],
        kills=3,
    )


def test_a_training_that_is_told_to_end_keeps_the_very_step(place: MakePlace) -> None:
    here = place("here", [DATA])
    here.interrupted(base(), STEPS - 5, signal.SIGTERM, r"ended without a result \(exit code 143\)")
    here.run(base())
    assert here.said == ["train: resumed at epoch 2, step 8"]
