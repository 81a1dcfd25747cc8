"""A compression algorithm beside every technique that ships.

Accuracy, download, parameters, multiplications of one small real model.

    python benchmarks/compression.py                                   # all that ship
    python benchmarks/compression.py ./ternary.py                      # and an algorithm of your
    own, named as in a manifest python benchmarks/compression.py ./ternary.py:Ternary '{"threshold":
    0.5}' python benchmarks/compression.py python:my_package.mine:Mine

The model is `digits_cnn`, trained on scikit-learn's digits; each technique fine-tunes it for as
many epochs and is converted alone and with int8 after it. Accuracy is that of the finished file on
the test split, with the spread that 360 examples leave (95 %, Wilson).
"""

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from zoo_builders.stages import (
    technique as technique_stage,
    convert,
    data as data_stage,
    base as base_stage,
)
from zoo_builders.tflite import litert
from zoo_builders.manifest.own_algorithms import Finder
from zoo_builders.data.stored import load_split
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine, inspect
from zoo_builders.metrics import wilson
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.tflite.proof import demand, judge
from zoo_builders.manifest.recipes import graphs, objections
from zoo_builders.stage import Job
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_registry.model.errors import BuildFailed, WrongUse, ZooError

EPOCHS = 5
TRAIN = {"epochs": 20, "batch_size": 32, "learning_rate": 2e-3, "seed": 7}
SPLITS = {
    "train": "train[:80%]",
    "validation": "train[80%:]",
    "test": "test",
    "calibration": "train[:200]",
}


class Bench:
    """Builds and looks at files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = self._job(
            "data",
            {"source": "digits", "args": {}, "splits": SPLITS, "preprocess": [{"rescale": [0, 1]}]},
        )
        data_stage.run(self.data)
        params = {
            "network": "digits_cnn",
            "args": {},
            "weights": {"source": "train"},
            "train": TRAIN,
            "task": "image-classification",
        }
        self.base = self._job("base", params, data=self.data.out)
        base_stage.run(self.base)

    def _job(self, kind: Any, params: Mapping[str, Any], **inputs: Path) -> Job:
        out = Path(tempfile.mkdtemp(dir=self.folder, prefix=kind))
        return Job(kind, params, {}, inputs, out, lambda *_: None)

    def build(self, steps: Sequence[Step]) -> bytes:
        """Refuse what a build would, run the steps as it does, prove what they promise.

        Give the file.
        """
        met = graphs(NETWORKS.get("digits_cnn")(), steps)
        refused = [
            one for at, step in enumerate(steps) for one in objections(met[at], step, steps[:at])
        ]
        if refused:
            raise BuildFailed(
                "; ".join(f"{one.layer}: {one.reason}" for one in refused), hint=refused[0].fix
            )
        model = self.base.out
        asked: dict[str, Any] = {}
        for step in steps:
            technique = TECHNIQUES.get(step.technique)
            asked |= technique.converts(step.params, steps)
            if technique.work is not None:
                stage = {
                    "technique": step.technique,
                    "params": step.params.model_dump(mode="json"),
                    "train": TRAIN,
                    "seed": 7,
                }
                job = self._job("technique", stage, model=model, data=self.data.out)
                technique_stage.run(job)
                model = job.out
        job = self._job("convert", {"quantize": None, **asked}, model=model, data=self.data.out)
        convert.run(job)
        file = (job.out / "model.tflite").read_bytes()
        self._prove(file, steps)
        return file

    def _prove(self, file: bytes, steps: Sequence[Step]) -> None:
        met = graphs(NETWORKS.get("digits_cnn")(), steps)
        promises = [
            p
            for step, graph in zip(steps, met, strict=True)
            for p in TECHNIQUES.get(step.technique).promises(graph, step.params, steps)
        ]
        seen = examine(read(file))
        demand(judge(promises, seen))

    def row(self, name: str, file: bytes) -> str:
        """Measure one file and write its line."""
        inputs, labels = load_split(self.data.out, "test")
        session = litert.Session(file)
        right = sum(
            int(np.argmax(session.run([session.inputs[0].store(x[None])])[0])) == int(y)
            for x, y in zip(inputs, labels, strict=True)
        )
        low, high = wilson(right, len(labels))
        found = inspect(file)
        return (
            f"{name:<28} {right / len(labels):6.1%} [{low:.1%}, {high:.1%}] {len(file):>9,}"
            f" {len(gzip.compress(file, 9, mtime=0)):>9,} {found.parameters:>10,} {found.macs:>10,}"
        )


def named(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Make a technique of the algorithm that the command line names as a manifest does.

    Give its name and parameters.

    Raises:
        WrongUse: there is no such algorithm, or the parameters are no JSON object.
    """
    if not words:
        return {}
    try:
        params = json.loads(words[1]) if len(words) > 1 else {}
    except ValueError as error:
        raise WrongUse(f"no JSON: {words[1]!r}", hint="""write '{"epochs": 5}'""") from error
    folder = Path.cwd()
    return {
        Finder(folder, WorkTree(Digests(folder / ".zoo/digests.json")), os.environ)(
            words[0]
        ): params
    }


def recipes(mine: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Step]]:
    """List what is compared: every technique alone and before int8, quantize in every type."""
    found: dict[str, list[Step]] = {"float32": []}
    quantize = TECHNIQUES.get("quantize").params
    found |= {
        dtype: [Step("quantize", quantize.model_validate({"dtype": dtype}))]
        for dtype in ("float16", "dynamic", "int8")
    }
    for name in dict.fromkeys((*TECHNIQUES.names(), *mine)):
        technique = TECHNIQUES.get(name)
        if technique.work is not None:
            step = Step(
                name, technique.params.model_validate({"epochs": EPOCHS, **mine.get(name, {})})
            )
            found[name] = [step]
            found |= {} if technique.ends else {f"{name}, int8": [step, *found["int8"]]}
    return found


def main() -> None:
    """Print one line a recipe."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        asked = recipes(named(sys.argv[1:]))
    except (ZooError, ValidationError) as error:
        sys.exit(f"error: {error}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(
            f"{'':<28} {'top-1 of the file':<22} {'bytes':>9} {'gzip':>9} {'parameters':>10}"
            f" {'MACs':>10}"
        )
        for name, steps in asked.items():
            try:
                print(bench.row(name, bench.build(steps)), flush=True)
            except ZooError as error:
                print(f"{name:<28} refused: {error.message}")


if __name__ == "__main__":
    main()
