"""Reading releases back from a store, checking everything again.

A store is a place where other people can write too.

releases/<name>/<version>.json                {"record": sha256, "published": RFC 3339}
measurements/<name>/<version>/<sha256>.json   {"measurement": sha256 of its blob}
yanks/<name>/<version>.json                   {"reason", "when"}
aliases/<name>/<alias>.json                   {"version", "when"}
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from semver import Version

from zoo_registry.model.canonical import parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, InvalidRecord, NotFound, WrongUse, ZooError
from zoo_registry.model.record import Measurement, Record, explain
from zoo_registry.model.ref import NAME, parse_version
from zoo_registry.model.suggest import close
from zoo_registry.model.summary import Summary
from zoo_registry.stores.base import Store, read_whole

RECORD_LIMIT = 8 << 20
_PAIR = 2
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Release:
    """One published version with all that was said of it since.

    `added` are the measurements made after it was released.
    """

    record: Record
    record_bytes: bytes
    record_sha256: Digest
    published: str
    yanked: bool = False
    yank_reason: str = ""
    aliases: tuple[str, ...] = ()
    added: tuple[Measurement, ...] = ()

    @property
    def summary(self) -> Summary:
        """What a listing shows of it."""
        return Summary.of(
            self.record,
            self.record_sha256,
            added=self.added,
            published=self.published,
            yanked=self.yanked,
            aliases=self.aliases,
        )

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Those of the record, then those added since."""
        return (*self.record.measurements, *self.added)

    @property
    def ref(self) -> str:
        """Name and version."""
        return f"{self.record.name}@{self.record.version}"


class ReleaseDocument(BaseModel):
    """The document of a release."""

    record: Digest
    published: str


def document(store: Store, key: str) -> dict[str, Any] | None:
    """Read a document as a JSON object, or None when there is none.

    Raises:
        InvalidRecord: it is something else.
    """
    found = store.load(key)
    if found is None:
        return None
    content = parse(found[0])
    if not isinstance(content, dict):
        raise InvalidRecord(f"{store.url}/{key} is not a JSON object", hint="zoo registry verify")
    return content


def release_document(store: Store, name: str, version: str) -> ReleaseDocument:
    """Read the document of one release.

    Raises:
        NotFound: no such release; the hint names what is near.
        InvalidRecord: the document breaks its schema.
    """
    key = f"releases/{_named(name)}/{_versioned(version)}.json"
    found = document(store, key)
    if found is None:
        raise unknown(store, name, version)
    try:
        return ReleaseDocument.model_validate(found)
    except ValidationError as error:
        raise InvalidRecord(
            f"{store.url}/{key}: {explain(error)}", hint="zoo registry verify"
        ) from error


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise WrongUse(f"not an artifact name: {name!r}", hint="zoo search   # lists the names")
    return name


def _versioned(version: str) -> str:
    return str(parse_version(version))


def unknown(store: Store, name: str, version: str = "") -> NotFound:
    """Say that a name or version is not here, and what is near."""
    known = versions(store, name)
    if known:
        return NotFound(
            f"{name} has no version {version!r}",
            hint=f"zoo show {name}@{known[-1]}   # released: {', '.join(known)}",
        )
    near = close(name, names(store))
    return NotFound(
        f"no artifact is called {name!r}",
        hint=f"zoo show {near}" if near else "zoo search   # lists the names",
    )


def stems(store: Store, folder: str) -> tuple[str, ...]:
    """List the last parts of the keys below `folder`, without `.json`."""
    return tuple(key.rpartition("/")[2].removesuffix(".json") for key in store.keys(folder))


def released(store: Store, name: str = "") -> tuple[tuple[str, str], ...]:
    """List name and version of every release, yanked ones too (or of those of one name).

    Lowest version first.

    A file that somebody put there under a name that cannot be a release is no release.
    """
    found = (
        key.removeprefix("releases/").removesuffix(".json").split("/")
        for key in store.keys(f"releases/{name}/" if name else "releases/")
    )
    pairs = (
        (parts[0], parts[1])
        for parts in found
        if len(parts) == _PAIR and NAME.fullmatch(parts[0]) and Version.is_valid(parts[1])
    )
    return tuple(sorted(pairs, key=lambda pair: (pair[0], parse_version(pair[1]))))


def names(store: Store) -> tuple[str, ...]:
    """List the names of all artifacts, sorted."""
    return tuple(dict.fromkeys(name for name, _ in released(store)))


def versions(store: Store, name: str) -> tuple[str, ...]:
    """List the versions of an artifact, yanked ones too, lowest first.

    Empty when nothing has the name.
    """
    return tuple(version for _, version in released(store, _named(name)))


def aliases(store: Store, name: str) -> dict[str, str]:
    """Give the aliases of an artifact and the versions they point to."""
    found = {
        alias: document(store, f"aliases/{name}/{alias}.json")
        for alias in stems(store, f"aliases/{_named(name)}/")
    }
    return {
        alias: str(content.get("version"))
        for alias, content in found.items()
        if content is not None
    }


def load_release(store: Store, name: str, version: str) -> Release:
    """Read one release with its yank, aliases and added measurements.

    Raises:
        NotFound: no such release, or its record's blob is gone; the hint names what is near.
        DigestMismatch: the stored record is not the one released.
        InvalidRecord: the stored record or a document breaks its schema.
    """
    standing = release_document(store, name, version)
    data = read_whole(store, standing.record, limit=RECORD_LIMIT)
    record = Record.read(data)
    if (record.name, record.version) != (name, version):
        raise InvalidRecord(
            f"{store.url} gives the record of {record.name}@{record.version} for {name}@{version}",
            hint="zoo registry verify",
        )
    withdrawn = document(store, f"yanks/{name}/{version}.json")
    return Release(
        record=record,
        record_bytes=data,
        record_sha256=standing.record,
        published=standing.published,
        yanked=withdrawn is not None,
        yank_reason=str((withdrawn or {}).get("reason", "")),
        aliases=tuple(
            sorted(alias for alias, target in aliases(store, name).items() if target == version)
        ),
        added=tuple(_added(store, record)),
    )


def measurement_blobs(store: Store) -> tuple[Digest, ...]:
    """List the digests of all added measurements."""
    return tuple(Digest(stem) for stem in stems(store, "measurements/") if _HEX.fullmatch(stem))


def _added(store: Store, record: Record) -> Iterator[Measurement]:
    for stem in filter(
        _HEX.fullmatch, stems(store, f"measurements/{record.name}/{record.version}/")
    ):
        yield read_measurement(
            read_whole(store, Digest(stem), limit=RECORD_LIMIT), record, extra="ignore"
        )


def read_measurement(
    data: bytes, record: Record, *, extra: Literal["forbid", "ignore"] = "forbid"
) -> Measurement:
    """Read a measurement and hold it against the record it claims to belong to.

    Writers forbid unknown keys.

    Raises:
        InvalidRecord: it breaks its schema, or was made on another file.
    """
    try:
        measurement = Measurement.model_validate(parse(data, limit=RECORD_LIMIT), extra=extra)
    except ValidationError as error:
        raise InvalidRecord(explain(error)) from error
    if measurement.file_sha256 != record.file.sha256:
        raise InvalidRecord(
            f"measured on sha256:{measurement.file_sha256}, but {record.name}@{record.version} is"
            f" sha256:{record.file.sha256}",
            hint=f"zoo show {record.name}@{record.version}",
        )
    return measurement


def all_releases(store: Store) -> Iterator[Release]:
    """Read every release, by name and then version.

    Raises:
        DigestMismatch, NotFound, InvalidRecord: of the first damaged one; `survey` goes on past it.
    """
    for name, version in released(store):
        yield load_release(store, name, version)


def survey(store: Store, name: str = "") -> tuple[tuple[Release, ...], dict[str, ZooError]]:
    """Read every release (of one name) that can be read.

    The dict says, by `name@version`, what is wrong with the others.
    """
    good: list[Release] = []
    bad: dict[str, ZooError] = {}
    for each, version in released(store, name):
        try:
            good.append(load_release(store, each, version))
        except (DigestMismatch, NotFound, InvalidRecord) as error:
            bad[f"{each}@{version}"] = error
    return tuple(good), bad
