"""Bytes by digest: ranges, conditions, and damage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from zoo_registry.model.digest import Digest
from zoo_registry.ranges import content_range, matches, portion

DATA = bytes(range(256)) * 4
ETAG = f'"{Digest.of(DATA)}"'
URL = f"/v1/blobs/{Digest.of(DATA)}"


@pytest.fixture(autouse=True)
def there(upload: Callable[[bytes], Digest]) -> None:
    upload(DATA)


def test_whole(api: TestClient) -> None:
    got = api.get(URL)
    assert (got.status_code, got.content, got.headers["etag"], got.headers["accept-ranges"]) == (
        200,
        DATA,
        ETAG,
        "bytes",
    )
    assert "immutable" in got.headers["cache-control"]


def test_head(api: TestClient) -> None:
    got = api.head(URL)
    assert (got.status_code, got.content, got.headers["content-length"], got.headers["etag"]) == (
        200,
        b"",
        "1024",
        ETAG,
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", DATA[:1]),
        ("bytes=1000-", DATA[1000:]),
        ("bytes=-24", DATA[-24:]),
        ("bytes=-9999", DATA),
        ("bytes=5-99999", DATA[5:]),
    ],
)
def test_one_range(api: TestClient, asked: str, expected: bytes) -> None:
    got = api.get(URL, headers={"Range": asked})
    start = DATA.rindex(expected)
    assert (got.status_code, got.content) == (206, expected)
    assert (
        got.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/1024"
        or asked == "bytes=0-0"
    )


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=-0", "bytes=99999-100000"])
def test_a_range_beyond_the_end(api: TestClient, asked: str) -> None:
    got = api.get(URL, headers={"Range": asked})
    assert (got.status_code, got.headers["content-range"]) == (416, "bytes */1024")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=5-1",
        "bytes=-",
        "items=0-1",
        "bytes=a-b",
        "bytes=0-1;",
        f"bytes={10**50}-",
    ],
)
def test_what_is_no_single_range_is_ignored(api: TestClient, asked: str) -> None:
    got = api.get(URL, headers={"Range": asked})
    assert (got.status_code, got.content) == (200, DATA)


@pytest.mark.parametrize("asked", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
def test_not_modified(api: TestClient, asked: str) -> None:
    got = api.get(URL, headers={"If-None-Match": asked})
    assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", ETAG)


def test_if_range(api: TestClient) -> None:
    assert api.get(URL, headers={"Range": "bytes=0-3", "If-Range": ETAG}).status_code == 206
    for other in ('"x"', f"W/{ETAG}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert api.get(URL, headers={"Range": "bytes=0-3", "If-Range": other}).status_code == 200


def test_an_empty_blob(api: TestClient, upload: Callable[[bytes], Digest]) -> None:
    digest = upload(b"")
    assert api.get(f"/v1/blobs/{digest}").content == b""
    assert api.get(f"/v1/blobs/{digest}", headers={"Range": "bytes=0-"}).status_code == 416


def test_what_is_not_here(api: TestClient) -> None:
    got = api.get(f"/v1/blobs/{Digest.of(b'x')}")
    assert (got.status_code, got.json()["type"]) == (404, "urn:edgezoo:not-found")


@pytest.mark.parametrize("text", ["x", "..%2F..%2Fzoo.db", "A" * 64, "0" * 63, "%00"])
def test_what_is_no_digest(api: TestClient, text: str) -> None:
    got = api.get(f"/v1/blobs/{text}")
    assert got.status_code in (404, 422)
    assert got.headers["content-type"] == "application/problem+json"


def test_a_damaged_blob_is_not_given(api: TestClient, folder: Path) -> None:
    digest = Digest.of(DATA)
    path = folder / "blobs" / "sha256" / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"\1" + DATA[1:])
    got = api.get(URL)
    assert got.json()["type"] == "urn:edgezoo:digest-mismatch"
    assert digest in got.json()["detail"]


@given(
    start=st.none() | st.integers(0, 50),
    end=st.none() | st.integers(0, 50),
    size=st.integers(0, 40),
)
def test_every_range_is_a_slice_or_refused(start: int | None, end: int | None, size: int) -> None:
    header = f"bytes={'' if start is None else start}-{'' if end is None else end}"
    data = bytes(range(size))
    found = portion({"range": header}, '"e"', size)
    if found.status == 206:
        inclusive = None if end is None else end + 1
        wanted = data[start:inclusive] if start is not None else data[max(size - (end or 0), 0) :]
        assert data[found.start : found.end] == wanted != b""
    elif found.status == 416:
        assert (start is not None and start >= size) or (start is None and (end == 0 or size == 0))
    else:
        assert found.end == size
        assert (start is None and end is None) or (
            start is not None and end is not None and end < start
        )


def test_content_ranges() -> None:
    assert content_range("bytes 0-9/20") == (0, 10, 20)
    for text in ("bytes 9-0/20", "bytes 0-20/20", "bytes */20", "0-9/20", "bytes 0-9/*", ""):
        assert content_range(text) is None
    assert not matches(None, '"e"')
