"""The environment is read once, in one place."""

from pathlib import Path

import pytest

from zoo_client.settings import Settings
from zoo_registry.model.errors import WrongUse


def test_the_project_is_the_nearest_parent_with_a_zoo_folder(tmp_path: Path) -> None:
    (tmp_path / ".zoo").mkdir()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert Settings.read({}, deep).home == tmp_path / ".zoo"
    (tmp_path / "a" / ".zoo").mkdir()
    assert Settings.read({}, deep).home == tmp_path / "a" / ".zoo"
    assert Settings.read({"ZOO_HOME": "/srv/zoo"}, deep).home == Path("/srv/zoo")


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    found = Settings.read(
        {"ZOO_REGISTRY": "", "ZOO_TOKEN": "", "ZOO_CACHE": "", "ZOO_TRACEBACK": "0"}, tmp_path
    )
    assert (found.registry, found.token, found.traceback) == (None, None, False)
    assert found.cache.name == "edgezoo"


def test_a_token_that_cannot_be_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="ZOO_TOKEN"):
        Settings.read({"ZOO_TOKEN": "zoo_x\r\nHost: elsewhere"}, tmp_path)
