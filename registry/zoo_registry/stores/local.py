"""A store in a folder. Several processes may use it at once.

Blobs and new documents appear by a hard link or a rename, so that they are whole or absent at any
moment; a document is replaced under a lock (`flock` on the file `.lock`), because comparing and
swapping are two steps on a file system.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import Forbidden, Unreachable, WrongUse
from zoo_registry.model.files import CHUNK, appearing, keep_verified, sync_folder
from zoo_registry.stores import store
from zoo_registry.stores.base import (
    BLOB_LIMIT,
    BlobInfo,
    blob_key,
    checked_key,
    checked_prefix,
    checked_range,
    guarded,
    missing,
)

_HEX_LENGTH = 64


def _folder(url: str) -> Path:
    if "://" not in url:
        return Path(url).absolute()
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise WrongUse(
            f"not a folder: {url!r}",
            hint="write an absolute path behind three slashes, such as file:///srv/zoo",
        )
    return Path(unquote(parts.path))


@store("file")
class LocalStore:
    """Blobs and documents as files below one folder."""

    def __init__(self, url: str) -> None:
        self.root = _folder(url)
        self.url = self.root.as_uri()

    @contextmanager
    def _adapting(self) -> Iterator[None]:
        """Let no `OSError` past this file."""
        try:
            yield
        except PermissionError as error:
            raise Forbidden(
                f"{self.url}: {error.strerror}: {error.filename}", hint=f"ls -ld {self.root}"
            ) from error
        except OSError as error:
            raise Unreachable(
                f"{self.url}: {error}",
                hint=f"df -h {self.root}   # space left, and whether it is mounted",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _blob(self, digest: Digest) -> Path:
        return self.root / blob_key(digest)

    def put(self, pieces: Iterable[bytes], digest: Digest, *, limit: int = BLOB_LIMIT) -> BlobInfo:
        """See `Store.put`. Bytes that are here already are written again.

        It heals a damaged blob.
        """
        path = self._blob(digest)
        with self._adapting():
            size = keep_verified(_passing_errors(pieces), path, digest, limit=limit)
            return BlobInfo(digest, size, path.stat().st_mtime)

    def stat(self, digest: Digest) -> BlobInfo | None:
        """See `Store.stat`."""
        with self._adapting():
            try:
                found = self._blob(digest).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return BlobInfo(digest, found.st_size, found.st_mtime)

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Store.read`."""
        info = self.stat(digest)
        if info is None:
            raise missing(digest, self.url)
        first, last = checked_range(info, start, end)
        pieces = self._pieces(digest, first, last)
        return guarded(pieces, digest) if (first, last) == (0, info.size) else pieces

    def _pieces(self, digest: Digest, start: int, end: int) -> Iterator[bytes]:
        with self._adapting(), self._blob(digest).open("rb") as stream:
            stream.seek(start)
            left = end - start
            while left > 0 and (piece := stream.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece

    def delete(self, digest: Digest) -> None:
        """See `Store.delete`."""
        with self._adapting():
            self._blob(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[BlobInfo]:
        """See `Store.digests`."""
        with self._adapting():
            names = [path.name for path in (self.root / "blobs" / "sha256").glob("??/*")]
        found = (self.stat(Digest(name)) for name in names if len(name) == _HEX_LENGTH)
        return (info for info in found if info is not None)

    # - the protocol's signature
    def presign(self, digest: Digest, seconds: int) -> str | None:  # noqa: ARG002
        """See `Store.presign`: never here."""
        return None

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`: a hard link to a finished file.

        The file system grants the link to one writer only.
        """
        path = self.root / checked_key(key)
        with self._adapting():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(prefix=".new.", dir=path.parent) as finished:
                finished.write(data)
                finished.flush()
                os.fsync(finished.fileno())
                Path(finished.name).chmod(0o644)
                try:
                    path.hardlink_to(finished.name)
                except FileExistsError:
                    return False
            sync_folder(path.parent)
        return True

    def load(self, key: str) -> tuple[bytes, str] | None:
        """See `Store.load`."""
        path = self.root / checked_key(key)
        with self._adapting():
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return data, hashlib.sha256(data).hexdigest()

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """See `Store.replace`."""
        if etag is None:
            return self.create(key, data)
        with self._adapting(), self._locked():
            found = self.load(key)
            if found is None or found[1] != etag:
                return False
            with appearing(self.root / key) as out:
                out.write(data)
        return True

    def remove(self, key: str) -> None:
        """See `Store.remove`."""
        with self._adapting(), suppress(FileNotFoundError, NotADirectoryError):
            (self.root / checked_key(key)).unlink()

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        base = self.root / checked_prefix(prefix)
        found = []
        with self._adapting():
            for folder, folders, files in os.walk(base):
                if Path(folder) == self.root:
                    folders[:] = [name for name in folders if name != "blobs"]
                found += [
                    str((Path(folder) / name).relative_to(self.root))
                    for name in files
                    if name.endswith(".json") and name[0] != "."
                ]
        return iter(sorted(found))


def _passing_errors(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Keep an `OSError` of whoever sends the bytes apart from one of this folder."""
    try:
        yield from pieces
    except OSError as error:
        raise Unreachable(f"the bytes stopped coming: {error}") from error
