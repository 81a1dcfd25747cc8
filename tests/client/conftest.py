"""Shared by the client's tests.

Settings inside the test's folder, and a folder that things are published to.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_client.remotes import Remote, open_remote
from zoo_client.remotes.base import Bundle
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".zoo", cache=tmp_path / "cache", logs=tmp_path / "logs")


@pytest.fixture
def bundle(tmp_path: Path, make_record: Any, blob_bytes: Any) -> Callable[..., Bundle]:
    def build(
        variant: str = "int8", version: str = "1.0.0", data: bytes | None = None, **changes: Any
    ) -> Bundle:
        content = blob_bytes(f"{variant}@{version}", 3000) if data is None else data
        record = make_record(variant=variant, version=version, data=content, **changes)
        path = tmp_path / f"{record.file.sha256}.bundle"
        path.write_bytes(content)
        return Bundle.of(record.to_bytes(), {record.file.sha256: path})

    return build


@pytest.fixture
def remote(settings: Settings, tmp_path: Path) -> Remote:
    return open_remote((tmp_path / "store").as_uri(), settings)


@pytest.fixture
def zoo(
    tmp_path: Path,
    remote: Remote,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Any]:
    """Run `zoo …` against the folder; give (exit code, stdout, stderr)."""
    from zoo_client.cli import run

    for name in ("ZOO_REGISTRY", "ZOO_TOKEN", "ZOO_HOME", "ZOO_CACHE", "ZOO_DATA", "ZOO_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZOO_REGISTRY", remote.url)
    monkeypatch.setenv("ZOO_CACHE", str(settings.cache))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def digest_of_file(path: Path) -> Digest:
    return Digest.of(path.read_bytes())
