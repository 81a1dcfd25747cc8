"""A real application over a real folder, driven in process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from zoo_registry.app import create_app
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record
from zoo_registry.settings import Settings

Upload = Callable[[bytes], Digest]
Publish = Callable[..., Record]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings.embedded(folder)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """The application of `settings`, open for a test."""
    with TestClient(create_app(settings), raise_server_exceptions=True) as client:
        yield client


@pytest.fixture
def upload(api: TestClient) -> Upload:
    """Upload bytes; give their digest."""

    def doing(data: bytes) -> Digest:
        digest = Digest.of(data)
        begun = api.post("/v1/uploads", json={"sha256": digest, "size": len(data)})
        assert begun.status_code in (200, 201), begun.text
        if not begun.json()["done"]:
            assert api.put(f"/v1/uploads/{begun.json()['id']}", content=data).status_code == 201
        return digest

    return doing


@pytest.fixture
def publish(
    api: TestClient,
    upload: Upload,
    make_record: Callable[..., Record],
    blob_bytes: Callable[..., bytes],
) -> Publish:
    """Upload and release a record with the given changes; give the record."""

    def doing(**changes: object) -> Record:
        record = make_record(**changes)
        upload(blob_bytes(f"{record.name}@{record.version}"))
        answer = api.post("/v1/releases", content=record.to_bytes())
        assert answer.status_code in (200, 201), answer.text
        return record

    return doing
