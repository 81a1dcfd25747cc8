"""The documents say what the code does.

The reference is generated, the map names what is there, every command exists.
"""

import importlib.util
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo_builders.data.preprocess import STEPS
from zoo_builders.data.sources import SOURCES
from zoo_builders.manifest import own_algorithms
from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.recipes import read_recipes
from zoo_builders.manifest.schema import Base
from zoo_builders.manifest.yaml_lines import Document
from zoo_builders.stages import ENTRY
from zoo_client import inventory

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/latency.md", *GUIDES]


def script(name: str) -> Any:
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.golden
def test_the_reference_is_what_the_code_says(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs/reference.md", script("reference").reference())


@pytest.mark.golden
def test_the_map_is_drawn_by_the_code(golden: Callable[[Path, str], None]) -> None:
    page = ROOT / "ARCHITECTURE.md"
    golden(page, script("architecture").drawn(page.read_text()))


def test_the_map_names_functions_where_they_are() -> None:
    architecture = script("architecture")
    page = ROOT / "ARCHITECTURE.md"
    assert len(architecture.REFERENCE.findall(page.read_text())) > 80
    assert not architecture.broken(page)


def test_a_function_that_moved_is_missed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "code.py").write_text(
        "class Plan:\n    key: int\n\n    def stage(self): ...\n\ndef made(): ...\n"
    )
    names = ("Plan", "Plan.stage", "Plan.key", "code.made", "Plan.gone", "Registry.publish")
    page.write_text(" ".join(f"[`{name}`](code.py)" for name in names))
    gone, moved = script("architecture").broken(page)
    assert gone == "code.py has no Plan.gone; nothing is called so"
    assert moved.endswith("it is in registry/zoo_registry/registry.py")


def test_the_map_has_every_kind_of_stage() -> None:
    rows = re.findall(
        r"(?m)^\| `(\w+)` \| \[`\w+\.run`\]\(builders/(\S+)\.py\)",
        (ROOT / "ARCHITECTURE.md").read_text(),
    )
    assert {kind: path.replace("/", ".") for kind, path in rows} == ENTRY


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documents_exists(page: Path) -> None:
    commands = re.findall(r"(?m)^(?:\$ )?zoo ([a-z]+)((?: [^#\n]*)?)", page.read_text())
    unknown = sorted({verb for verb, _ in commands} - set(inventory.shipped()))
    assert not unknown
    for verb, rest in commands:
        used = set(re.findall(r"(--[a-z][a-z0-9-]*)", rest))
        groups = (
            re.findall(r"[a-z]+", rest.partition("-")[0]) if verb in {"registry", "cache"} else []
        )
        assert used <= _options(verb, *groups) | {"--min-top1"}, f"zoo {verb} {rest}"


@cache
def _options(*verb: str) -> frozenset[str]:
    """Read the options of a verb from the command itself, down to a group's."""
    command = inventory.shipped()[verb[0]].load()
    for word in verb[1:]:
        command = command.commands[word]
    return frozenset(option for parameter in command.params for option in parameter.opts)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    broken = [target for target in targets if not (page.parent / target).exists()]
    assert not broken


def test_modules_that_documents_name_are_there() -> None:
    code = ("builders", "client", "registry", "benchmarks", "examples", "tests")
    here = [path.as_posix() for folder in code for path in (ROOT / folder).rglob("*.py")]
    pages = [*PAGES, *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text())
        if name != "models/NAME.py"
    }
    assert len(named) > 5
    gone = [one for one in sorted(named) if not any(path.endswith(f"/{one[1]}") for path in here)]
    assert gone == []


def test_decisions_are_listed() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()
    assert all(path.name in listed for path in (ROOT / "docs/adr").glob("0*.md"))


def test_every_dependency_is_accounted_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs/dependencies.md").read_text().lower()
    wanted = [
        *project["dependencies"],
        *(
            line
            for extra in ("s3", "hub", "registry", "bench", "build")
            for line in project["optional-dependencies"][extra]
        ),
    ]
    names = {re.split(r"[\[>=<]", line)[0].lower() for line in wanted} - {"edgezoo"}
    spelled = {name for name in names if name not in text and name.replace("-", " ") not in text}
    assert not spelled, "not in docs/dependencies.md"


def fragments() -> list[tuple[str, dict[str, Any]]]:
    """Every piece of a manifest that a guide shows."""
    pages = {
        page: re.findall(
            r"```yaml\n(.*?)```", re.sub(r"\b[0-9a-f]{4}…", "a" * 64, page.read_text()), re.DOTALL
        )
        for page in PAGES
    }
    return [
        (f"{page.name} {number}", yaml.safe_load(text))
        for page, texts in pages.items()
        for number, text in enumerate(texts, 1)
    ]


@pytest.mark.parametrize(
    "shown", [piece for _, piece in fragments()], ids=[name for name, _ in fragments()]
)
def test_what_the_guides_show_of_manifests_can_be_written(shown: dict[str, Any]) -> None:
    mistakes = Mistakes("guide.yaml", Document(shown, {}))
    recipes = shown.get("variants") or {
        name: steps
        for name, steps in shown.items()
        if isinstance(steps, list) and name != "preprocess"
    }
    own = sorted(
        {
            name
            for steps in recipes.values()
            for step in steps
            for name in step
            if own_algorithms.is_own(name)
        }
    )
    recipes = {
        variant: [step for step in steps if not set(step) & set(own)]
        for variant, steps in recipes.items()
    }
    read_recipes(recipes, mistakes, of_file="tflite" in shown.get("base", {}))
    assert [str(mistake) for mistake in mistakes.found] == []
    if "base" in shown:
        Base.model_validate(shown["base"])
    data = shown.get("data", {})
    if "source" in data:
        SOURCES.get(data["source"]).params.model_validate(data["args"])
    for step in (*data.get("preprocess", ()), *shown.get("preprocess", ())):
        ((name, params),) = step.items()
        STEPS[name].model_validate(params or {})
