"""Change the code of the modules that decide, one change at a time: a test must notice each.

`make mutants` runs mutmut over `DECIDE` and prints the changes that no test noticed, by module;
`make mutants ONLY="proof query"` takes some modules. Changes of words alone (messages) are counted
and not printed. mutmut finds modules by their path below `src/`, so it works on a copy of the
project in `.mutants/`, where the three packages lie there.
"""

import ast
import difflib
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / ".mutants"
PACKAGES = ("registry/zoo_registry", "builders/zoo_builders", "client/zoo_client")

DECIDE = {
    "zoo_builders/lab/protocol": ("tests/builders/lab/test_protocol.py",),
    "zoo_builders/manifest/goals": ("tests/builders/manifest/test_goals.py",),
    "zoo_builders/networks/sparse_path": (
        "tests/builders/networks",
        "tests/builders/preflight/test_layer_report.py",
        "tests/builders/techniques/test_prune_rules.py",
    ),
    "zoo_builders/tflite/golden": ("tests/builders/tflite", "tests/builders/lab"),
    "zoo_builders/tflite/proof": ("tests/builders/tflite/test_proof.py",),
    "zoo_builders/tflite/xnnpack": ("tests/builders/tflite/test_xnnpack.py",),
    "zoo_client/cache": ("tests/client/test_cache.py", "tests/client/test_download.py"),
    "zoo_registry/model/digest": ("tests/registry/model",),
    "zoo_registry/model/evaluate": ("tests/properties", "tests/registry", "tests/client"),
    "zoo_registry/model/files": ("tests/registry/model", "tests/client/test_cache.py"),
    "zoo_registry/model/query": ("tests/properties", "tests/registry", "tests/client"),
}
"""Each module that decides, and the tests that must notice a change of it."""

SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {modules}
also_copy = [{others}]
pytest_add_cli_args = ["-q", "-x", "-p", "no:cacheprovider", "-m", "{marks}"]
pytest_add_cli_args_test_selection = {tests}
do_not_mutate_patterns = ["raise ", "hint=", "core_schema"]
"""
NOTICED = ("killed", "timeout", "caught by type check")
MARKS = "not train and not browser and not s3 and not slow"


def main(words: list[str]) -> int:
    """Run mutmut over the modules named by `words` (all without words); 1 if changes survive."""
    chosen = {
        name: tests for name, tests in DECIDE.items() if not words or Path(name).name in words
    }
    _copy(chosen)
    run = [str(Path(sys.executable).parent / "mutmut"), "run", "--max-children", "2"]
    with (COPY / "mutmut.log").open("w") as log:
        subprocess.run(run, cwd=COPY, stdout=log, stderr=subprocess.STDOUT, check=False)
    told = subprocess.run(
        [run[0], "results", "--all", "true"], cwd=COPY, capture_output=True, text=True, check=True
    )
    return _report(told.stdout)


def _copy(chosen: dict[str, tuple[str, ...]]) -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, COPY / name)
    (COPY / "src").mkdir()
    for package in PACKAGES:
        shutil.move(COPY / package, COPY / "src")
        (COPY / package).symlink_to(Path("../src") / Path(package).name)
    others = sorted(path.name for path in COPY.iterdir() if path.name not in ("src", "tests"))
    text = (COPY / "pyproject.toml").read_text()
    text = text.replace('pythonpath = ["tests"]', 'pythonpath = ["tests", "src"]')
    tests = sorted({test for tests in chosen.values() for test in tests})
    (COPY / "pyproject.toml").write_text(
        text
        + SETTINGS.format(
            modules=[f"src/{name}.py" for name in chosen],
            others=", ".join(f'"{name}"' for name in others),
            marks=MARKS,
            tests=tests,
        ).replace("'", '"')
    )


def _report(told: str) -> int:
    found = [line.strip().split(": ") for line in told.splitlines() if ": " in line]
    left = [name for name, state in found if state not in NOTICED]
    matter = [name for name in left if _change(name)]
    for name in matter:
        print(f"{name}\n{_change(name)}")
    words = len(left) - len(matter)
    print(f"{len(found)} changes; of those that no test noticed, {words} are of words")
    modules = Counter(_module(name) for name, _ in found)
    survived = Counter(_module(name) for name in matter)
    for module, total in sorted(modules.items()):
        print(
            f"{module}: {survived[module]} of {total} ({survived[module] / total:.1%}) not noticed"
        )
    return int(bool(matter))


def _module(name: str) -> str:
    return name.rpartition(".x")[0]


def _change(name: str) -> str:
    """Say what one change does to its function, line by line; nothing for a change of words."""
    functions = _functions(COPY / "mutants/src" / (_module(name).replace(".", "/") + ".py"))
    changed = functions[name.rpartition(".")[2]]
    before = functions[re.sub(r"_mutmut_\d+$", "_mutmut_orig", name.rpartition(".")[2])]
    if _without_words(before) == _without_words(changed):
        return ""
    old, new = (ast.unparse(one).splitlines()[1:] for one in (before, changed))
    lines = difflib.unified_diff(old, new, n=0)
    return "\n".join(f"    {line}" for line in lines if not line.startswith(("---", "+++", "@@")))


@cache
def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _without_words(node: ast.FunctionDef) -> str:
    """Spell a function without its name and its messages (strings with a space)."""
    told = re.sub(r"Constant\(value='[^']* [^']*'\)", "words", ast.dump(ast.Module(node.body, [])))
    return re.sub(r'Constant\(value="[^"]* [^"]*"\)', "words", told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
