"""A registry that lies, breaks off or answers nonsense.

Refused with a reason, and the old copy stays.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from zoo_client import download
from zoo_client.cache import Cache
from zoo_client.pull import pull
from zoo_client.remotes import open_remote, wire
from zoo_client.remotes.base import Remote
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, Forbidden, NotFound, Unreachable
from zoo_registry.model.query import Query
from zoo_registry.model.ref import Ref

Answer = Callable[["Liar"], None]
REF = Ref.parse("digits-cnn-int8")


class Liar(BaseHTTPRequestHandler):
    """Answers each path prefix as the test says; every request is written down."""

    routes: dict[str, Answer]
    seen: list[tuple[str, str, str | None]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Range")))
        matching = [prefix for prefix in self.routes if self.path.startswith(prefix)]
        self.routes[max(matching, key=len)](self) if matching else self.give(404, b"{}")

    do_POST = do_PUT = do_GET  # noqa: N815  the base class's names

    def give(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Length": str(len(body) if length is None else length)} | headers
        ).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Any]:
    handler = type("BoundLiar", (Liar,), {"routes": {}, "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


@pytest.fixture
def far(liar: Any, settings: Settings) -> Remote:
    return open_remote(liar.url, settings)


def releasing(liar: Any, record_bytes: bytes, data: bytes, **state: Any) -> None:
    """Make the liar tell the truth about one release."""
    record = json.loads(record_bytes)
    digest = Digest.of(record_bytes)
    shown = {"record_sha256": digest, "published": "2026-01-01T00:00:00Z", "yanked": False} | state
    liar.routes["/v1/artifacts/"] = lambda h: h.give(
        200, json.dumps(record | {"release": shown}).encode()
    )
    liar.routes[f"/v1/blobs/{digest}"] = lambda h: h.give(200, record_bytes)
    liar.routes[f"/v1/blobs/{record['file']['sha256']}"] = lambda h: h.give(200, data)


def test_the_truth_is_accepted(
    liar: Any, far: Remote, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle()
    [path] = given.blobs.values()
    releasing(liar, given.record_bytes, path.read_bytes())
    release = far.release(REF)
    assert release.record_bytes == given.record_bytes
    assert (
        pull(far, Cache(settings.cache), release, tmp_path / "m").path.read_bytes()
        == path.read_bytes()
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda h: h.give(200, b"<html><body>Sign in to the hotel's network</body></html>"),
            "do not understand",
        ),
        (lambda h: h.give(200, b'{"items": "all of them"}'), "do not understand"),
        (lambda h: h.give(200, b'{"items": [], "items": []}'), "do not understand"),
        (lambda h: h.give(200, b"[" * 100_000), "do not understand"),
        (lambda h: h.give(302, b"", Location="/v1/artifacts"), "redirects in a circle"),
        (lambda h: h.give(302, b"", Location="gopher://elsewhere/"), "does not answer"),
        (lambda h: h.give(500, b"oops"), "answered 500"),
        (lambda h: h.give(200, b'{"items"', length=5000), "does not answer"),
        (
            lambda h: (
                h.wfile.write(b"SSH-2.0-OpenSSH_9\r\n\r\n") and setattr(h, "close_connection", True)
            ),
            "does not answer",
        ),
    ],
)
def test_nonsense_is_named_as_the_other_sides(
    liar: Any, far: Remote, answer: Answer, said: str
) -> None:
    liar.routes["/v1/artifacts"] = answer
    with pytest.raises(Unreachable, match=said) as refused:
        far.search(Query())
    assert refused.value.hint


def test_an_endless_answer_is_cut_off(
    liar: Any, far: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ANSWER_LIMIT", 10_000)
    liar.routes["/v1/artifacts"] = lambda h: h.give(200, b" " * 1_000_000)
    with pytest.raises(Unreachable):
        far._wire.read("GET", "/v1/artifacts", limit=10_000)  # type: ignore[attr-defined]


def test_nobody_listening_is_unreachable(settings: Settings) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        open_remote("http://127.0.0.1:9", settings).search(Query())


def test_a_busy_server_is_asked_again(liar: Any, far: Remote) -> None:
    def busy_twice(handler: Liar) -> None:
        handler.give(200, b'{"items": []}') if len(liar.seen) > 2 else handler.give(503, b"busy")

    liar.routes["/v1/artifacts"] = busy_twice
    assert far.search(Query()).items == ()
    assert len(liar.seen) == 3


def test_problem_documents_come_back_as_what_they_were(liar: Any, far: Remote) -> None:
    problem = {
        "type": "urn:edgezoo:not-found",
        "title": "x",
        "status": 404,
        "detail": "no \x1b[31msuch\x07 thing",
        "hint": "zoo search",
    }
    liar.routes["/v1/artifacts/"] = lambda h: h.give(404, json.dumps(problem).encode())
    with pytest.raises(NotFound) as refused:
        far.release(REF)
    assert (refused.value.message, refused.value.hint) == ("no [31msuch thing", "zoo search")
    liar.routes["/v1/artifacts/"] = lambda h: h.give(403, b"go away")
    with pytest.raises(Forbidden):
        far.release(REF)


def test_another_record_than_the_one_released_is_refused(
    liar: Any, far: Remote, bundle: Any
) -> None:
    given, other = bundle(), bundle(version="2.0.0")
    releasing(liar, given.record_bytes, b"", record_sha256=Digest.of(b"another"))
    liar.routes[f"/v1/blobs/{Digest.of(b'another')}"] = lambda h: h.give(200, given.record_bytes)
    with pytest.raises(DigestMismatch):
        far.release(REF)
    releasing(liar, other.record_bytes, b"")
    with pytest.raises(Unreachable, match="gave the record of"):
        far.release(Ref.parse("digits-cnn-int8@1.0.0"))
    with pytest.raises(Unreachable, match="gave the record of"):
        far.release(Ref.parse("digits-cnn-int8@^1.0"))
    with pytest.raises(Unreachable, match="gave the record of"):
        far.release(Ref.parse("digits-cnn-fp32"))


@pytest.mark.parametrize("path", ["../../etc/cron.d/x", "/etc/passwd", ".bashrc", "a/b.tflite"])
def test_a_record_whose_path_leads_elsewhere_is_refused(
    liar: Any, far: Remote, bundle: Any, path: str
) -> None:
    from zoo_registry.model.canonical import canonical

    record = json.loads(bundle().record_bytes)
    record["file"]["path"] = path
    releasing(liar, canonical(record), b"")
    with pytest.raises(Unreachable, match="plain file name"):
        far.release(REF)


@pytest.mark.parametrize("data", [b"", b"too short", b"x" * 3000, b"y" * 4000])
def test_wrong_bytes_never_reach_the_destination(
    liar: Any, far: Remote, bundle: Any, settings: Settings, tmp_path: Path, data: bytes
) -> None:
    given = bundle()
    releasing(liar, given.record_bytes, data)
    old = tmp_path / "m.tflite"
    old.write_bytes(b"the old copy")
    with pytest.raises((DigestMismatch, Unreachable)):
        pull(far, Cache(settings.cache), far.release(REF), old)
    assert old.read_bytes() == b"the old copy"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".tmp") == []
    assert Cache(settings.cache).blobs() == ()


def test_a_server_that_dies_is_continued_where_it_stopped(
    liar: Any, far: Remote, bundle: Any, settings: Settings, tmp_path: Path
) -> None:
    given = bundle(data=bytes(range(256)) * 4000)
    [path] = given.blobs.values()
    whole = path.read_bytes()
    releasing(liar, given.record_bytes, whole)
    blob = f"/v1/blobs/{given.record.file.sha256}"
    liar.routes[blob] = lambda h: (
        h.give(200, whole[:300_000], length=len(whole))
        if not h.headers.get("Range")
        else h.give(404, b"{}")
    )
    old = tmp_path / "m.tflite"
    old.write_bytes(b"the old copy")
    release = far.release(REF)
    with pytest.raises(NotFound):
        pull(far, Cache(settings.cache), release, old)
    assert old.read_bytes() == b"the old copy"
    [part] = (settings.cache / "partial").iterdir()
    came = part.stat().st_size
    assert 0 < came < len(whole)

    def continued(handler: Liar) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        handler.give(
            206, whole[start:], Content_Range=f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        )

    liar.routes[blob] = continued
    pull(far, Cache(settings.cache), release, old)
    assert old.read_bytes() == whole
    assert liar.seen[-1][2] == f"bytes={came}-"


def test_a_server_without_ranges_is_counted_along(liar: Any, far: Remote) -> None:
    data = bytes(range(200))
    liar.routes["/v1/blobs/"] = lambda h: h.give(200, data)
    assert b"".join(far.fetch(Digest.of(data), start=150)) == data[150:]
    liar.routes["/v1/blobs/"] = lambda h: h.give(206, data[10:], Content_Range="bytes 10-199/200")
    with pytest.raises(Unreachable, match="bytes from 150"):
        list(far.fetch(Digest.of(data), start=150))


def test_the_token_goes_to_the_registry_and_not_where_it_redirects(
    liar: Any, settings: Settings
) -> None:
    heard: list[tuple[str, str | None]] = []

    def listen(handler: Liar) -> None:
        heard.append((handler.headers["Host"], handler.headers.get("Authorization")))
        if handler.headers["Host"].startswith("127.0.0.1"):
            handler.give(
                307, b"", Location=liar.url.replace("127.0.0.1", "localhost") + handler.path
            )
        else:
            handler.give(200, b"bytes")

    liar.routes["/v1/blobs/"] = listen
    far = open_remote(liar.url, replace(settings, token="zoo_secret"))
    assert b"".join(far.fetch(Digest.of(b"bytes"))) == b"bytes"
    assert [token for _, token in heard] == ["Bearer zoo_secret", None]


def test_the_token_is_not_in_what_is_printed(settings: Settings) -> None:
    assert "zoo_secret" not in repr(replace(settings, token="zoo_secret"))
