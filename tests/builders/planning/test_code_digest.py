"""What a change of the package rebuilds: words nothing, work exactly what it decides."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import yaml

from zoo_builders.manifest.reader import Reader, Resolved
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.planning.code_digest import PLUMBING, ROOT, Code, meaning
from zoo_builders.planning.planner import plan
from zoo_builders.planning.toolchain import gather
from zoo_builders.stage import Stage
from zoo_registry.model.digest import Digest

MANIFESTS = sorted((Path(__file__).parents[3] / "manifests").glob("*.yaml"))
Change = Callable[[str, str], str]


@dataclass(slots=True)
class Changed(WorkTree):
    """The files as they are, but for the package's, each as a change makes it.

    A data set that is not there has the digest that its manifest pins.
    """

    change: Change = field(default=lambda _, source: source)

    def read(self, path: Path) -> bytes:
        source = WorkTree.read(self, path)
        if not path.is_relative_to(ROOT):
            return source
        return self.change(path.relative_to(ROOT).as_posix(), source.decode()).encode()

    def digest(self, path: Path) -> Digest:
        pinned = {name: sha for name, sha in map(_data, MANIFESTS) if name}
        return Digest(pinned.get(path.name) or WorkTree.digest(self, path))


def _data(manifest: Path) -> tuple[str, str]:
    args = yaml.safe_load(manifest.read_text())["data"].get("args", {})
    return Path(args.get("path", "")).name, args.get("sha256", "")


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> list[Resolved]:
    """Every shipped manifest, read with data sets that only have a name."""
    folder = tmp_path_factory.mktemp("data")
    for name, _ in filter(lambda named: named[0], map(_data, MANIFESTS)):
        (folder / name).touch()
    reader = Reader(Changed(Digests(folder / "digests.json")), {"ZOO_DATA": str(folder)})
    return [reader.read(path) for path in MANIFESTS]


def stages(resolved: list[Resolved], folder: Path, change: Change) -> Mapping[str, list[Stage]]:
    """Plan every variant of every shipped manifest, with the package as `change` makes it."""
    code = Code(Changed(Digests(folder / "digests.json"), cache(change)))
    return {
        made.name: list(made.stages)
        for one in resolved
        for made in plan(one, gather(one, code, "host"))
    }


def reworded(name: str, source: str) -> str:
    """Every hint, description and module's docstring says something else."""
    del name
    source = re.sub(r'\b(hint|description)=(f?)"', r'\1=\2"in other words: ', source)
    return re.sub(r'^"""', '"""In other words: ', source)


JUDGING = re.compile(
    r"(manifest|planning|preflight|commands|running|reports)/.*"
    r"|techniques/\w+/(__init__|params|rules|promises|limits|contradictions|technique|own)\.py"
)
"""Modules that judge, tell and wire; none of them makes a result."""


def judged_otherwise(name: str, source: str) -> str:
    """Every module that judges does so in another way."""
    return f"{source}\nJUDGED_OTHERWISE = True\n" if JUDGING.fullmatch(name) else source


def other_errors(name: str, source: str) -> str:
    """What exceptions say, and the texts that are made for them."""
    del name
    source = re.sub(r'(raise \w+\(\s*f?)"', r'\1"sorry: ', source)
    return re.sub(r'(\n +(?:message|hint) = f?)"', r'\1"sorry: ', source)


def other_types(name: str, source: str) -> str:
    """What is imported for types alone."""
    del name
    return source.replace("if TYPE_CHECKING:\n", "if TYPE_CHECKING:\n    import zoo_builders.lab\n")


@pytest.mark.parametrize("change", [reworded, judged_otherwise, other_errors, other_types])
def test_words_rebuild_nothing(resolved: list[Resolved], change: Change, tmp_path: Path) -> None:
    touched = []

    def noting(name: str, source: str) -> str:
        changed = change(name, source)
        touched.append(changed != source)
        return changed

    before = stages(resolved, tmp_path, lambda _, source: source)
    assert stages(resolved, tmp_path, noting) == before
    assert any(touched) or change is judged_otherwise, "else the change changes nothing"


AFTER = {"cluster", "quantize_aware"}
"""Techniques that share values, or hold those that are shared."""
CLASSIFYING = {"evaluate image-classification", "evaluate keyword-spotting"}


@pytest.mark.parametrize(
    ("file", "old", "new", "decided"),
    [
        (
            "techniques/prune/masks.py",
            "tensorflow.round(count",
            "tensorflow.floor(count",
            {"prune"},
        ),
        ("techniques/prune/selection.py", "min(params.initial", "max(params.initial", {"prune"}),
        ("techniques/cluster/shared_values.py", "_ROUNDS = 30", "_ROUNDS = 31", AFTER),
        ("networks/layer_selection.py", "in placed", "not in placed", {"prune"} | AFTER),
        ("converting/rounding.py", "import ", "import time, ", {"convert"}),
        ("converting/tensorflow_converter.py", "import ", "import time, ", {"convert"}),
        ("techniques/quantize/engines.py", "SAMPLES = 200", "SAMPLES = 201", {"convert"}),
        ("metrics/__init__.py", "import ", "import time, ", {"evaluate"}),
        ("metrics/macro_recall.py", "import ", "import time, ", CLASSIFYING),
        ("training/fit.py", "=rate)", "=2*rate)", {"base", "technique"}),
        ("tflite/proof.py", "import ", "import time, ", {"inspect"}),
    ],
)
def test_work_rebuilds_exactly_what_it_decides(
    resolved: list[Resolved], tmp_path: Path, file: str, old: str, new: str, decided: set[str]
) -> None:
    assert old in (ROOT / file).read_text()
    before = stages(resolved, tmp_path, lambda _, source: source)

    def other(name: str, source: str) -> str:
        return source.replace(old, new) if name == file else source

    after = stages(resolved, tmp_path, other)
    wanted, found = set(), set()
    for name, planned in after.items():
        kept = {stage.fingerprint for stage in before[name]}
        fresh = {stage.fingerprint for stage in planned} - kept
        for stage in planned:
            below = any(source in fresh for source in stage.inputs.values())
            called = {stage.kind, stage.name, f"{stage.kind} {stage.params.get('task')}"}
            due = below or not decided.isdisjoint(called)
            wanted |= {(name, stage.name)} if due else set()
            found |= {(name, stage.name)} if stage.fingerprint in fresh else set()
    assert found == wanted
    assert found


def test_what_is_no_code_is_a_module_that_exists() -> None:
    places = [name.removeprefix("zoo_builders").strip(".").replace(".", "/") for name in PLUMBING]
    absent = [
        place
        for place in places
        if not (ROOT / f"{place}.py").exists() and not (ROOT / place / "__init__.py").exists()
    ]
    assert absent == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise E('a', hint='b')", "raise E('c')"),
        ("f(1, hint='a')", "f(1, hint='b')"),
        ("Field(default=1, description='a')", "Field(default=1, description='b')"),
        ("Objection('a', 'b', 'c')", "Objection('d', 'e', 'f')"),
        (
            "def f():\n    why = f'{1}'\n    raise E(why)",
            "def f():\n    why = 'x' if 1 else 'y'\n    raise E(why)",
        ),
        ("if TYPE_CHECKING:\n    import a\nx = 1", "x = 1"),
        ("x = 1  # a\n'''About x.'''", "x = 1"),
    ],
)
def test_what_only_talks_has_no_meaning(one: str, other: str) -> None:
    assert meaning(one.encode()) == meaning(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise E('a')", "raise F('a')"),
        ("f(description='a')", "f(description='b')"),
        ("Field(default=1)", "Field(default=2)"),
        (
            "def f():\n    w = 'a'\n    raise E(w or g(w))\n    g(w)",
            "def f():\n    w = 'b'\n    g(w)",
        ),
        ("def f():\n    a = 'x'", "def f():\n    a = 'y'"),
        ("import a", "import b"),
        ("raise E('a', kind='hang')", "raise E('a', kind='died')"),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    x = 1", "if TYPE_CHECKING:\n    import a"),
    ],
)
def test_what_works_has_a_meaning(one: str, other: str) -> None:
    assert meaning(one.encode()) != meaning(other.encode())
