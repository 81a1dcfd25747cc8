"""Writers of one document at the same moment, with the window between look and write held open."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from zoo_registry.stores import open_store

WRITERS = 5


@contextmanager
def switching_all_the_time() -> Iterator[None]:
    """Let threads take turns after every few operations, so that no window is too small to hit."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_a_folder_grants_a_document_to_one_of_those_who_are_ready_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, gate = open_store(tmp_path.as_uri()), Barrier(WRITERS)
    flush = os.fsync

    def wait_for_the_others(handle: int) -> None:
        flush(handle)
        with suppress(BrokenBarrierError):  # the second flush of the winner waits for nobody
            gate.wait(timeout=2)

    monkeypatch.setattr(os, "fsync", wait_for_the_others)
    with ThreadPoolExecutor(WRITERS) as pool:
        won = list(
            pool.map(
                lambda number: store.create("releases/a/1.0.0.json", str(number).encode()),
                range(WRITERS),
            )
        )
    assert won.count(True) == 1
    found = store.load("releases/a/1.0.0.json")
    assert found is not None
    assert found[0] == str(won.index(True)).encode()


def test_memory_grants_a_document_to_one_writer() -> None:
    store = open_store("memory://")
    with switching_all_the_time(), ThreadPoolExecutor(WRITERS) as pool:
        for turn in range(200):
            gate, key = Barrier(WRITERS), f"releases/a/{turn}.0.0.json"

            def create(number: int, gate: Barrier = gate, key: str = key) -> bool:
                gate.wait()
                return store.create(key, str(number).encode())

            assert list(pool.map(create, range(WRITERS))).count(True) == 1


def test_memory_loses_no_update() -> None:
    store = open_store("memory://")
    store.create("index.json", b"0")

    def increment(_: int) -> None:
        while True:
            found = store.load("index.json")
            assert found is not None
            if store.replace("index.json", str(int(found[0]) + 1).encode(), found[1]):
                return

    with switching_all_the_time(), ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(increment, range(300)))
    found = store.load("index.json")
    assert found is not None
    assert found[0] == b"300"
