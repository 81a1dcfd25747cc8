"""Compression algorithms of the user, named in a manifest.

Found, judged, fingerprinted and built; refused with file and line.
"""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins import ternary
from plugins.digits import TRAIN, a_job
from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.planning.code_digest import Code
from zoo_builders.planning.plan import Plan
from zoo_builders.planning.planner import plan
from zoo_builders.planning.toolchain import gather
from zoo_builders.preflight.layer_report import recipe
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidManifest, WrongUse

SOURCE = Path(ternary.__file__)


def _line(start: str) -> int:
    lines = SOURCE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(start))


AFTER_MATH = _line("import math") + 1
MANIFEST = """\
schema: edgezoo/v1
model: own
version: 1.0.0
license: apache-2.0
base: {network: digits_cnn, args: {width: 16}}
data: {source: digits, preprocess: [{rescale: [0, 1]}]}
variants:
  fp32: []
  mine:
    - STEP
"""

Plans = Callable[..., dict[str, Plan]]


@pytest.fixture
def planned(tmp_path: Path) -> Plans:
    """Plan a manifest with one step of its own, beside a copy of the algorithm."""

    def make(
        step: str = "./ternary.py: {epochs: 1, batch_size: 200}", source: str = SOURCE.read_text()
    ) -> dict[str, Plan]:
        (tmp_path / "ternary.py").write_text(source)
        (tmp_path / "own.yaml").write_text(MANIFEST.replace("STEP", step))
        tree = WorkTree(Digests(tmp_path / "digests.json"))
        resolved = Reader(tree, {}).read(tmp_path / "own.yaml", "own.yaml")
        return {made.variant: made for made in plan(resolved, gather(resolved, Code(tree), "host"))}

    return make


def test_the_technique_is_called_by_name_and_code(planned: Plans) -> None:
    made = planned()["mine"]
    [step] = made.recipe
    assert step.technique == f"ternary@{Digest.of(SOURCE.read_bytes())[:12]}"
    assert (step.params["threshold"], step.params["epochs"]) == (0.7, 1)
    stage = made.stage(step.technique)
    assert stage.params["algorithm"] == "file:"
    assert stage.files["algorithm"].sha256 == Digest.of(SOURCE.read_bytes())
    assert {promise.kind for promise in made.promises} == {
        "parameters_at_most",
        "macs_at_most",
        "distinct_at_most",
    }


def test_code_counts_and_the_place_of_the_file_does_not(planned: Plans, tmp_path: Path) -> None:
    first = planned()["mine"].key
    assert planned(source=SOURCE.read_text() + "\nMORE = 1\n")["mine"].key != first
    assert planned("./ternary.py: {epochs: 2, batch_size: 200}")["mine"].key != first
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/ternary.py").write_text(SOURCE.read_text())
    assert planned("./inner/ternary.py: {epochs: 1, batch_size: 200}")["mine"].key == first
    assert (
        planned("python:plugins.ternary:Ternary: {epochs: 1, batch_size: 200}")["mine"].key
        != planned()["fp32"].key
    )


def test_preflight_asks_it_of_every_layer(tmp_path: Path, planned: Plans) -> None:
    planned()
    resolved = Reader(WorkTree(Digests(tmp_path / "digests.json")), {}).read(tmp_path / "own.yaml")
    assert resolved.found.graph is not None
    said = recipe(resolved.found.graph, "mine", resolved.recipes["mine"]).columns[0].verdicts
    assert any(verdict.applies for verdict in said.values())
    assert any(verdict.reason == "fewer than 256 weights" for verdict in said.values())


def test_planning_imports_no_tensorflow(tmp_path: Path, planned: Plans) -> None:
    planned()
    code = (
        "import sys; from pathlib import Path; from zoo_builders.manifest.reader import Reader;"
        " from zoo_builders.manifest.source_tree import Digests, WorkTree;"
        " Reader(WorkTree(Digests(Path('d.json'))), {}).read(Path('own.yaml')); assert 'tensorflow'"
        " not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


BROKEN = "class Ternary(Algorithm):\n"


@pytest.mark.parametrize(
    ("step", "old", "new", "wanted"),
    [
        ("./gone.py: {}", "", "", "no such file"),
        ("python:plugins.nothing:Ternary: {}", "", "", "cannot find"),
        ("python:plugins.ternary: {}", "", "", "names no function"),
        ("./ternary.py:Binary: {}", "", "", "holds no algorithm 'Binary'"),
        ("/etc/ternary.py: {}", "", "", "absolute path"),
        ("./ternary.py: {treshold: 0.5}", "", "", "threshold"),
        ("./ternary.py: {threshold: 7}", "", "", "threshold"),
        (
            "./ternary.py: {}",
            "import math\n",
            "import math\nimport tensorflow\n",
            f"line {AFTER_MATH}: it imports a deep-learning framework",
        ),
        (
            "./ternary.py: {}",
            "import math\n",
            "import math\n1 / 0\n",
            f"line {AFTER_MATH}: ZeroDivisionError",
        ),
        (
            "./ternary.py: {}",
            "import math\n",
            "import math\nimport (\n",
            f"line {AFTER_MATH}: SyntaxError",
        ),
        (
            "./ternary.py: {}",
            '"ternary"',
            '"Ternary!"',
            f"line {_line('class Ternary(')}: Ternary: its `name` is 'Ternary!'",
        ),
        (
            "./ternary.py: {}",
            "def fits(",
            "def fit(",
            "it has no method fits(self, node, params); did you mean 'fit'",
        ),
        ("./ternary.py: {}", BROKEN, BROKEN + "    doc = ''\n    doc2 = 1\n", "hold"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_line(
    planned: Plans, step: str, old: str, new: str, wanted: str
) -> None:
    source = SOURCE.read_text()
    assert old in source
    if wanted == "hold":  # two of them, and none is named
        new, wanted = (
            f"{old}    pass\n\n\nclass Other(Algorithm):\n",
            "holds 2 algorithms, expected one",
        )
    with pytest.raises(InvalidManifest) as caught:
        planned(step, source.replace(old, new, 1) if old else source)
    assert wanted in str(caught.value)
    assert caught.value.line == 10
    assert caught.value.hint


@pytest.mark.train
@pytest.mark.parametrize("named", ["./ternary.py", "python:plugins.ternary:Ternary"])
def test_it_is_trained_and_proven_in_the_file(
    named: str,
    planned: Plans,
    digits_base: Path,
    digits_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from plugins.matrix import step_by_step
    from zoo_builders.stages import convert
    from zoo_builders.stages import inspect as look
    from zoo_builders.stages import technique as technique_stage
    from zoo_builders.techniques import TECHNIQUES

    made = planned(f"{named}: {{epochs: 1, batch_size: 200}}")["mine"]
    stage = made.stage(made.recipe[0].technique)
    monkeypatch.setattr(
        TECHNIQUES, "_adopted", {}
    )  # a stage runs in a process of its own, which knows nothing yet
    job = a_job(
        "technique",
        tmp_path / "out",
        {**stage.params, "train": TRAIN},
        inputs={"model": digits_base, "data": digits_data},
        files={role: Path(file.path) for role, file in stage.files.items()},
    )
    with step_by_step():
        technique_stage.run(job)
    file = a_job(
        "convert",
        tmp_path / "file",
        {"quantize": None},
        inputs={"model": job.out, "data": digits_data},
    )
    convert.run(file)
    promises = [promise.model_dump(mode="json") for promise in made.promises]
    seen = a_job("inspect", tmp_path / "seen", {"promises": promises}, inputs={"file": file.out})
    look.run(seen)
    found: list[dict[str, Any]] = json.loads((seen.out / "proofs.json").read_text())
    assert {finding["technique"] for finding in found} == {"ternary"}
    assert all(finding["held"] for finding in found)


PROMISES = SOURCE.read_text().partition("    def promises(")
UNPROVEN = PROMISES[0].replace("def project(", "def _project(")


def test_what_replaces_no_layer_and_promises_nothing_is_refused(planned: Plans) -> None:
    """That the file is no larger than it was would hold of any file.

    A step that does nothing would count as proven.
    """
    with pytest.raises(
        InvalidManifest, match="replaces no layer and promises nothing that the file could prove"
    ) as caught:
        planned(source=UNPROVEN)
    assert "write promises(self, before, after, layers, params)" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("later", "refused", "fix"),
    [
        ("prune: {epochs: 1}", "prune would move the weights that ternary@", "drop one of the two"),
        (
            "cluster: {epochs: 1}",
            "cluster would move the weights that ternary@",
            "lasts_through = frozenset({'cluster'})",
        ),
        (
            "quantize_aware: {epochs: 1}",
            "quantize_aware would move",
            "write quantize: {dtype: int8} instead",
        ),
        (
            "quantize: {rounding: compensated}",
            "quantize would move the weights",
            "write rounding: nearest",
        ),
        ("quantize: {dtype: int8}", "", ""),
    ],
)
def test_what_would_move_projected_weights_is_refused_after_it(
    planned: Plans, later: str, refused: str, fix: str
) -> None:
    both = f"./ternary.py: {{epochs: 1}}\n    - {later}"
    if not refused:
        assert [step.technique for step in planned(both)["mine"].recipe][1:] == ["quantize"]
        return
    with pytest.raises(InvalidManifest) as caught:
        planned(both)
    assert refused in str(caught.value)
    assert fix in (caught.value.hint or "")


def test_the_class_says_what_its_weights_survive_and_what_may_come_first(planned: Plans) -> None:
    source = SOURCE.read_text()
    name = '    name: ClassVar[str] = "ternary"\n'
    both = "./ternary.py: {epochs: 1}\n    - prune: {epochs: 1}"
    survives = source.replace(name, name + '    lasts_through = frozenset({"prune"})\n')
    assert len(planned(both, survives)["mine"].recipe) == 2
    with pytest.raises(InvalidManifest) as caught:
        planned(both, source.replace(name, name + "    undoes = frozenset()\n"))
    assert "put prune before it" in (caught.value.hint or "")
    assert (
        len(
            planned("svd: {rank: 1, layers: [{name: classifier}]}\n    - prune: {epochs: 1}")[
                "mine"
            ].recipe
        )
        == 2
    )


ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_contract_suite_runs_on_a_file_of_ones_own(tmp_path: Path, planned: Plans) -> None:
    planned()
    suite = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not train",
        f"--rootdir={ROOT}",
        "-c",
        "/dev/null",
    ]
    command = [
        *suite,
        str(ROOT / "tests/contracts/test_compression.py"),
        "-k",
        "projection",
        "--algorithm",
        "./ternary.py:Ternary",
    ]
    (tmp_path / "ternary.py").write_text(
        SOURCE.read_text().replace("done, flat,", "done, 2 * flat,")
    )
    found = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert "test_a_projection_is_done_after_one_time[ternary]" in found.stdout, (
        found.stdout + found.stderr
    )
    assert "1 failed" in found.stdout


def test_the_benchmark_takes_what_a_manifest_takes(
    tmp_path: Path, planned: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned()
    monkeypatch.chdir(tmp_path)
    bench = runpy.run_path(str(ROOT / "benchmarks/compression.py"))
    name = f"ternary@{Digest.of(SOURCE.read_bytes())[:12]}"
    for said in ("./ternary.py", "./ternary.py:Ternary", "python:plugins.ternary:Ternary"):
        assert bench["named"]([said, '{"threshold": 0.5}']) == {name: {"threshold": 0.5}}
    asked = bench["recipes"]({name: {"threshold": 0.5}})
    assert [step.technique for step in asked[f"{name}, int8"]] == [name, "quantize"]
    assert asked[name][0].params.threshold == 0.5
    with pytest.raises(WrongUse, match="no such file"):
        bench["named"](["./gone.py"])
    with pytest.raises(WrongUse, match="no JSON"):
        bench["named"](["./ternary.py", "threshold=0.5"])
