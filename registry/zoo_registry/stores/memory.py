"""A store that lives and dies with the process: for tests and for trying things out."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator

from zoo_registry.model.digest import Digest
from zoo_registry.model.files import CHUNK
from zoo_registry.stores import store
from zoo_registry.stores.base import (
    BLOB_LIMIT,
    BlobInfo,
    checked_key,
    checked_prefix,
    checked_range,
    guarded,
    missing,
    verified,
)


@store("memory")
class MemoryStore:
    """Blobs and documents in two dictionaries."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._blobs: dict[Digest, tuple[bytes, float]] = {}
        self._documents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, pieces: Iterable[bytes], digest: Digest, *, limit: int = BLOB_LIMIT) -> BlobInfo:
        """See `Store.put`."""
        with verified(pieces, digest, limit=limit) as (stream, size):
            _, modified = self._blobs.setdefault(digest, (stream.read(), time.time()))
        return BlobInfo(digest, size, modified)

    def stat(self, digest: Digest) -> BlobInfo | None:
        """See `Store.stat`."""
        found = self._blobs.get(digest)
        return BlobInfo(digest, len(found[0]), found[1]) if found else None

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Store.read`."""
        info = self.stat(digest)
        if info is None:
            raise missing(digest, self.url)
        first, last = checked_range(info, start, end)
        data = self._blobs[digest][0]
        pieces = (data[at : min(at + CHUNK, last)] for at in range(first, last, CHUNK))
        return guarded(pieces, digest) if (first, last) == (0, info.size) else pieces

    def delete(self, digest: Digest) -> None:
        """See `Store.delete`."""
        self._blobs.pop(digest, None)

    def digests(self) -> Iterator[BlobInfo]:
        """See `Store.digests`."""
        return iter(
            [
                BlobInfo(digest, len(data), modified)
                for digest, (data, modified) in list(self._blobs.items())
            ]
        )

    # - the protocol's signature
    def presign(self, digest: Digest, seconds: int) -> str | None:  # noqa: ARG002
        """See `Store.presign`: never here."""
        return None

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`."""
        return self.replace(key, data, None)

    def load(self, key: str) -> tuple[bytes, str] | None:
        """See `Store.load`."""
        data = self._documents.get(checked_key(key))
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """See `Store.replace`."""
        with self._lock:
            found = self.load(key)
            if (found[1] if found else None) != etag:
                return False
            self._documents[key] = bytes(data)
        return True

    def remove(self, key: str) -> None:
        """See `Store.remove`."""
        self._documents.pop(checked_key(key), None)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        start = checked_prefix(prefix)
        return iter(sorted(key for key in list(self._documents) if key.startswith(start)))
