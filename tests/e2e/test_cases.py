"""Inputs that strangers bring, each with the right answer: true numbers, or refused early.

`ZOO_CASES` names the folder with the inputs (a README there says what each is).
"""

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.conftest import Zoo
from zoo_builders.data.sources import SOURCES
from zoo_builders.tflite.inspection import inspect
from zoo_registry.model.record import Record

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.cases]

BUILT = {
    "lstm": ("fp32", "int8"),
    "conv1d": ("fp32", "last-layer"),
    "finished-base-trained": ("fp32",),
    "wrapped": ("fp32", "sparse50"),
    "keras3-functional": ("fp32", "int8", "sparse50", "qat"),
    "keras3-h5": ("fp32", "int8"),
    "keras3-sequential": ("fp32", "int8"),
    "keras3-export": ("fp32", "int8"),
    "mixed-precision": ("fp32", "int8"),
    "dynamic-batch": ("fp32", "int8"),
    "quantized-file": ("as-is",),
    "metadata": ("fp32", "dynamic"),
    "two-modules": ("fp32",),
}
LEAST = {
    "lstm": 0.84,
    "conv1d": 0.9,
    "finished-base-trained": 0.13,
    "keras3-functional": 0.55,
    "keras3-h5": 0.55,
    "keras3-sequential": 0.97,
    "keras3-export": 0.55,
    "wrapped": 0.55,
    "dynamic-batch": 0.55,
    "quantized-file": 0.55,
    "metadata": 0.55,
}
"""The least top-1: the original's own, less what chance and rounding may cost.

Most of these models reach 0.6 on the digits they were trained on; 0.1 is a guess.
"""

PRUNED = "sparse50"
"""Two epochs of pruning cost such a small network most of what it knew."""

REFUSED = {
    "file-empty": ("empty.tflite", "empty"),
    "file-html": ("html.tflite", "HTML"),
    "file-lfs-pointer": ("lfs_pointer.tflite", "git lfs pull"),
    "file-truncated": ("truncated.tflite",),
    "publish-targets": ("publish[0]", "'gs'", "s3:///x", "hub://org", "file://relative"),
}
"""What `zoo validate` says of inputs that nobody can build."""


@dataclass(frozen=True)
class Outcome:
    """What one build of many manifests left: a folder for each artifact, and what was told."""

    zoo: Zoo
    cases: Path
    told: str

    def record(self, model: str, variant: str) -> tuple[Record, Path]:
        found = sorted((self.zoo.home / "builds").glob(f"{model}-{variant}/*/record.json"))
        assert found, f"{model}-{variant} was not built\n{self.told}"
        record = Record.read(found[0].read_bytes())
        return record, found[0].parent / record.file.path


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the inputs, as a project of its own."""
    folder = tmp_path_factory.mktemp("strangers") / "project"
    shutil.copytree(os.environ["ZOO_CASES"], folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    return folder


@pytest.fixture(scope="module")
def zoo(cases: Path) -> Zoo:
    return Zoo(cases, cases.parent / "home", cases.parent / "cache")


@pytest.fixture(scope="module")
def built(zoo: Zoo, cases: Path) -> Outcome:
    """Everything that can be built, built by one command."""
    manifests = [f"manifests/{name}.yaml" for name in BUILT]
    told = zoo.run("build", *manifests, "--no-benchmark", code=None, env={"PYTHONPATH": ""})
    return Outcome(zoo, cases, told)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_built_is_refused_before_anything_runs(zoo: Zoo, name: str) -> None:
    told = zoo.run("validate", f"manifests/{name}.yaml", code=None)
    flat = " ".join(told.split())
    assert "no mistakes" not in flat
    assert [word for word in REFUSED[name] if word not in flat] == []
    assert "Traceback" not in told


@pytest.mark.parametrize("name", BUILT)
def test_what_can_be_built_is_valid(zoo: Zoo, name: str) -> None:
    zoo.run("validate", f"manifests/{name}.yaml", env={"PYTHONPATH": ""})


@pytest.mark.parametrize(
    ("model", "variant"),
    [(model, variant) for model, variants in BUILT.items() for variant in variants],
)
def test_every_variant_is_built_with_its_true_number(
    built: Outcome, model: str, variant: str
) -> None:
    record, file = built.record(model, variant)
    batch = -1 if variant == "as-is" else 1
    assert record.signature.inputs[0].shape == (batch, 8, 8, 1)
    top1 = record.best("top1")
    assert top1 is not None
    assert top1 >= (0.12 if variant == PRUNED else LEAST.get(model, 0.05))
    assert inspect(file.read_bytes()).operators


def test_pruning_the_last_layer_by_name_is_proven(built: Outcome) -> None:
    record, _ = built.record("conv1d", "last-layer")
    assert any(
        weight.sparsity == pytest.approx(0.5, abs=0.01) for weight in record.structure.weights
    )


def test_a_quantized_file_is_taken_as_it_is(built: Outcome) -> None:
    record, file = built.record("quantized-file", "as-is")
    assert file.read_bytes() == (built.cases / "models/quantized_uint8.tflite").read_bytes()
    assert record.signature.inputs[0].dtype == "uint8"


@pytest.mark.parametrize("variant", ["fp32", "dynamic"])
def test_files_attached_to_a_model_are_kept(built: Outcome, variant: str) -> None:
    _, file = built.record("metadata", variant)
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt").decode().split()[:2] == ["zero", "one"]


def test_attention_in_int16_is_an_answer_and_no_crash(zoo: Zoo) -> None:
    told = zoo.run("validate", "manifests/attention.yaml", code=None)
    if "int16x8" not in told:
        built = ("build", "manifests/attention.yaml", "--no-benchmark", "--variant", "int16x8")
        told = zoo.run(*built, code=None)
    if "failed" in told:
        assert "no int16 kernel for SQUARED_DIFFERENCE" in " ".join(told.split())
        assert "write dtype: int8" in told


def test_a_changed_second_module_is_built_again(built: Outcome, zoo: Zoo) -> None:
    def base() -> str:
        told = zoo.json("plan", "manifests/two-modules.yaml", env={"PYTHONPATH": ""})
        return str(told["plans"][0]["parts"]["base"])

    before = base()
    widths = built.cases / "nets/widths.py"
    text = widths.read_text()
    widths.write_text(text.replace("return 16", "return 32"))
    try:
        assert base() != before
    finally:
        widths.write_text(text)


def test_pictures_are_read_upright(cases: Path) -> None:
    source = SOURCES.get("image-folder")
    args = source.params.model_validate({"path": "exif", "size": [40, 40]})
    found = source.load(args, {"path": cases / "pictures/exif"}, lambda *_: None)
    (split,) = found.splits.values()
    assert sorted(found.classes) == ["bottom", "top"]
    assert len(split.labels) == 24
    for picture, label in zip(split.images, split.labels, strict=True):
        above, below = picture[:20].mean(), picture[20:].mean()
        assert (found.classes[label] == "top") == (above > 2 * below)
        assert (found.classes[label] == "bottom") == (below > 2 * above)
