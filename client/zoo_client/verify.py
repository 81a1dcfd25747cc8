"""Check bytes against the record that speaks of them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo_client.cache import Cache
from zoo_client.download import Advance, ignore
from zoo_client.remotes.base import Remote
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, NotFound, WrongUse
from zoo_registry.model.files import digest_file
from zoo_registry.model.query import Query
from zoo_registry.model.record import Record
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import Release

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Verified:
    """Bytes that are what their record says.

    It says whose they are, their digest, and where the record was found.
    """

    record: Record
    sha256: Digest
    where: str


def verify_release(remote: Remote, release: Release, advance: Advance = ignore) -> Verified:
    """Fetch every blob of a release anew, past the cache, and hash it.

    Raises:
        DigestMismatch: the remote gives other bytes than the record says.
        NotFound: it no longer has them.
    """
    record = release.record
    for digest in record.blobs:
        _hash(remote, digest, release, advance)
    return Verified(record, record.file.sha256, remote.url)


def _hash(remote: Remote, digest: Digest, release: Release, advance: Advance) -> None:
    hasher = hashlib.sha256()
    for piece in remote.fetch(digest):
        hasher.update(piece)
        advance(len(piece))
    if hasher.hexdigest() != digest:
        part = "file" if digest == release.record.file.sha256 else "golden vectors"
        raise DigestMismatch(
            f"{part} of {release.ref} in {remote.url}", expected=digest, actual=hasher.hexdigest()
        )


def verify_file(path: Path, cache: Cache, connect: Callable[[], Remote]) -> Verified:
    """Hash a file and find the record that speaks of it.

    The one beside it, one in the cache, or one that the remote lists.

    The remote is opened only when it is needed.

    Raises:
        DigestMismatch: the record beside the file speaks of other bytes.
        NotFound: nobody speaks of these bytes.
        WrongUse: it cannot be read.
    """
    try:
        found = digest_file(path)
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror}") from error
    beside = Path(f"{path}.record.json")
    if beside.is_file():
        record = Record.read(beside.read_bytes())
        if record.file.sha256 != found:
            again = f"zoo pull {record.name}@{record.version} --to {path}"
            raise DigestMismatch(
                f"{path} is not {record.name}@{record.version}",
                expected=record.file.sha256,
                actual=found,
                hint=again,
            )
        return Verified(record, found, str(beside))
    for entry in cache.entries():
        if entry.record.file.sha256 == found:
            return Verified(entry.record, found, str(cache.root))
    remote = connect()
    return Verified(_ask(remote, path, found), found, remote.url)


def _ask(remote: Remote, path: Path, digest: Digest) -> Record:
    for name, version in _published(remote, digest):
        return remote.release(Ref(name, version, digest)).record
    raise NotFound(
        f"{path} (sha256:{digest}) is no file that {remote.url} knows",
        hint=f"zoo verify {path} --from URL   # ask another remote",
    )


def _published(remote: Remote, digest: Digest) -> Iterator[tuple[str, str]]:
    """List the releases of a file."""
    query, cursor = Query(all_versions=True, yanked=True), None
    while True:
        page = remote.search(query, limit=_PAGE, cursor=cursor)
        yield from ((item.name, item.version) for item in page.items if item.file_sha256 == digest)
        cursor = page.next_cursor
        if cursor is None:
            return
