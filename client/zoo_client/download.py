"""Downloads that go on where they stopped, and are hashed while they come."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import Unreachable
from zoo_registry.model.files import chunks

Source = Callable[[int], Iterable[bytes]]
Advance = Callable[[int], None]

TRIES = 4
PAUSE_S = 0.2


def ignore(count: int) -> None:
    """Report progress to nobody."""


def download(source: Source, part: Path, size: int, advance: Advance = ignore) -> Digest:
    """Bring `part` to `size` bytes, going on after the bytes it has; give the digest of all.

    Cut connections are picked up a few times.

    Args:
        source: gives the bytes from an offset on.
        part: the unfinished file; kept when this fails, so that the next call continues.
        size: how many bytes the record promises.
        advance: told the size of every piece.

    Raises:
        Unreachable: the other side stopped answering (the file keeps what came), or sent more than
            `size` (it keeps nothing).
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("a+b") as out:
        taken = _Taken(out, size)
        advance(taken.count)
        tries = TRIES
        while taken.count < size:
            before = taken.count
            failure = _append(source, taken, part, advance)
            tries = TRIES if taken.count > before else tries - 1
            if not tries:
                again = "run the same command again: it goes on from there"
                raise failure or Unreachable(
                    f"the connection ended after {taken.count} of {size} bytes", hint=again
                )
            time.sleep(PAUSE_S * (TRIES - tries))
        out.flush()
        os.fsync(out.fileno())
    return taken.digest


@dataclass(slots=True)
class _Taken:
    """What is in the file, hashed: what it had before, which must be read again, then every piece.

    A file longer than it can be begins anew.
    """

    out: BinaryIO
    size: int
    count: int = 0
    _hasher: Any = field(init=False)

    def __post_init__(self) -> None:
        self._hasher = hashlib.sha256()
        if self.out.seek(0, os.SEEK_END) > self.size:
            self.out.truncate(0)
        self.out.seek(0)
        for piece in chunks(self.out):
            self._hash(piece)

    def _hash(self, piece: bytes) -> None:
        self._hasher.update(piece)
        self.count += len(piece)

    def add(self, piece: bytes) -> None:
        """Write one more piece."""
        self.out.write(piece)
        self._hash(piece)

    @property
    def digest(self) -> Digest:
        """Sha256 of all of it."""
        return Digest(self._hasher.hexdigest())


def _append(source: Source, taken: _Taken, part: Path, advance: Advance) -> Unreachable | None:
    """Add what comes; give back how the connection failed, if it did."""
    try:
        for piece in source(taken.count):
            if taken.count + len(piece) > taken.size:
                break
            taken.add(piece)
            advance(len(piece))
        else:
            return None
    except Unreachable as failure:
        return failure
    part.unlink()
    raise Unreachable(
        f"the other side sent more than the {taken.size} bytes that the record promises"
    )


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process downloads the same.

    Only saves bandwidth, so a place without locks (some network file systems) goes on without.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    with suppress(NotImplementedError, OSError):
        held.acquire()
    try:
        yield
    finally:
        held.release()
