"""Every kind of base with every recipe: built by its stages, or refused while it is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from plugins.digits import a_job
from plugins.matrix import step_by_step
from zoo_builders.manifest.reader import Reader, Resolved
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.planning.code_digest import Code
from zoo_builders.planning.planner import plan
from zoo_builders.planning.toolchain import gather
from zoo_builders.stage import Stage
from zoo_builders.stages import ENTRY
from zoo_registry.model.errors import InvalidManifest

_SHORT = {"epochs": 1, "batch_size": 50}
_AWARE = {"quantize_aware": _SHORT}
_PRUNE = {"prune": {**_SHORT, "final": 0.5}}


def _quantize(dtype: str) -> dict[str, Any]:
    return {"quantize": {"dtype": dtype, "samples": 20, "report": False}}


RECIPES: dict[str, list[dict[str, Any]]] = {
    "as it is": [],
    "float16": [{"quantize": {"dtype": "float16"}}],
    "int8": [_quantize("int8")],
    "int16x8": [_quantize("int16x8")],
    "prune": [_PRUNE],
    "cluster": [{"cluster": {**_SHORT, "clusters": 8}}],
    "quantize_aware": [_AWARE],
    "prune → quantize_aware": [_PRUNE, _AWARE],
    "svd": [{"svd": _SHORT}],
}

NETWORK = """\
from zoo_builders.authoring import Net


def net():
    net = Net("net", (8, 8, 1))
    net.conv(8, 3, bias=False)
    net.batch_norm()
    net.relu()
    net.flatten()
    net.dense(10)
    return net.graph()
"""


def _known(keras: Any) -> Any:
    k = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = k.Conv2D(8, 3, use_bias=False, name="conv")(image)
    x = k.Flatten(name="flat")(k.ReLU(name="relu")(k.BatchNormalization(name="norm")(x)))
    return keras.Model(image, k.Dense(10, name="head")(x), name="net")


def _other(keras: Any) -> Any:
    k = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = k.Conv1D(8, 3, activation="relu", name="conv")(k.Reshape((8, 8), name="rows")(image))
    return keras.Model(image, k.Dense(10, name="head")(k.Flatten(name="flat")(x)), name="net")


def _saved(which: str, make: Callable[[Any], Any], path: Path) -> None:
    from zoo_builders import tf

    tf.keras.utils.set_random_seed(1)
    make(getattr(tf, which)).save(path)


def _exported(path: Path) -> None:
    from zoo_builders import tf

    _known(tf.keras3).export(str(path), verbose=False)


def _file(path: Path, *, quantized: bool = False) -> None:
    import numpy as np

    from zoo_builders import tf
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.techniques.quantize.params import Params

    inputs = np.random.default_rng(1).uniform(0, 1, (20, 8, 8, 1)).astype(np.float32)
    quantize = Params(dtype="int8", samples=20) if quantized else None
    path.write_bytes(to_tflite(_known(tf.keras), quantize, inputs))


@dataclass(frozen=True, slots=True)
class Base:
    """A row of the table: what the manifest says below `base`, and what makes its file."""

    said: Mapping[str, Any]
    make: Callable[[Path], None]


BASES: dict[str, Base] = {
    "Keras 2": Base({"network": "./keras2.h5"}, partial(_saved, "keras", _known)),
    "Keras 2, a layer the zoo does not know": Base(
        {"network": "./keras2_other.keras"}, partial(_saved, "keras", _other)
    ),
    "Keras 3": Base({"network": "./keras3.keras"}, partial(_saved, "keras3", _known)),
    "Keras 3, a layer the zoo does not know": Base(
        {"network": "./keras3_other.h5"}, partial(_saved, "keras3", _other)
    ),
    "SavedModel": Base({"network": "./export"}, _exported),
    "float `.tflite`": Base({"tflite": "./float.tflite"}, _file),
    "quantized `.tflite`": Base({"tflite": "./int8.tflite"}, partial(_file, quantized=True)),
    "python": Base(
        {"network": "./net.py", "train": _SHORT}, lambda path: _ignore(path.write_text(NETWORK))
    ),
    "shipped": Base(
        {"network": "digits_cnn", "args": {"width": 4}, "train": _SHORT}, lambda _: None
    ),
}


def _ignore(_: Any) -> None: ...


@dataclass
class Bench:
    """Builds cells in one process; stages that cells share run once."""

    folder: Path
    done: dict[str, Path] = field(default_factory=dict)

    def cell(self, base: str, recipe: str) -> str:
        """Say `built`, or the words of the refusal; what fails after that raises."""
        said = BASES[base].said
        path = self.folder / str(said.get("network", said.get("tflite")))
        if not path.exists():
            BASES[base].make(path)
        try:
            resolved = self._read(said, recipe)
        except InvalidManifest as error:
            return f"refused: {_words(error.message)}"
        code = Code(WorkTree(Digests(self.folder / "digests.json")))
        [made] = plan(resolved, gather(resolved, code, "host"), benchmark=False)
        for stage in made.stages:
            self._run(stage)
        return "built"

    def _read(self, said: Mapping[str, Any], recipe: str) -> Resolved:
        told = {
            "schema": "edgezoo/v1",
            "model": "m",
            "version": "1.0.0",
            "license": "none",
            "base": dict(said),
            "data": {
                "source": "digits",
                "splits": {
                    "train": "train[:100]",
                    "validation": "train[100:150]",
                    "test": "test[:50]",
                    "calibration": "train[:50]",
                },
                "preprocess": [{"rescale": [0, 1]}],
            },
            "variants": {"made": RECIPES[recipe]},
        }
        path = self.folder / "m.yaml"
        path.write_text(yaml.safe_dump(told))
        return Reader(WorkTree(Digests(self.folder / "digests.json")), {}).read(path)

    def _run(self, stage: Stage) -> None:
        key = str(stage.fingerprint)
        if key in self.done:
            return
        job = a_job(
            stage.kind,
            self.folder / "results" / key,
            stage.params,
            files={role: Path(file.path) for role, file in stage.files.items()},
            inputs={role: self.done[str(source)] for role, source in stage.inputs.items()},
        )
        work = import_module(ENTRY[stage.kind]).run
        if stage.kind in {"base", "technique"}:
            with step_by_step():
                work(job)
        else:
            work(job)
        self.done[key] = job.out


def _words(message: str) -> str:
    """Keep the reason of the first mistake: no path, and not which recipe it is of."""
    first = message.splitlines()[0]
    place = re.sub(r"^.*variants\.made\[\d\]\.\w+: ", "", first)
    return re.sub(r"^\w+ (cannot be applied)", r"\1", place)


def table(cells: Mapping[tuple[str, str], str]) -> str:
    """Spell the document."""
    head = [
        "# Which base takes which recipe",
        "",
        "Written by `tests/builders/test_bases.py` (`make golden`), which builds every cell: ✓ is built and proven, no is refused by `zoo validate`, with the words below.",
        "",
        f"| base | {' | '.join(RECIPES)} |",
        f"|---{'|---' * len(RECIPES)}|",
    ]
    marks = {cell: "✓" if said == "built" else "no" for cell, said in cells.items()}
    rows = [f"| {base} | {' | '.join(marks[base, one] for one in RECIPES)} |" for base in BASES]
    return "\n".join([*head, *rows, "", *_refusals(cells), ""])


def _refusals(cells: Mapping[tuple[str, str], str]) -> list[str]:
    lines = []
    for base in BASES:
        said: dict[str, list[str]] = {}
        for recipe in RECIPES:
            if cells[base, recipe] != "built":
                said.setdefault(cells[base, recipe], []).append(recipe)
        lines += [f"- **{base}**, {', '.join(names)}: {words}" for words, names in said.items()]
    return lines
