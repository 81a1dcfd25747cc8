"""Downloads that go on where they stopped.

Nothing here is trusted: whoever reads the finished file hashes it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo_registry.model.errors import Unreachable

Source = Callable[[int], Iterable[bytes]]
Advance = Callable[[int], None]

TRIES = 4
PAUSE_S = 0.2


def ignore(count: int) -> None:
    """Report progress to nobody."""


def download(source: Source, part: Path, size: int, advance: Advance = ignore) -> None:
    """Bring `part` to `size` bytes, going on after the bytes it has.

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
    tries = TRIES
    advance(_usable(part, size))
    while (have := _usable(part, size)) < size:
        failure = _append(source, have, part, size, advance)
        if _usable(part, size) > have:
            tries = TRIES
            continue
        tries -= 1
        if not tries:
            again = "run the same command again: it goes on from there"
            raise failure or Unreachable(
                f"the connection ended after {have} of {size} bytes", hint=again
            )
        time.sleep(PAUSE_S * (TRIES - tries))
    part.touch()


def _usable(part: Path, size: int) -> int:
    """Size of what is there; a file longer than it can be is thrown away."""
    have = part.stat().st_size if part.exists() else 0
    if have <= size:
        return have
    part.unlink()
    return 0


def _append(
    source: Source, have: int, part: Path, size: int, advance: Advance
) -> Unreachable | None:
    """Add what comes; give back how the connection failed, if it did."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as out:
        try:
            for piece in source(have):
                if out.tell() + len(piece) > size:
                    break
                out.write(piece)
                advance(len(piece))
            else:
                return None
        except Unreachable as failure:
            return failure
    part.unlink()
    raise Unreachable(f"the other side sent more than the {size} bytes that the record promises")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process downloads the same.

    Only saves bandwidth, so a platform without locks goes on without.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
