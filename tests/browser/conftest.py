"""A served registry with a family in it, and Chromium in front of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from plugins.family import family, file_of
from plugins.registry_server import serving, stock
from plugins.visit import Visit
from zoo_registry.app import create_app
from zoo_registry.settings import Settings

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a registry that runs as long as the tests."""
    folder = tmp_path_factory.mktemp("registry")
    app = create_app(Settings(db=str(folder / "zoo.db"), store=str(folder / "store")))
    for record in family():
        stock(app.state.registry, record, file_of(record))
    with serving(app) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Give a real browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    """Open pages; whatever the browser complains about fails the test."""
    visitor = Visit(chromium, address)
    yield visitor
    visitor.close()
    assert not visitor.complaints
