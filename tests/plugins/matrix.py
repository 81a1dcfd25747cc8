"""The technique matrix: every technique on every kind of network.

Really built in this one process, and the table it is written to.
"""

import json
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plugins.digits import a_job
from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.recipes import graphs, judge, read_recipes
from zoo_builders.manifest.yaml_lines import Document
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.record import Finding

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/techniques.md"
TRAIN = {"epochs": 1, "batch_size": 100, "learning_rate": 3e-3, "seed": 7}
SHORT = {"epochs": 1, "batch_size": 100}
"""Enough to see that a technique holds; accuracy is judged elsewhere."""

PRUNE = {**SHORT, "final": 0.5}


def _dense() -> Graph:
    net = Net("dense", (8, 8, 3))
    net.flatten(name="flatten")
    net.dense(16, activation="relu", name="hidden")
    net.dense(12, name="classifier")
    return net.graph()


def _end(net: Net) -> Graph:
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(12, name="classifier")
    return net.graph()


def _after(net: Net, name: str) -> str:
    net.batch_norm(momentum=0.9, name=f"{name}_bn")
    return net.relu(name=f"{name}_relu")


def _pointwise() -> Graph:
    net = Net("pointwise", (8, 8, 3))
    for name, filters in (("first", 16), ("second", 32)):
        net.conv(filters, 1, bias=False, name=name)
        _after(net, name)
    return _end(net)


def _conv3x3() -> Graph:
    net = Net("conv3x3", (8, 8, 3))
    for name, filters in (("first", 8), ("second", 16)):
        net.conv(filters, 3, 2, padding="same", bias=False, name=name)
        _after(net, name)
    return _end(net)


def _stem(net: Net) -> None:
    net.zero_pad(1, name="stem_pad")
    net.conv(8, 3, 2, bias=False, name="stem")
    _after(net, "stem")


def _separable() -> Graph:
    net = Net("depthwise", (8, 8, 3))
    _stem(net)
    net.depthwise(3, 1, bias=False, name="depthwise")
    _after(net, "depthwise")
    net.conv(32, 1, bias=False, name="pointwise")
    _after(net, "pointwise")
    net.global_pool(keepdims=True, name="pool")
    net.conv(12, 1, name="classifier")
    net.global_pool(keepdims=False, name="logits")
    return net.graph()


def _residual() -> Graph:
    net = Net("residual", (8, 8, 3))
    _stem(net)
    entered = net.conv(16, 1, bias=False, name="enter")
    entered = net.batch_norm(momentum=0.9, name="enter_bn")
    net.conv(32, 1, bias=False, name="expand")
    _after(net, "expand")
    net.conv(16, 1, bias=False, name="project")
    projected = net.batch_norm(momentum=0.9, name="project_bn")
    net.add(projected, entered, name="add")
    return _end(net)


def _dense_stem() -> Graph:
    net = Net("dense_stem", (8, 8, 3))
    net.conv(8, 3, 2, padding="same", bias=False, name="stem")
    _after(net, "stem")
    net.conv(16, 3, 1, padding="same", bias=False, name="conv")
    _after(net, "conv")
    return _end(net)


NETWORKS = {
    "Dense": _dense,
    "Conv 1x1": _pointwise,
    "Conv 3x3": _conv3x3,
    "depthwise": _separable,
    "residual": _residual,
    "dense stem": _dense_stem,
}
"""Column → network; in the last one `prune` leaves the stem out."""

LEGEND = {
    "Dense": "two fully connected layers on flattened images",
    "Conv 1x1": "two 1x1 convolutions, a global pooling, a fully connected classifier",
    "Conv 3x3": (
        "two 3x3 convolutions with stride 2, a global pooling, a fully connected classifier"
    ),
    "depthwise": (
        "a 3x3 stem padded as XNNPACK's sparse path asks, a depthwise 3x3, a 1x1 convolution, a"
        " global pooling, a 1x1 classifier"
    ),
    "residual": (
        "the same stem, three 1x1 convolutions with a shortcut around two of them, a global"
        " pooling, a fully connected classifier"
    ),
    "dense stem": (
        "two 3x3 convolutions, of which `prune` is told to leave the first (the stem) dense, then"
        " as Conv 3x3"
    ),
}
"""Column → its network in words."""

CLUSTER = {**SHORT, "clusters": 8}
AWARE = {"quantize_aware": SHORT}


FLAT = ["hidden", "classifier", "second", "pointwise", "enter", "expand", "project"]
"""Layers whose kernels have two dimensions.

Dense ones, and 1x1 convolutions whose inputs a block of four divides.
"""


def _int(dtype: str, **more: Any) -> dict[str, Any]:
    return {"quantize": {"dtype": dtype, "samples": 20, "report": False, **more}}


RECIPES: dict[str, list[dict[str, Any]]] = {
    "prune": [{"prune": PRUNE}],
    "prune, biases too": [{"prune": {**PRUNE, "bias": True}}],
    "prune, blocks of 1x4": [{"prune": {**PRUNE, "block": [1, 4]}}],
    "prune, blocks of 1x4 where they fit": [
        {"prune": {**PRUNE, "block": [1, 4], "layers": [{"name": FLAT}]}}
    ],
    "prune, 2:4": [{"prune": {**SHORT, "pattern": "2:4"}}],
    "prune, 2:4, first layer left out": [
        {"prune": {**SHORT, "pattern": "2:4", "skip": [{"position": "first"}]}}
    ],
    "prune, XNNPACK policy": [{"prune": {**PRUNE, "policy": "xnnpack", "final": 0.75}}],
    "prune, XNNPACK policy, 90 % zeros": [{"prune": {**PRUNE, "policy": "xnnpack", "final": 0.9}}],
    "cluster": [{"cluster": CLUSTER}],
    "prune → cluster": [{"prune": PRUNE}, {"cluster": CLUSTER}],
    "prune → cluster, zeros not kept": [
        {"prune": PRUNE},
        {"cluster": {**CLUSTER, "preserve": "none"}},
    ],
    "quantize: float16": [{"quantize": {"dtype": "float16"}}],
    "quantize: dynamic": [{"quantize": {"dtype": "dynamic"}}],
    "quantize: int8": [_int("int8")],
    "quantize: int8, int8 interface": [_int("int8", interface="int8")],
    "quantize: int8, one scale a tensor": [_int("int8", granularity="tensor")],
    "quantize: int8, compensated rounding": [_int("int8", rounding="compensated")],
    "prune → quantize: int8, compensated rounding": [
        {"prune": PRUNE},
        _int("int8", rounding="compensated"),
    ],
    "quantize: int8, keep_float: auto": [_int("int8", keep_float="auto", max_drop=0.5)],
    "prune → quantize: int8": [{"prune": PRUNE}, _int("int8")],
    "prune → quantize: float16": [{"prune": PRUNE}, {"quantize": {"dtype": "float16"}}],
    "cluster → quantize: int8": [{"cluster": CLUSTER}, _int("int8")],
    "quantize: int8, classifier in float": [_int("int8", keep_float=["classifier"])],
    "quantize: int8, engine litert": [_int("int8", engine="litert")],
    "quantize: int16x8": [_int("int16x8")],
    "quantize: int4": [{"quantize": {"dtype": "int4"}}],
    "quantize_aware": [AWARE],
    "prune → quantize_aware (PQAT)": [{"prune": PRUNE}, AWARE],
    "cluster → quantize_aware (CQAT)": [{"cluster": CLUSTER}, AWARE],
    "prune → cluster → quantize_aware (PCQAT)": [{"prune": PRUNE}, {"cluster": CLUSTER}, AWARE],
    "quantize_aware → quantize: int8": [AWARE, _int("int8")],
    "svd": [{"svd": SHORT}],
}
"""Row → recipe. A technique that is in no row fails a test."""

LEFT = "left alone by"
"""How the words begin of layers that a step does not change."""

CELLS = [(row, column) for row in RECIPES for column in NETWORKS]


def recipe(row: str, column: str) -> list[dict[str, Any]]:
    """Give the steps of a cell; on the network with a dense stem, `prune` spares the stem."""
    steps = RECIPES[row]
    return [spare_stem(step) for step in steps] if column == "dense stem" else steps


def spare_stem(step: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the stem dense in a `prune` step of the whole model."""
    params = step.get("prune")
    return (
        dict(step)
        if params is None or params.keys() & {"skip", "layers"} or params.get("policy") == "xnnpack"
        else {"prune": {**params, "skip": [{"position": "first"}]}}
    )


@dataclass
class Bench:
    """Builds cells; models and steps that cells share are made once."""

    folder: Path
    data: Path
    models: dict[str, Path] = field(default_factory=dict)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)

    def cell(self, row: str, column: str) -> str:
        """Build one cell and say how it went: `proven: …` or `refused: …`.

        A broken promise raises.
        """
        if (row, column) not in self.cells:
            started = time.perf_counter()
            self.cells[row, column] = self._build(column, recipe(row, column))
            self.seconds[row, column] = time.perf_counter() - started
        return self.cells[row, column]

    def _build(self, column: str, raw: list[dict[str, Any]]) -> str:
        graph = NETWORKS[column]()
        steps, refused = resolve(raw, graph)
        if refused:
            return refused
        model, known = self._base(column), column
        for step in steps:
            if TECHNIQUES.get(step.technique).work is not None:
                known += f" {step.technique} {step.params.model_dump_json()}"
                model = self._applied(known, step, model)
        return _judged(graph, steps, self._converted(graph, steps, model), self._new("look"))

    def _new(self, name: str) -> Path:
        return self.folder / f"{name}-{len(list(self.folder.iterdir()))}"

    def _base(self, column: str) -> Path:
        from zoo_builders import tf
        from zoo_builders.keras_models import files
        from zoo_builders.keras_models.render import render
        from zoo_builders.training.fit import fit
        from zoo_builders.training.job_context import JobContext
        from zoo_builders.training.settings import Train

        if column not in self.models:
            tf.deterministic(7)
            model = render(NETWORKS[column]())
            job = a_job("base", self._new("base"), {}, inputs={"data": self.data})
            settings = Train.model_validate(TRAIN)
            with step_by_step():
                fit(model, JobContext(job, settings, 7), settings, note="train")
            files.save(model, job.out / "model.keras")
            self.models[column] = job.out
        return self.models[column]

    def _applied(self, known: str, step: Step, model: Path) -> Path:
        from zoo_builders.stages import technique as technique_stage

        if known not in self.models:
            params = {
                "technique": step.technique,
                "params": step.params.model_dump(mode="json"),
                "train": TRAIN,
                "seed": 7,
            }
            job = a_job(
                "technique",
                self._new(step.technique),
                params,
                inputs={"model": model, "data": self.data},
            )
            with step_by_step():
                technique_stage.run(job)
            self.models[known] = job.out
        return self.models[known]

    def _converted(self, graph: Graph, steps: Sequence[Step], model: Path) -> Path:
        from zoo_builders.stages import convert

        asked = {
            key: value
            for step in steps
            for key, value in TECHNIQUES.get(step.technique).converts(step.params, steps).items()
        }
        asked = {
            "quantize": None,
            "sparse_encoding": (
                "auto"
                if any(promise.kind == "xnnpack_sparse_on" for promise in _promises(graph, steps))
                else "never"
            ),
            "task": "image-classification",
            **asked,
            # how zeros are stored is tested where files are converted; here it counts where the sparse
            # path is promised
        }
        job = a_job("convert", self._new("file"), asked, inputs={"model": model, "data": self.data})
        convert.run(job)
        return job.out


@contextmanager
def step_by_step() -> Iterator[None]:
    """Train without compiling.

    Three steps of a tiny network take less time than writing down its graph.
    """
    from zoo_builders import tf

    tf.tensorflow.config.run_functions_eagerly(run_eagerly=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Even though the `tf.config.experimental_run_functions_eagerly`"
            )
            yield
    finally:
        tf.tensorflow.config.run_functions_eagerly(run_eagerly=False)


def resolve(raw: list[dict[str, Any]], graph: Graph) -> tuple[tuple[Step, ...], str]:
    """Read a recipe as a manifest's is read; give its steps, and why it is refused."""
    mistakes = Mistakes("matrix.yaml", Document({"variants": {"cell": raw}}, {}))
    recipes = read_recipes({"cell": raw}, mistakes)
    if not mistakes.found:
        judge(recipes, graph, mistakes)
    if not mistakes.found:
        return recipes["cell"], ""
    first = mistakes.found[0].reason.replace(" cannot be applied: ", ": ")
    more = f" (and {len(mistakes.found) - 1} more)" if len(mistakes.found) > 1 else ""
    return (), f"refused: {first}{more}"


def _promises(graph: Graph, steps: Sequence[Step]) -> list[Promise]:
    met = zip(steps, graphs(graph, steps), strict=True)
    return [
        promise
        for step, here in met
        for promise in TECHNIQUES.get(step.technique).promises(here, step.params, steps)
    ]


def left_alone(graph: Graph, steps: Sequence[Step]) -> list[str]:
    """Say which layers with kernels a step leaves as they are, and why.

    What the techniques themselves say of each.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for index, (step, met) in enumerate(zip(steps, graphs(graph, steps), strict=True)):
        said = TECHNIQUES.get(step.technique).layers(met, step.params, steps[:index])
        kernels = [
            node.name for node in met.nodes if any(name.endswith("kernel") for name in node.weights)
        ]
        for name in kernels:
            if name in said and not said[name].applies:
                found.setdefault(
                    (step.technique, said[name].reason.replace("; ", ", ")), []
                ).append(name)
    return [
        f"{LEFT} {technique}: {', '.join(names)} ({reason})"
        for (technique, reason), names in found.items()
    ]


def _judged(graph: Graph, steps: Sequence[Step], file: Path, out: Path) -> str:
    """Hold every promise against the file as the pipeline does, and say what was proven."""
    from zoo_builders.stages import inspect as look

    asked = [
        (TECHNIQUES.get(step.technique), met, step.params)
        for step, met in zip(steps, graphs(graph, steps), strict=True)
    ]
    promises = _promises(graph, steps)
    remarks = [
        remark
        for technique, met, params in asked
        for remark in technique.remarks(met, params, steps)
    ]
    job = a_job(
        "inspect",
        out,
        {"promises": [promise.model_dump(mode="json") for promise in promises]},
        inputs={"file": file},
    )
    look.run(job)  # raises ProofFailed where a promise is broken
    weights = json.loads((out / "structure.json").read_text())["weights"]
    assert all(weight["sparsity"] < 1 for weight in weights), (
        "a kernel whose weights are all zero passes every promise of zeros"
    )
    findings = [
        Finding.model_validate(found) for found in json.loads((out / "proofs.json").read_text())
    ]
    words = f"proven: {said(findings)}" if findings else "built: promises nothing"
    return "; ".join([words, *remarks, *left_alone(graph, steps)])


def said(findings: Iterable[Finding]) -> str:
    """Put findings in a few words: what, in how many tensors."""
    counts = Counter((finding.promise, finding.expected) for finding in findings)
    return ", ".join(
        _phrase(promise, expected, count) for (promise, expected), count in counts.items()
    )


def _phrase(promise: str, expected: str, count: int) -> str:
    tensors = f"in {count} tensor{'s' * (count > 1)}"
    if promise.startswith("share of zeros"):
        where = "biases" if "bias" in promise else "kernels"
        return f"{float(expected):.0%} zeros in {count} {where}"
    if promise.startswith("distinct values per"):
        return f"≤ {float(expected):.0f} values a {promise.split()[3]} {tensors}"
    if promise in {"parameters at most", "macs at most"}:
        return f"at most {float(expected):,.0f} {promise.split(maxsplit=1)[0]}"
    if promise == "XNNPACK's sparse path on":
        return f"predicted to run sparse on {expected}"
    if promise == "weights dtype":
        return f"{expected} weights {tensors}"
    kind = re.fullmatch(r"(activations|interface) dtype", promise)
    return f"{expected} {kind[1]}" if kind else f"{promise} {expected} {tensors}"


def table(cells: Mapping[tuple[str, str], str]) -> str:
    """Write the whole document: a table of marks, then every cell in words."""
    lines = [
        "# Every technique on every kind of network",
        "",
        (
            "Written by `make golden` from tests/builders/techniques/test_matrix.py, which builds"
            " every cell on small networks and judges the finished"
        ),
        "file; do not edit.",
        "",
        (
            "- **✓** proven: the file holds what the recipe promises, and every step changed every"
            " layer with a kernel."
        ),
        "- **(✓)** proven of the layers that the steps change; others are left alone.",
        "- **!** besides, `zoo plan` makes a remark.",
        (
            "- **no** refused: `zoo preflight`, `zoo plan` and `zoo build` give the reason before"
            " anything is trained."
        ),
        "",
        (
            "Nothing is skipped in silence: what each cell proved, what it left alone and why, or"
            " why it is refused, stands below. A cell"
        ),
        (
            "proves its promises on its own network; what a technique can do to another is what"
            " `zoo preflight` says of that."
        ),
        "",
        (
            "The networks, all on images of 8x8 pixels, with batch normalisation and ReLU behind"
            " convolutions:"
        ),
        "",
        *(f"- **{column}**: {words}" for column, words in LEGEND.items()),
        "",
        f"| recipe | {' | '.join(NETWORKS)} |",
        f"|---|{':-:|' * len(NETWORKS)}",
    ]
    lines += [
        f"| [{row}](#{_anchor(row)}) |"
        f" {' | '.join(mark(cells[row, column]) for column in NETWORKS)} |"
        for row in RECIPES
    ]
    for row in RECIPES:
        lines += [
            "",
            f"## {row}",
            "",
            *(f"- **{column}** {cells[row, column]}" for column in NETWORKS),
        ]
    return "\n".join([*lines, ""])


def mark(said: str) -> str:
    """Give the sign that stands for a cell's words in the table."""
    if said.startswith("refused"):
        return "no"
    rest = said.split("; ")[1:]
    left = [part for part in rest if part.startswith(LEFT)]
    return ("(✓)" if left else "✓") + "!" * (len(rest) > len(left))


def _anchor(heading: str) -> str:
    """Name a heading as Markdown's readers on the web do.

    Lower case, no signs, hyphens for spaces.
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def committed() -> dict[tuple[str, str], str]:
    """Read the words of all cells back."""
    cells, row = {}, ""
    for line in TABLE.read_text().splitlines() if TABLE.exists() else []:
        if line.startswith("## "):
            row = line[3:]
        elif row and (cell := re.fullmatch(r"- \*\*(.+?)\*\* (.+)", line)):
            cells[row, cell[1]] = cell[2]
    return cells


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with 300 digits in three channels to train on, and 50 others."""
    import numpy as np
    from sklearn.datasets import load_digits

    from zoo_builders.stages import data as data_stage

    folder = tmp_path_factory.mktemp("matrix")
    digits = load_digits()
    images = np.repeat((digits.images[:350] * 15).astype(np.uint8)[..., None], 3, axis=-1)
    np.savez(
        folder / "digits.npz",
        x_train=images[:300],
        y_train=digits.target[:300],
        x_test=images[300:],
        y_test=digits.target[300:350],
    )
    splits = {
        "train": "train",
        "validation": "test[:25]",
        "test": "test[25:]",
        "calibration": "train[:20]",
    }
    params = {
        "source": "npz-images",
        "args": {"path": "digits.npz", "sha256": "0" * 64},
        "splits": splits,
        "preprocess": [{"rescale": [0, 1]}],
    }
    job = a_job("data", folder / "data", params, files={"path": folder / "digits.npz"})
    data_stage.run(job)
    return Bench(folder, job.out)
