"""Uploads that can be taken up again.

Bytes come into a part file, and reach the store once they are all there and are what they claim.

spool/<id>.part     what has come so far; its length is the offset to go on from
"""

import fcntl
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, delete, insert, select

from zoo_registry.catalogue.engine import reading, writing
from zoo_registry.catalogue.schema import uploads
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import AnswerIsNo, DigestMismatch, NotFound, TooLarge
from zoo_registry.model.files import chunks
from zoo_registry.stores.base import Store
from zoo_registry.stores.layout import now, stamp

_ID = re.compile(r"[0-9a-f]{32}")


class Upload(BaseModel):
    """An upload: send the bytes from `offset` on to `/v1/uploads/{id}`.

    Nothing is left to do when it is `done`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: Digest
    size: int
    offset: int
    done: bool


class PartFile:
    """The part file of one upload, open for the next piece. Nobody else writes to it meanwhile."""

    def __init__(self, upload: Upload, stream: BinaryIO) -> None:
        self.upload, self._stream, self.offset = upload, stream, upload.offset

    def write(self, piece: bytes) -> None:
        """Append bytes.

        Raises:
            TooLarge: more came than the upload announced; the surplus is not kept.
        """
        if self.offset + len(piece) > self.upload.size:
            raise TooLarge(
                f"upload {self.upload.id}: more than the announced {self.upload.size} bytes"
            )
        self._stream.write(piece)
        self.offset += len(piece)


class Uploads:
    """All uploads under way, in a folder and a table."""

    def __init__(self, engine: Engine, store: Store, spool: Path, limit: int) -> None:
        self._engine, self._store, self._spool, self._limit = engine, store, spool, limit

    def begin(self, digest: Digest, size: int) -> Upload:
        """Announce a blob. One that is in the store already is done at once.

        Raises:
            TooLarge: the registry takes no blob of that size.
        """
        if size > self._limit:
            raise TooLarge(
                f"a blob of {size} bytes; this registry takes at most {self._limit}",
                hint="ZOO_MAX_BLOB=8GB zoo serve",
            )
        identity = secrets.token_hex(16)
        standing = self._store.stat(digest)
        if standing is not None and standing.size == size:
            return Upload(id=identity, sha256=digest, size=size, offset=size, done=True)
        with writing(self._engine) as connection:
            connection.execute(
                insert(uploads).values(id=identity, sha256=digest, size=size, created=stamp(now()))
            )
        return Upload(id=identity, sha256=digest, size=size, offset=0, done=False)

    def status(self, identity: str) -> Upload:
        """Say how far an upload is.

        Raises:
            NotFound: there is no such upload, or it is done.
        """
        row = None
        if _ID.fullmatch(identity):
            with reading(self._engine) as connection:
                row = connection.execute(
                    select(uploads).where(uploads.c.id == identity)
                ).one_or_none()
        if row is None:
            raise NotFound(
                f"no upload {identity!r} is under way", hint="POST /v1/uploads   # announces one"
            )
        path = self._path(identity)
        return Upload(
            id=identity,
            sha256=Digest(row.sha256),
            size=row.size,
            offset=path.stat().st_size if path.exists() else 0,
            done=False,
        )

    @contextmanager
    def receiving(self, identity: str, start: int) -> Iterator[PartFile]:
        """Open an upload for bytes from `start` on.

        What came before the block ended, however it ended, is kept.

        Raises:
            NotFound: there is no such upload.
            AnswerIsNo: it is not at `start`, or another request is sending it.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        self.status(identity)
        with self._path(identity).open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AnswerIsNo(
                    f"another request is sending upload {identity}",
                    hint="wait for it, then ask for the offset",
                ) from error
            upload = self.status(identity)
            if start == 0 and upload.offset:
                stream.truncate(0)
                upload = upload.model_copy(update={"offset": 0})
            if start != upload.offset:
                raise AnswerIsNo(
                    f"upload {identity} is at byte {upload.offset}, not {start}",
                    hint=f"send from byte {upload.offset} on",
                )
            yield PartFile(upload, stream)

    def finish(self, identity: str) -> Upload:
        """Take an upload into the store when all its bytes are here; until then say how far it is.

        Raises:
            DigestMismatch: the bytes are not what was announced; the upload is dropped.
        """
        upload = self.status(identity)
        if upload.offset < upload.size:
            return upload
        path = self._path(identity)
        path.touch()
        try:
            with path.open("rb") as stream:
                self._store.put(chunks(stream), upload.sha256, limit=upload.size)
        except DigestMismatch:
            self.drop(identity)
            raise
        self.drop(identity)
        return upload.model_copy(update={"done": True})

    def drop(self, identity: str) -> None:
        """Forget an upload and what came of it."""
        with writing(self._engine) as connection:
            connection.execute(delete(uploads).where(uploads.c.id == identity))
        self._path(identity).unlink(missing_ok=True)

    def sweep(self, grace_s: float) -> int:
        """Drop uploads that nobody has added to for `grace_s` seconds; give how many."""
        with reading(self._engine) as connection:
            known = connection.execute(select(uploads.c.id, uploads.c.created)).all()
        cutoff = time.time() - grace_s
        stale = [row.id for row in known if self._touched(row.id, row.created) <= cutoff]
        for identity in stale:
            self.drop(identity)
        return len(stale)

    def _touched(self, identity: str, created: str) -> float:
        path = self._path(identity)
        return (
            path.stat().st_mtime if path.exists() else datetime.fromisoformat(created).timestamp()
        )

    def _path(self, identity: str) -> Path:
        return self._spool / f"{identity}.part"
