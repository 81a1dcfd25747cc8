"""The main job, run once for all tests here by the very script that `make demo` runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_STRANGERS = ("ZOO_HOME", "ZOO_CACHE", "ZOO_REGISTRY", "ZOO_TOKEN")


@dataclass(frozen=True)
class Zoo:
    """The `zoo` command in a project folder of its own."""

    folder: Path
    home: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell would have."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name not in _STRANGERS}
        return kept | {
            "PATH": path,
            "ZOO_HOME": str(self.home),
            "ZOO_CACHE": str(self.cache),
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }

    def run(
        self,
        *words: str,
        code: int | None = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run `zoo WORDS` and give what it prints; the exit code must be `code` (None: any)."""
        done = subprocess.run(
            ["zoo", *words],
            cwd=cwd or self.folder,
            env=self.environment | dict(env or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"zoo {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str, **options: Any) -> Any:
        """Run `zoo WORDS --json` and read the answer."""
        return json.loads(self.run(*words, "--json", **options))


@pytest.fixture
def zoo_in(tmp_path: Path) -> Callable[[str], Zoo]:
    """Give a starter of empty projects."""
    return lambda name: Zoo(tmp_path / name, tmp_path / name / ".zoo", tmp_path / f"{name}-cache")


@dataclass(frozen=True)
class Demo:
    """What `make demo` left behind, and what it said."""

    zoo: Zoo
    output: str
    variants: Sequence[str]

    def folder(self, name: str) -> Path:
        """Where a built artifact lies."""
        return self.zoo.home / "builds" / name / "1.1.0"

    def record(self, name: str) -> Any:
        """Read the record of a built artifact."""
        return json.loads((self.folder(name) / "record.json").read_bytes())


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the demo's script in an empty home.

    Takes a few minutes: it trains, optimizes and measures ten variants.
    """
    folder = tmp_path_factory.mktemp("demo")
    zoo = Zoo(ROOT, folder / "home", folder / "cache")
    environment = zoo.environment | {"CI": "true"}
    done = subprocess.run(
        ["sh", str(ROOT / "examples/demo.sh")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    names = sorted(path.parent.name for path in (zoo.home / "builds").glob("*/1.1.0"))
    return Demo(zoo, done.stdout, names)
