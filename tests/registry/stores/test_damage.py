"""Stores where somebody else wrote: damaged blobs, strange files, lying documents."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    DigestMismatch,
    Forbidden,
    InvalidRecord,
    NotFound,
    UnknownPlugin,
    Unreachable,
    WrongUse,
)
from zoo_registry.model.files import CHUNK
from zoo_registry.model.record import Record
from zoo_registry.model.ref import Ref
from zoo_registry.stores import layout, open_store
from zoo_registry.stores.base import Store

BIG = bytes(range(250)) * (3 * CHUNK // 250)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


@pytest.fixture
def released(
    store: Store, make_record: Callable[..., Record], blob_bytes: Callable[..., bytes]
) -> Record:
    record = make_record()
    store.put([blob_bytes(f"{record.name}@{record.version}")], record.file.sha256)
    layout.release(store, record.to_bytes(), layout.now())
    return record


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1] + b"!", lambda data: data[: len(data) // 2], lambda data: data + b"!"],
)
def test_a_damaged_blob_is_never_given_whole(
    store: Store, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    digest = Digest.of(BIG)
    store.put([BIG], digest)
    rewrite(tmp_path / "blobs" / "sha256" / digest[:2] / digest, change(BIG))
    given: list[bytes] = []
    with pytest.raises(DigestMismatch, match=digest):
        given.extend(store.read(digest))
    assert given, "what is far from the end is given as it passes"
    assert sum(map(len, given)) < len(BIG)
    store.put([BIG], digest)
    assert b"".join(store.read(digest)) == BIG, "putting it again heals it"


def test_blobs_are_read_only_and_in_their_place(store: Store, tmp_path: Path) -> None:
    digest = Digest.of(b"x")
    store.put([b"x"], digest)
    path = tmp_path / "blobs" / "sha256" / digest[:2] / digest
    assert path.stat().st_mode & 0o777 == 0o444
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_a_damaged_record_is_refused(store: Store, released: Record, tmp_path: Path) -> None:
    digest = Digest.of(released.to_bytes())
    rewrite(
        tmp_path / "blobs" / "sha256" / digest[:2] / digest,
        released.to_bytes().replace(b"0.97", b"0.99"),
    )
    with pytest.raises(DigestMismatch, match=digest):
        layout.find(store, Ref.parse(released.name))
    assert layout.index(store) == ()


def test_a_record_under_another_name_is_refused(store: Store, released: Record) -> None:
    store.create(
        "releases/other-model/1.0.0.json",
        canonical({"record": Digest.of(released.to_bytes()), "published": "x"}),
    )
    with pytest.raises(InvalidRecord, match="other-model"):
        layout.find(store, Ref.parse("other-model"))
    assert [item.name for item in layout.index(store)] == [released.name]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"record": "x", "published": ""}', b"\xff"]
)
def test_a_broken_claim_is_refused(store: Store, content: bytes) -> None:
    store.create("releases/other-model/1.0.0.json", content)
    with pytest.raises(InvalidRecord):
        layout.find(store, Ref.parse("other-model"))


def test_a_record_that_is_gone(store: Store, released: Record) -> None:
    store.delete(Digest.of(released.to_bytes()))
    with pytest.raises(NotFound):
        layout.find(store, Ref.parse(released.name))
    assert not layout.release(store, released.to_bytes(), layout.now()).created
    assert layout.find(store, Ref.parse(released.name)).record == released


def test_strange_files_are_no_releases(store: Store, released: Record, tmp_path: Path) -> None:
    for name in (
        "releases/UPPER/1.0.0.json",
        "releases/digits-cnn-int8/latest.json",
        "releases/deep/er/1.0.0.json",
        "releases/x.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    (tmp_path / "measurements" / released.name / "1.0.0").mkdir(parents=True)
    (tmp_path / "measurements" / released.name / "1.0.0" / "x.json").write_bytes(b"{}")
    assert layout.names(store) == (released.name,)
    assert [item.version for item in layout.index(store)] == ["1.0.0"]


def test_build_metadata_is_refused(store: Store, make_record: Callable[..., Record]) -> None:
    with pytest.raises(InvalidRecord, match="build metadata"):
        layout.read_record(make_record(version="1.0.0+linux").to_bytes())


@pytest.mark.parametrize("url", ["file://host/folder", "file:relative", "file://../x"])
def test_addresses_that_are_no_folder(url: str) -> None:
    if "://" in url:
        with pytest.raises(WrongUse, match="three slashes"):
            open_store(url)
    else:
        assert open_store(url).url.endswith("file%3Arelative")


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        open_store("s4://bucket")
    assert "s3" in caught.value.hint


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((Unreachable, Forbidden)) as caught:
        open_store(str(tmp_path / "file")).create("index.json", b"{}")
    assert caught.value.hint
