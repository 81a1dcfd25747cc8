"""The glossary names what is in the code, and all that people write, read and ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from zoo_builders.manifest.schema import Manifest
from zoo_registry.app import create_app
from zoo_registry.model.record import Record
from zoo_registry.settings import Settings

PAGE = Path(__file__).parents[2] / "docs/glossary.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| word ")
]
MODELS: dict[str, type[BaseModel]] = {"manifest": Manifest, "record": Record}
COLUMNS = ("word", "meaning", *MODELS, "API")


def named(column: str) -> set[str]:
    """All keys, fields or parameters in one column."""
    cells = [row[COLUMNS.index(column)] for row in ROWS]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def options(schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema, and all that it refers to or lets one choose from."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    yield schema
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from options(one, whole)


def has(model: type[BaseModel], path: str) -> bool:
    """Whether a path such as `measurements[].device` leads to a key."""
    whole = model.model_json_schema()
    found = [whole]
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [
            deeper
            for schema in found
            if name in schema.get("properties", {})
            for deeper in options(schema["properties"][name], whole)
        ]
        if part.endswith("[]"):
            found = [deeper for one in found for deeper in options(one.get("items", {}), whole)]
    return bool(found)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What searches may ask, as the API describes itself; `min_top1` stands for all metrics."""
    folder = tmp_path_factory.mktemp("registry")
    app = create_app(Settings(db=str(folder / "zoo.db"), store=str(folder / "store")))
    asked = ("/v1/artifacts", "/v1/resolve", "/v1/pareto")
    paths = app.openapi()["paths"]
    found = {one["name"] for path in asked for one in paths[path]["get"]["parameters"]}
    return {"min_<metric>" if name.startswith("min_") else name for name in found}


@pytest.mark.parametrize("kind", MODELS)
def test_keys_of_the_glossary_are_in_the_code(kind: str) -> None:
    assert [path for path in sorted(named(kind)) if not has(MODELS[kind], path)] == []


@pytest.mark.parametrize("kind", MODELS)
def test_all_top_level_keys_have_a_word(kind: str) -> None:
    keys = set(MODELS[kind].model_json_schema()["properties"])
    described = {path.split(".")[0].removesuffix("[]") for path in named(kind)}
    assert sorted(keys - described) == []


def test_parameters_of_the_glossary_are_those_of_searches(parameters: set[str]) -> None:
    assert named("API") == parameters


def test_a_key_that_is_gone_would_be_missed() -> None:
    assert has(Record, "measurements[].host.cpu")
    assert not has(Record, "measurements[].machine")
    assert not has(Record, "measurements.device")
    assert not has(Manifest, "base.trainer")


def test_each_word_is_explained_once() -> None:
    assert all(len(row) == len(COLUMNS) and row[1] for row in ROWS), "five columns, and a meaning"
    words = [word.strip() for row in ROWS for word in row[0].split(",")]
    assert sorted(words) == sorted(set(words))
    assert len(words) > 50
