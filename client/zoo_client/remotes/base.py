"""What every remote can do, and the rules that none is trusted to keep.

The other side is not believed: a record's bytes must hash to what the release says, its name and
version must be those asked for, and a blob is hashed by whoever writes it down. `checked` and
`Bundle` hold those rules for all remotes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from zoo_client.download import Advance, ignore
from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, InvalidRecord, Unreachable
from zoo_registry.model.files import digest_file
from zoo_registry.model.query import Query
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import Release


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is published: a record, its exact bytes, and the files it needs by digest.

    `of` checks that they agree.
    """

    record: Record
    record_bytes: bytes
    blobs: Mapping[Digest, Path]

    @classmethod
    def of(cls, record_bytes: bytes, blobs: Mapping[Digest, Path]) -> Self:
        """Check that the bytes are a canonical record and that all its files are here, unchanged.

        Raises:
            InvalidRecord: the record breaks its schema, is not spelled canonically, or a file it
                needs is missing.
            DigestMismatch: a file is not what the record says.
        """
        record = Record.read(record_bytes)
        if record.to_bytes() != record_bytes:
            raise InvalidRecord(
                f"the record of {record.name} is not in canonical spelling (RFC 8785)"
            )
        for digest in record.blobs:
            if digest not in blobs:
                raise InvalidRecord(
                    f"{record.name}@{record.version} needs sha256:{digest}, which was not given"
                )
            found = digest_file(blobs[digest])
            if found != digest:
                raise DigestMismatch(str(blobs[digest]), expected=digest, actual=found)
        return cls(record, record_bytes, {digest: blobs[digest] for digest in record.blobs})

    @property
    def record_sha256(self) -> Digest:
        """Digest of the record's bytes."""
        return Digest.of(self.record_bytes)


@dataclass(frozen=True, slots=True)
class Published:
    """How publishing ended. `created` is False when the same bytes were there already.

    `url` is where people look.
    """

    created: bool
    url: str


class Remote(Protocol):
    """A place to publish to and pull from.

    All raise `Unreachable` when the other side does not answer or answers nonsense, and `Forbidden`
    when it does not let us.
    """

    url: str

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """List what matches; near misses when nothing fits the budget."""

    def resolve(self, query: Query) -> Resolution:
        """Choose the one best artifact for a budget, and say why."""

    def release(self, ref: Ref) -> Release:
        """Give the release that `ref` names, its record checked.

        A yanked one is given too: the caller decides.

        Raises:
            NotFound: no such name, version or alias.
            DigestMismatch: the record's bytes are not those released, or the ref pins another
                digest.
        """

    def fetch(self, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """Stream a blob from byte `start` on. Not verified: whoever keeps it hashes it.

        Raises:
            NotFound: it is not there.
        """

    def publish(self, bundle: Bundle, report: Advance = ignore) -> Published:
        """Publish blobs, then the record; at the end all is visible or nothing is.

        Raises:
            ReleaseExists: other bytes are published under that version.
        """

    def promote(self, name: str, alias: str, version: str) -> None:
        """Move an alias to a version that exists.

        Raises:
            NotFound: no such version.
        """

    def yank(self, name: str, version: str, reason: str) -> None:
        """Withdraw a version; its bytes stay where they are.

        Raises:
            NotFound: no such version.
        """

    def add_measurement(self, name: str, version: str, measurement: Measurement) -> None:
        """Add a measurement of that very file.

        Raises:
            NotFound: no such version.
            InvalidRecord: it speaks of another file.
        """


def read_record(data: bytes, ref: Ref, *, expected: Digest, where: str) -> Record:
    """Check a record that came from `where` against what was asked for.

    Raises:
        DigestMismatch: the bytes are not those the release names, or the ref pins another file.
        Unreachable: the record speaks of another artifact.
    """
    found = Digest.of(data)
    if found != expected:
        raise DigestMismatch(f"record of {ref} from {where}", expected=expected, actual=found)
    try:
        record = Record.read(data)
    except InvalidRecord as error:
        raise Unreachable(
            f"{where} gave a record of {ref} that breaks the schema: {error.message}"
        ) from error
    if record.name != ref.name or (not ref.is_alias and ref.pick([record.version]) is None):
        raise Unreachable(
            f"{where} was asked for {ref} and gave the record of {record.name}@{record.version}"
        )
    if ref.digest is not None and ref.digest != record.file.sha256:
        raise DigestMismatch(
            f"{ref.name}@{record.version} from {where}",
            expected=ref.digest,
            actual=record.file.sha256,
        )
    return record
