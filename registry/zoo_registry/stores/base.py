"""What every store can do, and the rules all of them share.

A store knows nothing of releases (`layout` does): it keeps **blobs** under their sha256 and small
JSON **documents** under names such as `releases/digits-cnn-int8/1.0.0.json`. What goes in under a
digest comes out under it, or not at all. The one hard thing asked of a store is `create`: of any
number of racing writers of one new document, exactly one is told True.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, NotFound, TooLarge, WrongUse
from zoo_registry.model.files import copy_verified

BLOB_LIMIT = 4 << 30
DOCUMENT_LIMIT = 64 << 20
_SPOOL = 8 << 20
_PART = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"
_KEY = re.compile(rf"(?!blobs/)(?:{_PART}/){{0,4}}{_PART}\.json")
_PREFIX = re.compile(rf"(?!blobs/)(?:{_PART}/){{0,4}}")


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One stored blob: its digest, its size in bytes.

    `modified` says when it was stored (seconds since the epoch).
    """

    digest: Digest
    size: int
    modified: float


class Store(Protocol):
    """Blobs by digest and documents by name.

    Every method raises `Unreachable` when the other side does not answer, and `Forbidden` when it
    does not let us.
    """

    url: str

    def put(self, pieces: Iterable[bytes], digest: Digest, *, limit: int = BLOB_LIMIT) -> BlobInfo:
        """Keep `pieces` under `digest`, reading once and hashing as they pass.

        Atomic and idempotent.

        Raises:
            DigestMismatch: the bytes hash to something else; nothing is kept.
            TooLarge: more than `limit` bytes came; nothing is kept.
        """

    def stat(self, digest: Digest) -> BlobInfo | None:
        """Say how large a blob is, or None when it is not here. Looks, does not hash."""

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Stream the bytes from `start` up to, not including, `end`.

        A whole blob is hashed as it passes.

        Raises:
            NotFound: it is not here (raised by the call, before the first piece).
            DigestMismatch: a whole blob was read and its bytes changed on disk; raised before the
                last piece is given.
        """

    def delete(self, digest: Digest) -> None:
        """Drop a blob; one that is not here is no error."""

    def digests(self) -> Iterator[BlobInfo]:
        """List all blobs, in no order."""

    def presign(self, digest: Digest, seconds: int) -> str | None:
        """Give an address from which anyone may fetch the blob for `seconds`.

        None where there is no such thing.
        """

    def create(self, key: str, data: bytes) -> bool:
        """Write a new document; False, and nothing changed, when there is one.

        Exactly one of racing writers gets True.

        Raises:
            WrongUse: the key is not a document's name.
            Unsupported: the other side cannot promise that.
        """

    def load(self, key: str) -> tuple[bytes, str] | None:
        """Read a document and its etag, or None when there is none."""

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write a document if it still is at `etag` (None: if it still is absent).

        False when somebody was faster.
        """

    def remove(self, key: str) -> None:
        """Drop a document; one that is not here is no error."""

    def keys(self, prefix: str) -> Iterator[str]:
        """List the documents below `prefix`, which is empty or ends in a slash; sorted."""


def blob_key(digest: Digest) -> str:
    """Name the place of a blob below the store's root."""
    return f"blobs/sha256/{digest[:2]}/{digest}"


def checked_key(key: str) -> str:
    """Let a document's name through, and nothing that could leave the store's root.

    Raises:
        WrongUse: it is anything else.
    """
    if not _KEY.fullmatch(key):
        raise WrongUse(
            f"not a document's name: {key!r} (expected parts of letters, digits and . _ + -, ending"
            " in .json)"
        )
    return key


def checked_prefix(prefix: str) -> str:
    """Let a folder of documents through.

    Raises:
        WrongUse: it is anything else.
    """
    if not _PREFIX.fullmatch(prefix):
        raise WrongUse(
            f"not a folder of documents: {prefix!r} (expected parts of letters, digits and . _ + -,"
            " ending in a slash)"
        )
    return prefix


def missing(digest: Digest, url: str) -> NotFound:
    """Say that a blob is not here."""
    return NotFound(
        f"no blob sha256:{digest} in {url}",
        hint="zoo registry verify   # lists what is missing or damaged",
    )


def checked_range(info: BlobInfo, start: int, end: int | None) -> tuple[int, int]:
    """Cut a range to the size of the blob.

    Raises:
        WrongUse: it starts before the first byte.
    """
    if start < 0 or (end is not None and end < 0):
        raise WrongUse(f"not a range of bytes: {start} to {end}")
    return start, info.size if end is None else min(end, info.size)


@contextmanager
def verified(
    pieces: Iterable[bytes], digest: Digest, *, limit: int
) -> Iterator[tuple[BinaryIO, int]]:
    """Take all of `pieces` to a temporary file and give it, rewound, with its size.

    Only if it is `digest`.

    Raises:
        DigestMismatch: the bytes hash to something else.
        TooLarge: more than `limit` bytes came.
    """
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
        size = copy_verified(pieces, spool.write, digest, limit=limit, what="blob")
        spool.seek(0)
        # SpooledTemporaryFile is a BinaryIO in all but its stub
        yield spool, size  # type: ignore[misc]


def guarded(pieces: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    """Pass a whole blob on while hashing it; the last piece comes only when the hash is right.

    Raises:
        DigestMismatch: the stored bytes changed.
    """
    hasher, held = hashlib.sha256(), b""
    for piece in pieces:
        hasher.update(piece)
        if held:
            yield held
        held = piece
    if hasher.hexdigest() != digest:
        raise DigestMismatch(
            "damaged blob", expected=digest, actual=hasher.hexdigest(), hint="zoo registry verify"
        )
    if held:
        yield held


def read_whole(store: Store, digest: Digest, *, limit: int = DOCUMENT_LIMIT) -> bytes:
    """Read a small blob into memory, verified.

    Raises:
        NotFound: it is not here.
        DigestMismatch: its bytes changed.
        TooLarge: it is larger than `limit`.
    """
    info = store.stat(digest)
    if info is not None and info.size > limit:
        raise TooLarge(f"{digest.short}: {info.size} bytes; at most {limit} are read at once")
    return b"".join(store.read(digest))
