"""Pull one artifact: resolve, fetch into the cache, check.

Only then it appears where it was asked for.
"""

from dataclasses import dataclass
from pathlib import Path

from zoo_client.cache import Cache, Damage, Filled
from zoo_client.download import Advance, ignore
from zoo_client.remotes.base import Remote
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, WrongUse, Yanked, from_problem
from zoo_registry.model.files import appearing, clone, digest_file, stamp
from zoo_registry.model.record import Record
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import Release


@dataclass(frozen=True, slots=True)
class Pulled:
    """A file that is now where it was asked for, and is what its record says.

    Attributes:
        release: what was pulled.
        path: where it is.
        source: address of the remote.
        fetched: False when the cache had it.
        damage: a cache entry that was found damaged on the way and replaced, if any.
    """

    release: Release
    path: Path
    source: str
    fetched: bool
    damage: Damage | None

    @property
    def record(self) -> Record:
        """The record of the file."""
        return self.release.record


def find(remote: Remote, ref: Ref, *, allow_yanked: bool = False) -> Release:
    """Look up a release that may be used.

    Raises:
        NotFound: there is none.
        Yanked: it was withdrawn; the message says why.
    """
    release = remote.release(ref)
    if release.yanked and not allow_yanked:
        raise Yanked(
            f"{release.ref} was withdrawn: {release.yank_reason}",
            hint=(
                f"zoo pull {release.record.name}   # the newest that stands; --allow-yanked takes"
                " this one all the same"
            ),
        )
    return release


def pull(
    remote: Remote,
    cache: Cache,
    release: Release,
    to: Path | None = None,
    *,
    advance: Advance = ignore,
) -> Pulled:
    """Bring a release's file to `to` (a file, or a folder; default `./<name>.tflite`), verified.

    Whatever stood there before stays intact until the new bytes are complete and right, and for
    ever if they never are.

    Raises:
        DigestMismatch: the remote gives other bytes than the record says.
        Unreachable: the download was cut; the same call goes on from there.
        WrongUse: `to` cannot be written.
    """
    record = release.record
    digest = record.file.sha256
    try:
        filled = cache.fill(
            digest, record.file.size, lambda start: remote.fetch(digest, start=start), advance
        )
    except DigestMismatch as error:
        again = (
            f"zoo verify {release.ref} --from {remote.url}   # whether it still is so; nothing was"
            " written here"
        )
        raise from_problem(
            error.slug, f"{release.ref} from {remote.url}: {error.message}", again
        ) from error
    cache.keep_record(release.record_bytes)
    path = destination(record, to)
    place(filled, path, digest)
    return Pulled(release, path, remote.url, filled.fetched, filled.damage)


def destination(record: Record, to: Path | None) -> Path:
    """Decide where the file goes. The name is ours, never one that the other side chose."""
    name = f"{record.name}.tflite"
    if to is None:
        return Path(name)
    return to / name if to.is_dir() else to


def place(filled: Filled, to: Path, digest: Digest) -> None:
    """Copy a blob so that it appears whole, and only if it still is what was hashed.

    A file that is right already is left alone.

    Raises:
        DigestMismatch: the blob changed under us.
        WrongUse: `to` cannot be written.
    """
    _, size, _ = filled.stamp
    try:
        if to.is_file() and to.stat().st_size == size and digest_file(to) == digest:
            return
        with filled.path.open("rb") as source, appearing(to) as out:
            clone(source, out)
            if stamp(source) != filled.stamp:
                found = digest_file(filled.path)
                raise DigestMismatch(
                    str(filled.path), expected=digest, actual=found, hint="zoo cache verify"
                )
    except OSError as error:
        raise WrongUse(
            f"cannot write {to}: {error.strerror}", hint="zoo pull … --to PATH   # another place"
        ) from error
