"""What was pulled, kept by digest and shared by all projects of a user.

    ZOO_CACHE/
    ├── blobs/sha256/ab/abcdef…     whole files, read-only; the name is the content, and it is
                                    hashed again before use
    ├── records/abcdef….json        exact bytes of the records pulled, by their digest; the time of
                                    the file is the last use
    ├── partial/abcdef….part        downloads that were cut; they go on from there
    ├── locks/abcdef….lock          held while one process downloads a blob; saves bandwidth,
                                    nothing rests on it
    └── quarantine/abcdef….<found>  blobs that no longer were what they are called

Any file may be deleted at any time: it is fetched again.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zoo_client.download import Advance, Source, alone, download, ignore
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, InvalidRecord, Unreachable, WrongUse
from zoo_registry.model.files import digest_file, stamp, sync_folder, write_bytes
from zoo_registry.model.record import Record


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that was not what it is called, and where it was put."""

    digest: Digest
    found: Digest
    quarantined: Path


@dataclass(frozen=True, slots=True)
class Filled:
    """A blob that is here now.

    What it was when it was hashed (`files.stamp`), whether it had to be fetched, and the damage
    that was found on the way, if any.
    """

    path: Path
    stamp: tuple[int, int, int]
    fetched: bool
    damage: Damage | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A record in the cache.

    What it speaks of, the bytes of its blobs that are here, when it was last used.
    """

    record: Record
    record_sha256: Digest
    size: int
    used: datetime


@dataclass(frozen=True, slots=True)
class Freed:
    """What a clean-up removed (or would have)."""

    records: tuple[str, ...]
    blobs: tuple[Digest, ...]
    size: int


class Cache:
    """The pull cache under one folder, which need not exist.

    The layout is drawn at the top of this module.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: Digest) -> Path:
        """Where the blob lies, if it is here."""
        return self.root / "blobs" / "sha256" / digest[:2] / digest

    def check(self, digest: Digest) -> Damage | None:
        """Hash a blob; one that is not what it is called goes to the quarantine."""
        path = self.path(digest)
        found = digest_file(path)
        if found == digest:
            return None
        kept = self.root / "quarantine" / f"{digest}.{found.short}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        return Damage(digest, found, kept)

    def fill(self, digest: Digest, size: int, source: Source, advance: Advance = ignore) -> Filled:
        """Download a blob of `size` bytes unless it is here, going on after a cut.

        It appears only if it is `digest`.

        Raises:
            DigestMismatch: the other side gives other bytes; nothing is kept.
            Unreachable: the download was cut; what came is kept and the next call goes on from
                there.
        """
        path, damage = self.path(digest), None
        with alone(self.root / "locks" / f"{digest}.lock"):
            if path.is_file():
                seen = stamp(path)
                damage = self.check(digest)
                if damage is None:
                    return Filled(path, seen, fetched=False, damage=None)
            part = self.root / "partial" / f"{digest}.part"
            resumed = part.exists()
            try:
                seen = self._bring(digest, size, part, source, advance)
            except DigestMismatch:
                if not resumed:
                    raise
                seen = self._bring(digest, size, part, source, advance)
            return Filled(path, seen, fetched=True, damage=damage)

    def _bring(
        self, digest: Digest, size: int, part: Path, source: Source, advance: Advance
    ) -> tuple[int, int, int]:
        """Finish the download; only if it is right the file becomes the blob: one write, one hash.

        Wrong bytes are thrown away, missing ones are waited for.
        """
        found = download(source, part, size, advance)
        try:
            seen = stamp(part)
        except FileNotFoundError as error:
            raise Unreachable(
                "another process finished the same download", hint="run the same command again"
            ) from error
        if found != digest or seen[1] != size:  # another size: two without a lock wrote to it
            part.unlink(missing_ok=True)
            raise DigestMismatch(part.stem, expected=digest, actual=found)
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path).chmod(0o444)
        sync_folder(path.parent)
        return seen

    def keep_record(self, data: bytes) -> None:
        """Keep the exact bytes of a record, and note that it was used now."""
        path = self.root / "records" / f"{Digest.of(data)}.json"
        if path.is_file():
            os.utime(path)
        else:
            write_bytes(path, data, mode=0o644)

    def entries(self) -> tuple[Entry, ...]:
        """List the records, last used first.

        Files that are not records are passed over; `verify` reports them.
        """
        found = [
            entry
            for path in self._files("records", "*.json")
            if (entry := self._entry(path)) is not None
        ]
        return tuple(sorted(found, key=lambda entry: entry.used, reverse=True))

    def _entry(self, path: Path) -> Entry | None:
        try:
            data = path.read_bytes()
            record = Record.read(data)
            used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (FileNotFoundError, InvalidRecord):
            return None
        here = sum(
            blob.stat().st_size for digest in record.blobs if (blob := self.path(digest)).is_file()
        )
        return Entry(record, Digest.of(data), here, used) if path.stem == Digest.of(data) else None

    def blobs(self) -> tuple[Digest, ...]:
        """List the digests of the blobs that are here."""
        return tuple(
            digest
            for path in self._files("blobs", "sha256/*/*")
            if (digest := _digest(path.name)) is not None
        )

    def size(self) -> int:
        """Bytes of everything under the root."""
        return sum(path.stat().st_size for path in self._files(".", "**/*"))

    def _files(self, folder: str, pattern: str) -> Iterator[Path]:
        return (
            path
            for path in sorted((self.root / folder).glob(pattern))
            if path.is_file() and not path.name.startswith(".")
        )

    def verify(self) -> tuple[Damage, ...]:
        """Hash every blob and record; what is not what it is called goes to the quarantine."""
        bad_records = [
            damage
            for path in self._files("records", "*.json")
            if (damage := self._check_record(path)) is not None
        ]
        return (
            *(damage for digest in self.blobs() if (damage := self.check(digest)) is not None),
            *bad_records,
        )

    def _check_record(self, path: Path) -> Damage | None:
        found, expected = digest_file(path), _digest(path.stem)
        if expected is None or found == expected:
            return None
        kept = self.root / "quarantine" / f"{expected}.{found.short}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        return Damage(expected, found, kept)

    def gc(
        self,
        *,
        older_than: timedelta | None = None,
        max_size: int | None = None,
        dry_run: bool = False,
    ) -> Freed:
        """Free space; with `dry_run` only say what would go.

        Goes: records not used for `older_than`, the longest unused until the rest fits in
            `max_size` bytes, every blob that no
        record left needs, unfinished downloads and the quarantine.
        """
        entries = self.entries()
        kept = _within(
            [e for e in entries if older_than is None or e.used >= datetime.now(UTC) - older_than],
            max_size,
        )
        needed = {digest for entry in kept for digest in entry.record.blobs}
        blobs = tuple(digest for digest in self.blobs() if digest not in needed)
        dropped = tuple(entry for entry in entries if entry not in kept)
        paths = [self.root / "records" / f"{entry.record_sha256}.json" for entry in dropped]
        paths += [
            *map(self.path, blobs),
            *self._files("partial", "*"),
            *self._files("quarantine", "*"),
            *self._stale(),
        ]
        size = sum(path.stat().st_size for path in paths)
        for path in () if dry_run else paths:
            path.unlink(missing_ok=True)
        return Freed(tuple(f"{e.record.name}@{e.record.version}" for e in dropped), blobs, size)

    def _stale(self) -> Iterator[Path]:
        """Temporary files that a crash left behind more than a day ago."""
        day_ago = time.time() - timedelta(days=1).total_seconds()
        return (path for path in self.root.glob("**/.*.tmp") if path.stat().st_mtime < day_ago)


def _within(entries: list[Entry], max_size: int | None) -> list[Entry]:
    """Keep the last used whose blobs, each counted once, fit in `max_size`."""
    kept: list[Entry] = []
    seen: set[Digest] = set()
    total = 0
    for entry in entries:
        new = 0 if entry.record.file.sha256 in seen else entry.size
        if max_size is not None and total + new > max_size:
            continue
        total += new
        seen |= set(entry.record.blobs)
        kept.append(entry)
    return kept


def _digest(name: str) -> Digest | None:
    try:
        return Digest(name)
    except WrongUse:
        return None
