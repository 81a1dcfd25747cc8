"""The pull cache: content-addressed, checked before use, healed by fetching again."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from zoo_client import cache as module
from zoo_client.cache import Cache
from zoo_client.pull import place
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch

DATA = b"TFL3" + bytes(5000)
DIGEST = Digest.of(DATA)


def fill(cache: Cache, data: bytes = DATA) -> Any:
    return cache.fill(Digest.of(data), len(data), lambda start: [data[start:]])


def test_the_layout_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    path = fill(Cache(tmp_path)).path
    assert path == tmp_path / "blobs" / "sha256" / DIGEST[:2] / DIGEST
    assert path.stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "partial").iterdir()) == []


def test_what_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert fill(cache).fetched

    def never(start: int) -> list[bytes]:
        raise AssertionError("fetched again")

    assert not cache.fill(DIGEST, len(DATA), never).fetched


def test_wrong_bytes_leave_nothing_behind(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(DigestMismatch) as refused:
        cache.fill(DIGEST, len(DATA), lambda _: [b"!" * len(DATA)])
    assert (refused.value.expected, refused.value.actual) == (DIGEST, Digest.of(b"!" * len(DATA)))
    assert cache.blobs() == ()
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_part_that_was_wrong_is_fetched_from_the_start(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    part = tmp_path / "partial" / f"{DIGEST}.part"
    part.parent.mkdir()
    part.write_bytes(b"not the beginning of it")
    assert fill(cache).path.read_bytes() == DATA


def test_a_damaged_entry_is_put_aside_and_fetched_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = fill(cache).path
    path.chmod(0o644)
    path.write_bytes(b"rotten")
    filled = fill(cache)
    assert filled.fetched
    assert filled.path.read_bytes() == DATA
    assert filled.damage.found == Digest.of(b"rotten")
    assert filled.damage.quarantined.read_bytes() == b"rotten"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of everything that is hashed, but for what a test itself spells with `Digest.of`."""
    sizes: list[int] = []
    plain, whole = hashlib.sha256, hashlib.file_digest

    class Counting:
        def __init__(self, data: bytes = b"") -> None:
            self._hasher = plain(data)

        def update(self, data: bytes) -> None:
            sizes.append(len(data))
            self._hasher.update(data)

        def hexdigest(self) -> str:
            return self._hasher.hexdigest()

    def file_digest(stream: Any, name: str) -> Any:
        sizes.append(os.fstat(stream.fileno()).st_size)
        return whole(stream, name)

    monkeypatch.setattr(hashlib, "sha256", Counting)
    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return sizes


def test_a_pull_hashes_its_bytes_once_fresh_or_cached(tmp_path: Path, hashed: list[int]) -> None:
    cache, to = Cache(tmp_path / "cache"), tmp_path / "m.tflite"
    place(fill(cache), to, DIGEST)
    assert sum(hashed) == len(DATA)
    to.unlink()
    place(fill(cache), to, DIGEST)
    assert sum(hashed) == 2 * len(DATA)
    assert to.read_bytes() == DATA
    assert to.stat().st_mode & 0o777 == 0o644
    assert to.stat().st_ino != cache.path(DIGEST).stat().st_ino


def test_a_download_that_goes_on_reads_what_it_has_once_more(
    tmp_path: Path, hashed: list[int]
) -> None:
    part = tmp_path / "partial" / f"{DIGEST}.part"
    part.parent.mkdir()
    part.write_bytes(DATA[:3000])
    started: list[int] = []

    def rest(start: int) -> list[bytes]:
        started.append(start)
        return [DATA[start:]]

    assert Cache(tmp_path).fill(DIGEST, len(DATA), rest).path.read_bytes() == DATA
    assert (started, hashed) == ([3000], [3000, len(DATA) - 3000])


def test_a_blob_that_changes_after_it_was_hashed_is_placed_nowhere(tmp_path: Path) -> None:
    cache, to = Cache(tmp_path / "cache"), tmp_path / "m.tflite"
    to.write_bytes(b"what stood there")
    filled = fill(cache)
    filled.path.chmod(0o644)
    filled.path.write_bytes(bytes(len(DATA)))
    with pytest.raises(DigestMismatch):
        place(filled, to, DIGEST)
    assert to.read_bytes() == b"what stood there"


def test_where_the_kernel_copies_nothing_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "copy_file_range")
    place(fill(Cache(tmp_path / "cache")), tmp_path / "m.tflite", DIGEST)
    assert (tmp_path / "m.tflite").read_bytes() == DATA


def test_two_who_write_one_part_without_a_lock_keep_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "alone", lambda _: nullcontext())

    def shared(start: int) -> Iterator[bytes]:
        yield DATA[start:2000]
        with (tmp_path / "partial" / f"{DIGEST}.part").open("ab") as other:
            other.write(b"somebody else's")
        yield DATA[2000:]

    with pytest.raises(DigestMismatch):
        Cache(tmp_path).fill(DIGEST, len(DATA), shared)
    assert Cache(tmp_path).blobs() == ()


def test_two_who_want_the_same_download_it_once(tmp_path: Path) -> None:
    fetched: list[int] = []
    ready = threading.Barrier(2)

    def slow(start: int) -> list[bytes]:
        fetched.append(start)
        time.sleep(0.05)
        return [DATA[start:]]

    def want() -> None:
        ready.wait()
        Cache(tmp_path).fill(DIGEST, len(DATA), slow)

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [0]


KILLED = """
import os, signal, sys
from pathlib import Path
from zoo_client.cache import Cache
from zoo_registry.model.digest import Digest

data = bytes(range(256)) * 4096


def pieces(start):
    Path(sys.argv[1], "asked").open("a").write(f"{start}\\n")
    for at in range(start, len(data), 1 << 16):
        if at == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield data[at : at + (1 << 16)]


Cache(Path(sys.argv[1])).fill(Digest.of(data), len(data), pieces)
"""


@pytest.mark.process
def test_a_killed_download_goes_on_and_many_who_want_it_fetch_the_rest_once(tmp_path: Path) -> None:
    def start(at: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(at)])

    assert start(1 << 19).wait() == -signal.SIGKILL
    many = [start(-1) for _ in range(6)]
    assert [process.wait() for process in many] == [0] * 6
    first, *rest = map(int, (tmp_path / "asked").read_text().split())
    assert first == 0
    assert len(rest) == 1
    assert 0 < rest[0] <= 1 << 19
    [blob] = Cache(tmp_path).blobs()
    assert Cache(tmp_path).verify() == ()
    assert Cache(tmp_path).path(blob).stat().st_size == 1 << 20


def test_verify_finds_rotten_blobs_and_records(tmp_path: Path, make_record: Any) -> None:
    cache = Cache(tmp_path)
    path = fill(cache).path
    cache.keep_record(make_record().to_bytes())
    assert cache.verify() == ()
    path.chmod(0o644)
    path.write_bytes(b"rotten")
    [record] = (tmp_path / "records").iterdir()
    record.write_bytes(record.read_bytes() + b" ")
    assert {damage.digest for damage in cache.verify()} == {DIGEST, record.stem}
    assert cache.verify() == ()
    assert cache.entries() == ()


def pulled(cache: Cache, make_record: Any, variant: str, days_ago: int) -> Path:
    data = variant.encode() * 1000
    record = make_record(variant=variant, data=data)
    fill(cache, data)
    cache.keep_record(record.to_bytes())
    path = cache.root / "records" / f"{Digest.of(record.to_bytes())}.json"
    then = time.time() - days_ago * 86400
    os.utime(path, (then, then))
    return cache.path(record.file.sha256)


def test_gc_drops_what_nothing_refers_to_and_what_is_old(tmp_path: Path, make_record: Any) -> None:
    cache = Cache(tmp_path)
    old, new = pulled(cache, make_record, "aa", 30), pulled(cache, make_record, "bb", 1)
    orphan = fill(cache).path
    (tmp_path / "partial" / "x.part").write_bytes(b"half")
    planned = cache.gc(older_than=timedelta(days=7), dry_run=True)
    assert old.exists()
    freed = cache.gc(older_than=timedelta(days=7))
    assert freed == planned
    assert freed.records == ("digits-cnn-aa@1.0.0",)
    assert [path.exists() for path in (old, orphan, new)] == [False, False, True]
    assert [entry.record.variant for entry in cache.entries()] == ["bb"]


def test_gc_keeps_the_last_used_that_fit(tmp_path: Path, make_record: Any) -> None:
    cache = Cache(tmp_path)
    oldest, middle, newest = (
        pulled(cache, make_record, name, days) for name, days in (("aa", 3), ("bb", 2), ("cc", 1))
    )
    cache.gc(max_size=4000)
    assert [path.exists() for path in (oldest, middle, newest)] == [False, True, True]


def test_what_people_drop_into_the_folder_does_no_harm(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "notes.json").write_text("{}")
    (tmp_path / "blobs" / "sha256" / "zz").mkdir(parents=True)
    (tmp_path / "blobs" / "sha256" / "zz" / "readme.txt").write_text("hello")
    assert cache.entries() == ()
    assert cache.verify() == ()
    assert cache.gc().blobs == ()
