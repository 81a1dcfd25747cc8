"""What every store must keep, whoever wrote it.

A new store is tested here by being registered; it only has to say where it can live.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, get_ident
from typing import Any, cast

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    DigestMismatch,
    InvalidRecord,
    NotFound,
    ReleaseExists,
    TooLarge,
    WrongUse,
    Yanked,
)
from zoo_registry.model.files import CHUNK
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.ref import Ref
from zoo_registry.stores import STORES, layout, open_store
from zoo_registry.stores.base import Store

DATA = b"TFL3" + bytes(range(256)) * 9
DIGEST = Digest.of(DATA)
BIG = bytes(range(251)) * (2 * CHUNK // 251 + 99)
MakeRecord = Callable[..., Record]
MakeMeasurement = Callable[..., Measurement]
Publish = Callable[[Record], layout.Released]
HERE = {name: [pytest.mark.s3] if name == "s3" else [] for name in STORES.names()}


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, marks in HERE.items()])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of a fresh, empty store of each kind."""
    places: dict[str, Callable[[], str]] = {
        "memory": lambda: "memory://",
        "file": (tmp_path / "a folder").as_uri,
        "s3": lambda: str(request.getfixturevalue("s3_prefix")()),
    }
    return places[request.param]()


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


@pytest.fixture
def publish(store: Store, blob_bytes: Callable[..., bytes]) -> Publish:
    """Upload what a record of `make_record` needs, and release it."""

    def doing(record: Record) -> layout.Released:
        data = blob_bytes(f"{record.name}@{record.version}")
        if Digest.of(data) == record.file.sha256:
            store.put([data], record.file.sha256)
        return layout.release(store, record.to_bytes(), layout.now())

    return doing


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


def test_the_address_comes_back(store: Store, url: str) -> None:
    assert store.url == url


def test_what_goes_in_comes_out(store: Store) -> None:
    info = store.put(pieces(DATA), DIGEST)
    assert (info.digest, info.size) == (DIGEST, len(DATA))
    assert b"".join(store.read(DIGEST)) == DATA
    assert store.stat(DIGEST) == info


def test_putting_twice_is_putting_once(store: Store) -> None:
    store.put(pieces(DATA), DIGEST)
    store.put(pieces(DATA, 7), DIGEST)
    assert [info.digest for info in store.digests()] == [DIGEST]


def test_nothing_is_a_blob_too(store: Store) -> None:
    empty = Digest.of(b"")
    assert store.put([], empty).size == 0
    assert b"".join(store.read(empty)) == b""


def test_a_blob_of_several_chunks(store: Store) -> None:
    digest = Digest.of(BIG)
    store.put(pieces(BIG, CHUNK), digest)
    assert b"".join(store.read(digest)) == BIG


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (5, 9),
        (0, None),
        (100, None),
        (2000, 10**9),
        (len(DATA), None),
        (10**6, None),
        (9, 5),
    ],
)
def test_ranges_are_slices(store: Store, start: int, end: int | None) -> None:
    store.put([DATA], DIGEST)
    assert b"".join(store.read(DIGEST, start, end)) == DATA[start:end]


def test_a_range_over_a_chunk_boundary(store: Store) -> None:
    digest = Digest.of(BIG)
    store.put([BIG], digest)
    assert b"".join(store.read(digest, CHUNK - 3, CHUNK + 3)) == BIG[CHUNK - 3 : CHUNK + 3]


def test_a_range_before_the_first_byte_is_refused(store: Store) -> None:
    store.put([DATA], DIGEST)
    with pytest.raises(WrongUse, match="range"):
        store.read(DIGEST, -1)


def test_other_bytes_leave_nothing(store: Store) -> None:
    with pytest.raises(DigestMismatch) as caught:
        store.put([DATA[:-1]], DIGEST)
    assert caught.value.expected == DIGEST
    assert caught.value.actual == Digest.of(DATA[:-1])
    assert store.stat(DIGEST) is None
    assert list(store.digests()) == []


def test_too_many_bytes_leave_nothing_and_are_not_all_read(store: Store) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(TooLarge, match="5000"):
        store.put(endless(), DIGEST, limit=5000)
    assert taken == 6
    assert list(store.digests()) == []


def test_a_sender_that_breaks_off_leaves_nothing(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[:1000]
        raise RuntimeError("the line went dead")

    with pytest.raises(RuntimeError, match="went dead"):
        store.put(broken(), DIGEST)
    assert store.stat(DIGEST) is None
    assert list(store.digests()) == []


def test_a_blob_that_is_not_here(store: Store) -> None:
    assert store.stat(DIGEST) is None
    with pytest.raises(NotFound, match=DIGEST):
        store.read(DIGEST)
    store.delete(DIGEST)


def test_a_deleted_blob_is_gone(store: Store) -> None:
    store.put([DATA], DIGEST)
    store.delete(DIGEST)
    assert store.stat(DIGEST) is None
    assert list(store.digests()) == []


def test_a_document_is_created_once(store: Store) -> None:
    assert store.create("releases/a/1.0.0.json", b"first")
    assert not store.create("releases/a/1.0.0.json", b"second")
    loaded = store.load("releases/a/1.0.0.json")
    assert loaded is not None
    assert loaded[0] == b"first"


def test_a_document_is_replaced_only_by_who_saw_it(store: Store) -> None:
    assert store.replace("index.json", b"1", None)
    first = store.load("index.json")
    assert first is not None
    assert store.replace("index.json", b"2", first[1])
    assert not store.replace("index.json", b"3", first[1])
    assert not store.replace("index.json", b"4", None)
    second = store.load("index.json")
    assert second is not None
    assert second[0] == b"2"


def test_replacing_what_is_gone_fails(store: Store) -> None:
    store.create("index.json", b"1")
    seen = store.load("index.json")
    assert seen is not None
    store.remove("index.json")
    assert not store.replace("index.json", b"2", seen[1])
    assert store.load("index.json") is None
    store.remove("index.json")


def test_documents_are_listed_by_folder(store: Store) -> None:
    for key in (
        "releases/a/1.0.0.json",
        "releases/a/1.0.0-rc.1.json",
        "releases/ab/1.0.0.json",
        "aliases/a/stable.json",
        "index.json",
    ):
        store.create(key, b"{}")
    store.put([DATA], DIGEST)
    assert list(store.keys("releases/a/")) == [
        "releases/a/1.0.0-rc.1.json",
        "releases/a/1.0.0.json",
    ]
    assert list(store.keys("releases/")) == [
        "releases/a/1.0.0-rc.1.json",
        "releases/a/1.0.0.json",
        "releases/ab/1.0.0.json",
    ]
    assert len(list(store.keys(""))) == 5
    assert list(store.keys("yanks/")) == []


HOSTILE = [
    "../x.json",
    "a/../../x.json",
    "/etc/x.json",
    "a//b.json",
    "./a.json",
    "a/.hidden.json",
    "blobs/sha256/aa/x.json",
    "x",
    "a\\b.json",
    "a\0.json",
    "a\n.json",
    "",
    "é.json",
    "a/b/c/d/e/f/g.json",
    "C:/x.json",
    "x.json/",
    "-r.json",
]


@pytest.mark.parametrize("key", HOSTILE)
def test_keys_cannot_leave_the_store(store: Store, key: str) -> None:
    for attempt in (
        lambda: store.create(key, b"x"),
        lambda: store.load(key),
        lambda: store.replace(key, b"x", "e"),
        lambda: store.remove(key),
    ):
        with pytest.raises(WrongUse, match="not a document"):
            attempt()


@pytest.mark.parametrize("prefix", ["../", "/", "a", "blobs/", "a/../", "a//"])
def test_prefixes_cannot_leave_the_store(store: Store, prefix: str) -> None:
    with pytest.raises(WrongUse, match="not a folder"):
        list(store.keys(prefix))


def test_one_of_many_racing_creators_wins(store: Store) -> None:
    gate = Barrier(6)

    def attempt(number: int) -> bool:
        gate.wait()
        return store.create("releases/a/1.0.0.json", str(number).encode())

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(attempt, range(6)))
    assert won.count(True) == 1
    loaded = store.load("releases/a/1.0.0.json")
    assert loaded is not None
    assert loaded[0] == str(won.index(True)).encode()


def test_racing_replacers_lose_no_update(store: Store) -> None:
    store.create("index.json", b"0")

    def increment(_: int) -> None:
        while True:
            found = store.load("index.json")
            assert found is not None
            if store.replace("index.json", str(int(found[0]) + 1).encode(), found[1]):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(12)))
    loaded = store.load("index.json")
    assert loaded is not None
    assert loaded[0] == b"12"


# --- the layout over every store ---


def test_a_release_can_be_found(store: Store, publish: Publish, make_record: MakeRecord) -> None:
    record = make_record()
    released = publish(record)
    assert released.created
    found = layout.find(store, Ref.parse("digits-cnn-int8"))
    assert (found.record, found.record_bytes, found.record_sha256) == (
        record,
        record.to_bytes(),
        released.record_sha256,
    )
    assert found.published == released.published
    assert not found.yanked


def test_releasing_the_same_file_again_is_no_change(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    first = publish(make_record())
    same, rebuilt = (
        publish(make_record()),
        publish(make_record(description="built again, same file")),
    )
    assert (same.created, rebuilt.created) == (False, False)
    assert rebuilt.record == first.record
    assert {first.record_sha256} == {same.record_sha256, rebuilt.record_sha256}
    assert (
        layout.find(store, Ref.parse("digits-cnn-int8")).record.description
        == first.record.description
    )


def test_other_bytes_under_a_version_are_refused(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    first = make_record()
    publish(first)
    store.put([DATA], DIGEST)
    other = make_record(data=DATA)
    with pytest.raises(ReleaseExists, match=DIGEST) as caught:
        publish(other)
    assert "zoo bump" in caught.value.hint
    assert layout.find(store, Ref.parse("digits-cnn-int8")).record == first


def test_of_two_racing_publishers_one_wins(store: Store, make_record: MakeRecord) -> None:
    contents = [DATA, DATA + b"!"]
    records = [make_record(data=data) for data in contents]
    for data in contents:
        store.put([data], Digest.of(data))
    gate = Barrier(2)

    def attempt(record: Record) -> bool | type[Exception]:
        gate.wait()
        try:
            return layout.release(store, record.to_bytes(), layout.now()).created
        except ReleaseExists as error:
            return type(error)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, records))
    assert sorted(outcomes, key=str) == [ReleaseExists, True]
    assert layout.find(store, Ref.parse("digits-cnn-int8")).record == records[outcomes.index(True)]


class Late:
    """A store whose readers of a release all look before any of them writes."""

    def __init__(self, store: Store, gate: Barrier) -> None:
        self._store, self._gate, self._passed = store, gate, set[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def load(self, key: str) -> tuple[bytes, str] | None:
        found = self._store.load(key)
        if key.startswith("releases/") and get_ident() not in self._passed:
            self._passed.add(get_ident())
            self._gate.wait(timeout=30)
        return found


def test_publishers_who_all_saw_nothing_are_still_told_apart(
    store: Store, make_record: MakeRecord
) -> None:
    contents = [DATA + bytes([number]) for number in range(4)]
    records = [make_record(data=data) for data in contents]
    for data in contents:
        store.put([data], Digest.of(data))
    late = cast("Store", Late(store, Barrier(len(records))))

    def attempt(record: Record) -> bool:
        try:
            return layout.release(late, record.to_bytes(), layout.now()).created
        except ReleaseExists:
            return False

    with ThreadPoolExecutor(len(records)) as pool:
        outcomes = list(pool.map(attempt, records))
    assert outcomes.count(True) == 1
    assert layout.find(store, Ref.parse("digits-cnn-int8")).record == records[outcomes.index(True)]


def test_a_release_needs_its_blobs(store: Store, make_record: MakeRecord) -> None:
    record = make_record()
    with pytest.raises(InvalidRecord, match="not uploaded"):
        layout.release(store, record.to_bytes(), layout.now())
    assert list(store.keys("")) == []


def test_a_release_needs_its_blobs_in_the_size_it_says(
    store: Store, make_record: MakeRecord
) -> None:
    store.put([DATA], DIGEST)
    record = make_record(data=DATA)
    lying = record.model_copy(update={"file": record.file.model_copy(update={"size": 7})})
    with pytest.raises(InvalidRecord, match=f"{len(DATA)} bytes, the record says 7"):
        layout.release(store, lying.to_bytes(), layout.now())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b" " + text,
        lambda text: text.replace(b'"name"', b'"nam"', 1),
        lambda text: text[:-1],
    ],
)
def test_a_record_that_is_not_one_is_refused(
    store: Store,
    make_record: MakeRecord,
    blob_bytes: Callable[..., bytes],
    change: Callable[[bytes], bytes],
) -> None:
    record = make_record()
    store.put([blob_bytes(f"{record.name}@{record.version}")], record.file.sha256)
    with pytest.raises(InvalidRecord):
        layout.release(store, change(record.to_bytes()), layout.now())


def test_refs_choose_versions(store: Store, publish: Publish, make_record: MakeRecord) -> None:
    for version in ("1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1"):
        publish(make_record(version=version))
    layout.set_alias(store, "digits-cnn-int8", "stable", "1.9.0", layout.now())
    chosen = {
        text: layout.find(store, Ref.parse(f"digits-cnn-int8{text}")).record.version
        for text in ("", "@1.9", "@stable", "@2.0.0-rc.1")
    }
    assert chosen == {
        "": "1.10.0",
        "@1.9": "1.9.0",
        "@stable": "1.9.0",
        "@2.0.0-rc.1": "2.0.0-rc.1",
    }
    assert layout.versions(store, "digits-cnn-int8") == ("1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1")
    assert layout.find(store, Ref.parse("digits-cnn-int8@1.9.0")).aliases == ("stable",)


def test_an_alias_moves(store: Store, publish: Publish, make_record: MakeRecord) -> None:
    publish(make_record())
    publish(make_record(version="1.1.0"))
    for version in ("1.0.0", "1.1.0"):
        layout.set_alias(store, "digits-cnn-int8", "stable", version, layout.now())
        assert layout.find(store, Ref.parse("digits-cnn-int8@stable")).record.version == version


def test_an_alias_cannot_be_latest_nor_point_nowhere(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    publish(make_record())
    with pytest.raises(WrongUse, match="latest"):
        layout.set_alias(store, "digits-cnn-int8", "latest", "1.0.0", layout.now())
    with pytest.raises(NotFound, match=r"3\.0\.0"):
        layout.set_alias(store, "digits-cnn-int8", "stable", "3.0.0", layout.now())
    with pytest.raises(NotFound, match="beta"):
        layout.find(store, Ref.parse("digits-cnn-int8@beta"))


def test_a_name_that_is_not_here_names_the_nearest(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    publish(make_record())
    with pytest.raises(NotFound) as caught:
        layout.find(store, Ref.parse("digit-cnn-int8"))
    assert caught.value.hint == "zoo show digits-cnn-int8"


def test_a_pinned_digest_is_held(store: Store, publish: Publish, make_record: MakeRecord) -> None:
    record = make_record()
    publish(record)
    assert layout.find(store, Ref("digits-cnn-int8", digest=record.file.sha256)).record == record
    with pytest.raises(DigestMismatch, match=DIGEST):
        layout.find(store, Ref("digits-cnn-int8", digest=DIGEST))


def test_a_yanked_version_is_given_only_when_named(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    publish(make_record())
    publish(make_record(version="1.1.0"))
    layout.yank(store, "digits-cnn-int8", "1.1.0", "wrong labels", layout.now())
    layout.yank(store, "digits-cnn-int8", "1.1.0", "another reason", layout.now())
    assert layout.find(store, Ref.parse("digits-cnn-int8")).record.version == "1.0.0"
    exact = layout.find(store, Ref.parse("digits-cnn-int8@1.1.0"))
    assert (exact.yanked, exact.yank_reason) == (True, "wrong labels")
    with pytest.raises(Yanked):
        layout.set_alias(store, "digits-cnn-int8", "stable", "1.1.0", layout.now())
    layout.yank(store, "digits-cnn-int8", "1.0.0", "all of it", layout.now())
    with pytest.raises(Yanked, match="wrong labels"):
        layout.find(store, Ref.parse("digits-cnn-int8@latest"))


def test_a_measurement_is_added_once(
    store: Store, publish: Publish, make_record: MakeRecord, make_measurement: MakeMeasurement
) -> None:
    record = make_record()
    publish(record)
    measurement = make_measurement(record.file.sha256, device="web-wasm", median=7.0)
    data = measurement.model_dump_json().encode()
    assert layout.add_measurement(store, record.name, record.version, data)
    assert not layout.add_measurement(store, record.name, record.version, data)
    assert not layout.add_measurement(
        store, record.name, record.version, record.measurements[0].model_dump_json().encode()
    )
    assert layout.find(store, Ref.parse(record.name)).added == (measurement,)


def test_a_measurement_of_another_file_is_refused(
    store: Store, publish: Publish, make_record: MakeRecord, make_measurement: MakeMeasurement
) -> None:
    record = make_record()
    publish(record)
    with pytest.raises(InvalidRecord, match=DIGEST):
        layout.add_measurement(
            store, record.name, record.version, make_measurement(DIGEST).model_dump_json().encode()
        )
    assert layout.find(store, Ref.parse(record.name)).added == ()


def test_the_index_follows(
    store: Store, publish: Publish, make_record: MakeRecord, make_measurement: MakeMeasurement
) -> None:
    record = make_record()
    publish(record)
    assert [item.name for item in layout.update_index(store)] == [record.name]
    publish(make_record(variant="fp16"))
    assert [item.variant for item in layout.index(store)] == ["fp16", "int8"]
    layout.set_alias(store, record.name, "stable", "1.0.0", layout.now())
    layout.add_measurement(
        store,
        record.name,
        "1.0.0",
        make_measurement(record.file.sha256, device="web-wasm").model_dump_json().encode(),
    )
    changed = layout.index(store)[1]
    assert (changed.aliases, [timing.device for timing in changed.timings]) == (
        ("stable",),
        ["host-cpu", "web-wasm"],
    )
    layout.yank(store, record.name, "1.0.0", "no", layout.now())
    assert layout.index(store)[1].yanked
    assert layout.index(store) == tuple(release.summary for release in layout.all_releases(store))


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b'{"entries": [{"state": 1}]}', b"\xff\xfe"]
)
def test_a_broken_index_heals(
    store: Store, publish: Publish, make_record: MakeRecord, content: bytes
) -> None:
    publish(make_record())
    good = layout.update_index(store)
    standing = store.load("index.json")
    assert standing is not None
    store.replace("index.json", content, standing[1])
    assert layout.index(store) == good
    healed = store.load("index.json")
    assert healed is not None
    assert healed[0] == standing[0]


def test_racing_index_writers_end_with_everything_listed(
    store: Store, publish: Publish, make_record: MakeRecord
) -> None:
    def one(number: int) -> None:
        publish(make_record(variant=f"v{number}"))
        layout.update_index(store)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert [item.variant for item in layout.index(store)] == ["v0", "v1", "v2", "v3"]
