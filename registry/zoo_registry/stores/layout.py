"""What documents in a store mean: releases, yanks, aliases and measurements.

Used by the server and by remotes without one.

    blobs/sha256/ab/abcdef…                       files, golden vectors, records, added measurements
    releases/<name>/<version>.json                {"record": sha256, "published": RFC 3339}: created
                                                  once, never replaced
    measurements/<name>/<version>/<sha256>.json   {"measurement": sha256 of its blob}
    yanks/<name>/<version>.json                   {"reason", "when"}
    aliases/<name>/<alias>.json                   {"version", "when"}

`reading` has the way back, `index` the listing; both are reached through here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from zoo_registry.model import rebuilt
from zoo_registry.model.canonical import canonical, parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    DigestMismatch,
    InvalidRecord,
    NotFound,
    ReleaseExists,
    Unreachable,
    WrongUse,
    Yanked,
)
from zoo_registry.model.record import Record
from zoo_registry.model.ref import ALIAS, LATEST, Ref, parse_version
from zoo_registry.model.submitted import accept
from zoo_registry.stores.base import Store, read_whole
from zoo_registry.stores.index import index, update_index
from zoo_registry.stores.reading import (
    RECORD_LIMIT,
    Release,
    ReleaseDocument,
    aliases,
    all_releases,
    document,
    load_release,
    measurement_blobs,
    names,
    read_measurement,
    release_document,
    stems,
    survey,
    unknown,
    versions,
)

__all__ = [
    "RECORD_LIMIT",
    "Release",
    "Released",
    "add_measurement",
    "aliases",
    "all_releases",
    "find",
    "index",
    "load_release",
    "measurement_blobs",
    "names",
    "now",
    "read_measurement",
    "read_record",
    "release",
    "set_alias",
    "stamp",
    "survey",
    "update_index",
    "versions",
    "yank",
]

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Released:
    """How releasing ended.

    `created` is False when this file was released under this version before.
    """

    created: bool
    record: Record
    record_sha256: Digest
    published: str


def now() -> datetime:
    """Give the time that documents are stamped with."""
    return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """Spell a moment as RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_record(data: bytes) -> Record:
    """Read a record the way it must be written.

    No unknown keys, canonical spelling, a version with one spelling.

    Raises:
        InvalidRecord: any of these does not hold.
    """
    record = Record.written(parse(data, limit=RECORD_LIMIT))
    if record.to_bytes() != data:
        raise InvalidRecord(
            f"the record of {record.name} is not in canonical spelling (RFC 8785)",
            hint="zoo publish   # writes it so",
        )
    if parse_version(record.version).build is not None:
        raise InvalidRecord(
            f"version {record.version!r} has build metadata, which does not order versions"
            " (expected 1.0.0 or 1.0.0-rc.1)"
        )
    return record


def release(store: Store, record_bytes: bytes, when: datetime) -> Released:
    """Publish a record whose blobs are in the store already.

    The same file under the same version is no change.

    Raises:
        InvalidRecord: the record breaks its schema, or speaks of a blob that is not here or has
            another size.
        ReleaseExists: another file is released under that name and version.
        Unsupported: the store cannot arbitrate between two publishers.
    """
    record = read_record(record_bytes)
    _check_blobs(store, record)
    key, digest = f"releases/{record.name}/{record.version}.json", Digest.of(record_bytes)
    mine = ReleaseDocument(record=digest, published=stamp(when))
    if store.load(key) is None:
        store.put([record_bytes], digest, limit=RECORD_LIMIT)
        if store.create(key, canonical(mine)):
            return Released(True, record, digest, mine.published)
    return _already(store, record, digest)


def _already(store: Store, record: Record, digest: Digest) -> Released:
    """Answer a release that is there: the same file is success, another is refused."""
    standing = release_document(store, record.name, record.version)
    if standing.record == digest:
        store.put([record.to_bytes()], digest, limit=RECORD_LIMIT)
        return Released(False, record, digest, standing.published)
    stored = Record.read(read_whole(store, standing.record, limit=RECORD_LIMIT))
    if stored.file.sha256 == record.file.sha256:
        return Released(False, stored, standing.record, standing.published)
    raise ReleaseExists(
        f"{record.name}@{record.version} is released with the file sha256:{stored.file.sha256}, not"
        f" sha256:{record.file.sha256}"
        + rebuilt.differently(stored.provenance.platforms, record.provenance.platforms),
        hint=f"zoo bump manifests/{record.model}.yaml   # raise the version; releases never change",
    )


def _check_blobs(store: Store, record: Record) -> None:
    sizes = {record.file.sha256: record.file.size}
    if record.golden is not None:
        sizes[record.golden.sha256] = record.golden.size
    for digest, size in sizes.items():
        found = store.stat(digest)
        if found is None:
            raise InvalidRecord(
                f"{record.name}@{record.version} needs the blob sha256:{digest}, which was not"
                " uploaded",
                hint="zoo publish",
            )
        if found.size != size:
            raise InvalidRecord(
                f"{record.name}@{record.version}: blob sha256:{digest} has {found.size} bytes, the"
                f" record says {size}"
            )


def find(store: Store, ref: Ref) -> Release:
    """Give the release that `ref` names.

    One that is asked for exactly, or by an alias, is given even if it was yanked.

    Raises:
        NotFound: no such name, version or alias; the hint names the nearest.
        Yanked: the selector allows only versions that were withdrawn.
        DigestMismatch: the ref pins another digest.
    """
    found = load_release(store, ref.name, _select(store, ref))
    if ref.digest is not None and ref.digest != found.record.file.sha256:
        raise DigestMismatch(
            found.ref,
            expected=ref.digest,
            actual=found.record.file.sha256,
            hint=f"zoo show {found.ref}",
        )
    return found


def _select(store: Store, ref: Ref) -> str:
    """Choose the version that `ref` means."""
    known = versions(store, ref.name)
    if not known:
        raise unknown(store, ref.name)
    if ref.is_alias:
        target = aliases(store, ref.name).get(ref.selector)
        if target is None:
            raise NotFound(
                f"{ref.name} has no alias {ref.selector!r}",
                hint=f"zoo promote {ref.name}@{known[-1]} --to {ref.selector}",
            )
        return target
    withdrawn = set() if ref.exact else set(stems(store, f"yanks/{ref.name}/"))
    chosen = ref.pick(version for version in known if version not in withdrawn)
    if chosen is not None:
        return chosen
    gone = ref.pick(known)
    if gone is not None:
        reason = (document(store, f"yanks/{ref.name}/{gone}.json") or {}).get("reason", "")
        raise Yanked(
            f"all versions of {ref} were withdrawn; {gone}: {reason}",
            hint=f"zoo show {ref.name}@{gone}",
        )
    raise unknown(store, ref.name, ref.selector)


def yank(store: Store, name: str, version: str, reason: str, when: datetime) -> str:
    """Withdraw a version; its bytes stay. Give the reason that stands: the first one.

    Raises:
        NotFound: no such version.
    """
    release_document(store, name, version)
    key = f"yanks/{name}/{version}.json"
    if store.create(key, canonical({"reason": reason, "when": stamp(when)})):
        return reason
    return str((document(store, key) or {}).get("reason", ""))


def set_alias(store: Store, name: str, alias: str, version: str, when: datetime) -> None:
    """Point an alias at a version.

    Raises:
        WrongUse: `alias` is not one, or is `latest`, which nobody moves.
        NotFound: no such version.
        Yanked: the version was withdrawn.
    """
    if not ALIAS.fullmatch(alias) or alias == LATEST:
        said = (
            f"not an alias: {alias!r} (lower-case letters, digits and '-'; `latest` moves by"
            " itself)"
        )
        raise WrongUse(said, hint=f"zoo promote {name}@{version} --to stable")
    release_document(store, name, version)
    if document(store, f"yanks/{name}/{version}.json") is not None:
        raise Yanked(
            f"{name}@{version} was withdrawn, so no alias may point to it", hint=f"zoo show {name}"
        )
    key, data = f"aliases/{name}/{alias}.json", canonical({"version": version, "when": stamp(when)})
    for _ in range(_ATTEMPTS):
        found = store.load(key)
        if store.replace(key, data, found[1] if found else None):
            return
    raise Unreachable(
        f"{store.url}/{key} kept changing", hint=f"zoo promote {name}@{version} --to {alias}"
    )


def add_measurement(store: Store, name: str, version: str, data: bytes) -> bool:
    """Add a measurement (JSON) of that very file.

    False when it was there already, among the recorded ones too.

    Raises:
        NotFound: no such version.
        InvalidRecord: it breaks its schema, was made on another file, or cannot be of an honest
            session (see `submitted`).
    """
    known = load_release(store, name, version)
    measurement = read_measurement(data, known.record)
    accept(measurement, now())
    if measurement in known.record.measurements:
        return False
    spelled = canonical(measurement)
    digest = Digest.of(spelled)
    store.put([spelled], digest, limit=RECORD_LIMIT)
    return store.create(
        f"measurements/{name}/{version}/{digest}.json", canonical({"measurement": digest})
    )
