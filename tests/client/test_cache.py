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
from zoo_registry.model.files import digest_file

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


def test_what_comes_is_told_while_it_comes(tmp_path: Path) -> None:
    told: list[int] = []
    Cache(tmp_path).fill(
        DIGEST, len(DATA), lambda start: [DATA[start:2000], DATA[2000:]], told.append
    )
    assert sum(told) == len(DATA)
    assert len(told) > 1


def test_records_are_damaged_alone_and_named_otherwise_are_none(
    tmp_path: Path, make_record: Any
) -> None:
    """No blob is here, so nothing has made the quarantine before."""
    cache = Cache(tmp_path / "deep" / "down")
    for variant in ("aa", "bb"):
        cache.keep_record(make_record(variant=variant).to_bytes())
    for record in (cache.root / "records").iterdir():
        record.write_bytes(make_record(variant="zz").to_bytes())
    assert cache.entries() == ()
    found = cache.verify()
    assert {damage.found for damage in found} == {Digest.of(make_record(variant="zz").to_bytes())}
    assert all(damage.quarantined.is_file() for damage in found)
    assert len(found) == 2


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
    found = {damage.digest: damage for damage in cache.verify()}
    assert found.keys() == {DIGEST, record.stem}
    for damage in found.values():
        assert damage.quarantined.parent == tmp_path / "quarantine"
        assert damage.quarantined.name == f"{damage.digest}.{damage.found.short}"
        assert digest_file(damage.quarantined) == damage.found
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


def test_gc_says_what_it_frees_and_takes_what_is_left_over(
    tmp_path: Path, make_record: Any
) -> None:
    cache = Cache(tmp_path)
    kept = pulled(cache, make_record, "aa", 1)
    left_over = [
        tmp_path / "partial" / "x.part",
        tmp_path / "quarantine" / "y.rotten",
        tmp_path / "blobs" / ".old.tmp",
    ]
    for number, path in enumerate(left_over):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 10 ** (number + 1))
    fresh = tmp_path / "records" / ".fresh.tmp"
    fresh.write_bytes(b"somebody writes this now")
    then = time.time() - 1.5 * 86400
    os.utime(left_over[-1], (then, then))
    before = cache.size()
    assert before == sum(p.stat().st_size for p in tmp_path.rglob("[!.]*") if p.is_file())
    assert cache.gc(dry_run=True).size == 1110
    assert cache.gc().size == 1110
    assert [path.exists() for path in (*left_over, fresh, kept)] == [False] * 3 + [True] * 2
    assert cache.size() == before - 110  # temporary files never count


def test_gc_counts_a_file_that_two_records_share_once(tmp_path: Path, make_record: Any) -> None:
    cache, data = Cache(tmp_path), b"shared" * 500
    fill(cache, data)
    for days, variant in enumerate(("aa", "bb", "cc")):
        cache.keep_record(make_record(variant=variant, data=data).to_bytes())
        newest = max((tmp_path / "records").iterdir(), key=lambda path: path.stat().st_mtime)
        then = time.time() - days * 86400
        os.utime(newest, (then, then))
    other = pulled(cache, make_record, "dd", 9)
    assert cache.gc(max_size=len(data) + 2000, dry_run=True).records == ()
    freed = cache.gc(max_size=len(data) + 1999)
    assert freed.records == ("digits-cnn-dd@1.0.0",)
    assert not other.exists()
    assert len(cache.entries()) == 3


def test_gc_passes_over_what_is_too_large_and_keeps_smaller_ones_behind_it(
    tmp_path: Path, make_record: Any
) -> None:
    cache = Cache(tmp_path)
    large, small = b"large" * 4000, pulled(cache, make_record, "bb", 5)
    fill(cache, large)
    cache.keep_record(make_record(variant="aa", data=large).to_bytes())
    assert cache.gc(max_size=3000).records == ("digits-cnn-aa@1.0.0",)
    assert small.exists()


def test_a_record_that_is_used_again_is_new_again(tmp_path: Path, make_record: Any) -> None:
    cache = Cache(tmp_path)
    pulled(cache, make_record, "aa", 30)
    data = b"aa" * 1000
    cache.keep_record(make_record(variant="aa", data=data).to_bytes())
    assert cache.gc(older_than=timedelta(days=7)).records == ()
    [record] = (tmp_path / "records").iterdir()
    assert record.stat().st_mode & 0o777 == 0o644


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
