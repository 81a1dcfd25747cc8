"""A registry with a family in it, and its pages over HTTP, in process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from plugins.family import family, file_of
from plugins.registry_server import stock
from zoo_registry.app import create_app
from zoo_registry.registry import Registry
from zoo_registry.settings import Settings


def _browser(folder: Path) -> TestClient:
    settings = Settings(db=str(folder / "zoo.db"), store=str(folder / "store"))
    return TestClient(create_app(settings), headers={"accept": "text/html"})


def _registry(browser: TestClient) -> Registry:
    app = browser.app
    assert isinstance(app, FastAPI)
    found: Registry = app.state.registry
    return found


@pytest.fixture(scope="session")
def _full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with _browser(tmp_path_factory.mktemp("full")) as browser:
        for record in family():
            stock(_registry(browser), record, file_of(record))
        yield browser


@pytest.fixture
def filled(_full: TestClient) -> Registry:
    """Give a registry with a family in it, to be read only; `client` then looks at this one."""
    return _registry(_full)


@pytest.fixture
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    """Give a browser without JavaScript, at an empty registry of its own or.

    Where a test asks for `filled`, at that one.
    """
    if "filled" in request.fixturenames:
        yield request.getfixturevalue("_full")
        return
    with _browser(tmp_path) as browser:
        yield browser


@pytest.fixture
def registry(client: TestClient) -> Registry:
    """Give the registry behind the pages."""
    return _registry(client)
