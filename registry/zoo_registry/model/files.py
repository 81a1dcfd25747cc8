"""The only disk access of the shared words: files that appear whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, TooLarge

CHUNK = 1 << 20
_AT_ONCE = 1 << 30


def digest_file(path: Path) -> Digest:
    """Hash a file without reading it into memory."""
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


@contextmanager
def appearing(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a new file beside `path` that takes its name only when the block ends well.

    The bytes are flushed to disk before the rename, and so is the folder after it; a crash at any
    moment leaves the old file or the new one, and at worst a `.tmp` file that nobody reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where the platform can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path` so that it appears whole or not at all."""
    with appearing(path, mode=mode) as stream:
        stream.write(data)


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Read a stream piece by piece."""
    while piece := stream.read(CHUNK):
        yield piece


def stamp(file: Path | BinaryIO) -> tuple[int, int, int]:
    """Give what changes when a file's bytes do: inode, size, time of the last change."""
    found = file.stat() if isinstance(file, Path) else os.fstat(file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns


def clone(source: BinaryIO, out: BinaryIO) -> None:
    """Copy a file inside the kernel: without a byte moved where the file system shares blocks.

    What the kernel leaves is copied by hand. That is everything on other platforms, between some
    file systems, and where a file system answers "nothing copied" instead of an error.
    """
    with suppress(AttributeError, OSError):
        while os.copy_file_range(source.fileno(), out.fileno(), _AT_ONCE):
            pass
    shutil.copyfileobj(source, out, CHUNK)


def keep_verified(pieces: Iterable[bytes], path: Path, digest: Digest, *, limit: int) -> int:
    """Write `pieces` to `path`, hashing as they pass.

    The file appears, read-only, only if it is `digest`.

    Returns:
        The number of bytes.

    Raises:
        DigestMismatch: the bytes hash to something else; nothing is kept.
        TooLarge: more than `limit` bytes came; nothing is kept.
    """
    with appearing(path, mode=0o444) as out:
        return copy_verified(pieces, out.write, digest, limit=limit, what=path.name)


def copy_verified(
    pieces: Iterable[bytes],
    write: Callable[[bytes], object],
    digest: Digest,
    *,
    limit: int,
    what: str,
) -> int:
    """Give each of `pieces` to `write`, hashing as they pass; return the number of bytes.

    What was written counts only if this returns.

    Raises:
        DigestMismatch: the bytes hash to something else; the message calls them `what`.
        TooLarge: more than `limit` bytes came; the rest is not taken.
    """
    hasher, size = hashlib.sha256(), 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"{digest.short}: more than {limit} bytes")
        hasher.update(piece)
        write(piece)
    if hasher.hexdigest() != digest:
        raise DigestMismatch(what, expected=digest, actual=hasher.hexdigest())
    return size
