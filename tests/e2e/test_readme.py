"""The README's commands, run as they stand, in the home that the demo left behind."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1500)]


def commands(page: str) -> list[str]:
    """The `zoo` lines of a page's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("zoo ")]


def test_the_readmes_commands_run(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    lines = commands("README.md")
    assert len(lines) > 7
    for line in lines:
        if line == "zoo serve":
            continue
        done = subprocess.run(  # noqa: S602
            line,
            shell=True,
            cwd=tmp_path,
            env=demo.zoo.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "model.tflite").is_file()


def test_zoo_serve_shows_the_page_the_demo_names(demo: Any) -> None:
    page = re.search(r"http://127\.0\.0\.1:\d+(/artifacts/\S+)", demo.output)
    assert page is not None
    registry = demo.zoo.home / "registry"
    places = {"ZOO_DB": str(registry / "zoo.db"), "ZOO_STORE": str(registry)}
    words = ["zoo", "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        words, cwd=ROOT, env=demo.zoo.environment | places, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert address is not None, said
            time.sleep(0.5)
            assert "Proven in the file" in httpx.get(address[0] + page[1], timeout=20).text
        finally:
            server.terminate()
