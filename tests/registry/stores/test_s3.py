"""What is special about S3: who may not, what is not there, and servers that promise too little."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from starlette.testclient import TestClient

from zoo_registry.app import create_app
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import Forbidden, NotFound, Unreachable, Unsupported, WrongUse
from zoo_registry.model.record import Record
from zoo_registry.settings import Settings
from zoo_registry.stores import layout, open_store

DATA = b"TFL3" + bytes(range(99))
DIGEST = Digest.of(DATA)


class Careless(BaseHTTPRequestHandler):
    """As much of S3 as a store needs, by a server that does not look at conditions."""

    kept: ClassVar[dict[str, bytes]] = {}
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        size = int(
            self.headers.get("x-amz-decoded-content-length") or self.headers["Content-Length"]
        )
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))[-size:]
        self._answer(200, b"")

    def do_GET(self) -> None:
        self._answer(200 if self.path in self.kept else 404, self.kept.get(self.path, b""))

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.kept else 404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Careless, "kept", {})
    with ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        for name, value in (
            ("ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}"),
            ("ACCESS_KEY_ID", "a"),
            ("SECRET_ACCESS_KEY", "b"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield
        server.shutdown()
        thread.join()


def test_a_server_without_conditional_writes_is_refused(careless: None) -> None:
    store = open_store("s3://bucket/zoo")
    for _ in range(2):
        with pytest.raises(Unsupported, match="If-None-Match") as caught:
            store.create("releases/a/1.0.0.json", b"{}")
        assert "AWS S3" in caught.value.hint
    assert [path for path in Careless.kept if "releases" in path] == []


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://bucket?x=1", "s3://bucket/a#b"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(WrongUse, match="s3://bucket"):
        open_store(url)


@pytest.mark.s3
def test_a_bucket_that_is_not_there(s3_environment: object) -> None:
    store = open_store("s3://no-such-bucket-here/zoo")
    with pytest.raises(NotFound, match="NoSuchBucket") as caught:
        list(store.keys("releases/"))
    assert caught.value.hint == "aws s3 mb s3://no-such-bucket-here"


@pytest.mark.s3
@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")]
)
def test_wrong_credentials(
    s3_prefix: Callable[[], str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    store = open_store(s3_prefix())
    attempts: list[Callable[[], object]] = [
        lambda: store.put([DATA], DIGEST),
        lambda: store.create("index.json", b"{}"),
        lambda: store.load("index.json"),
        lambda: list(store.keys("releases/")),
        lambda: store.stat(DIGEST),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden) as caught:
            attempt()
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint


@pytest.mark.s3
def test_no_credentials(s3_prefix: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Forbidden, match="credentials"):
        open_store(s3_prefix()).load("index.json")


def test_a_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ENDPOINT_URL", "http://127.0.0.1:9"),
        ("ACCESS_KEY_ID", "a"),
        ("SECRET_ACCESS_KEY", "b"),
        ("MAX_ATTEMPTS", "1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(Unreachable) as caught:
        open_store("s3://bucket/zoo").load("index.json")
    assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.s3
def test_a_presigned_address_gives_the_blob_to_anyone(s3_prefix: Callable[[], str]) -> None:
    store = open_store(s3_prefix())
    store.put([DATA], DIGEST)
    url = store.presign(DIGEST, 60)
    assert url is not None
    assert httpx.get(url, headers={"Range": "bytes=4-"}).content == DATA[4:]
    assert httpx.get(url.partition("?")[0]).status_code == 403


@pytest.mark.s3
def test_a_registry_over_s3_is_the_prefix_that_others_read(
    s3_prefix: Callable[[], str],
    tmp_path: Path,
    make_record: Callable[..., Record],
    blob_bytes: Callable[..., bytes],
) -> None:
    place, record = s3_prefix(), make_record()
    data = blob_bytes(f"{record.name}@{record.version}")
    settings = Settings(db=str(tmp_path / "zoo.db"), store=place, trusted=True, presign=60)
    with TestClient(create_app(settings)) as api:
        begun = api.post(
            "/v1/uploads", json={"sha256": record.file.sha256, "size": len(data)}
        ).json()
        api.put(f"/v1/uploads/{begun['id']}", content=data).raise_for_status()
        api.post("/v1/releases", content=record.to_bytes()).raise_for_status()
        sent = api.get(f"/v1/blobs/{record.file.sha256}", follow_redirects=False)
        assert sent.status_code == 307
        assert httpx.get(sent.headers["location"]).content == data
        itself = api.get(f"/v1/blobs/{record.file.sha256}?direct=true", follow_redirects=False)
        assert (itself.status_code, itself.content) == (200, data), (
            "a page of the registry may not load from elsewhere"
        )
        assert api.head(f"/v1/blobs/{record.file.sha256}").headers["content-length"] == str(
            len(data)
        )
        assert api.get("/v1/resolve").json()["chosen"]["name"] == record.name
    assert [item.name for item in layout.index(open_store(place))] == [record.name]
