"""What a registry does, without HTTP.

The store decides and remembers, the catalogue answers questions.

Every write goes to the store first and then to the catalogue; a crash in between is healed by
writing the same again, or by `reindex`. Nothing here knows who asks: see `access`.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from zoo_registry.catalogue import Catalogue
from zoo_registry.model.answers import Page, ParetoPoint, Resolution, Unmeasured
from zoo_registry.model.compare import near_misses, points, resolve
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    AnswerIsNo,
    DigestMismatch,
    InvalidQuery,
    InvalidRecord,
    NotFound,
)
from zoo_registry.model.evaluate import elsewhere, unmeasured
from zoo_registry.model.platform import told
from zoo_registry.model.query import FrontAxis, Query
from zoo_registry.model.ref import Ref
from zoo_registry.model.summary import Summary
from zoo_registry.stores import layout
from zoo_registry.stores.base import BLOB_LIMIT, BlobInfo, Store, missing
from zoo_registry.uploads import Uploads

GRACE_S = 24 * 3600.0


class MeasuredPlatform(BaseModel):
    """One class of machine of a device: with which thread counts, and how many releases.

    `platform` is what a query takes, `told` how people call it.
    """

    platform: str
    told: str
    threads: tuple[int, ...]
    releases: int


class MeasuredDevice(BaseModel):
    """One device on which something was measured, and the classes of machines behind its name."""

    device: str
    threads: tuple[int, ...]
    releases: int
    platforms: tuple[MeasuredPlatform, ...] = ()


class Reindexed(BaseModel):
    """How a rebuild of the catalogue ended.

    `broken` says, by `name@version`, what could not be read.
    """

    releases: int
    broken: dict[str, str]


class Verification(BaseModel):
    """What a full check of the store found.

    `damaged` blobs hash to something else; `missing` ones are named by a record.
    """

    blobs: int
    bytes: int
    damaged: tuple[str, ...]
    missing: dict[str, str]
    broken: dict[str, str]

    @property
    def whole(self) -> bool:
        """Whether everything is as it was published."""
        return not (self.damaged or self.missing or self.broken)


class Collected(BaseModel):
    """What a garbage collection dropped (or would drop)."""

    blobs: tuple[str, ...]
    bytes: int
    uploads: int


@dataclass(frozen=True)
class Registry:
    """The one door to a store and its catalogue.

    `spool` is where uploads wait until they are whole.
    """

    store: Store
    catalogue: Catalogue
    spool: Path
    blob_limit: int = BLOB_LIMIT
    uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "uploads", Uploads(self.catalogue.engine, self.store, self.spool, self.blob_limit)
        )

    def close(self) -> None:
        """Close the database."""
        self.catalogue.close()

    # --- asking ---

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """Give one page of what fits; near misses when nothing does.

        Raises:
            InvalidQuery: it cannot be sorted so, or the cursor belongs to another search.
        """
        items, after = self.catalogue.page(query, limit=limit, cursor=cursor)
        if items or cursor is not None:
            return Page(items=items, next_cursor=after, datasets=self.catalogue.compared(query))
        candidates = self.catalogue.candidates(query)
        return Page(
            items=(),
            near_misses=near_misses(query, candidates),
            unmeasured=None if candidates else self._unmeasured(query),
        )

    def resolve(self, query: Query) -> Resolution:
        """Choose the one best artifact for a budget, and say why."""
        candidates = self.catalogue.candidates(query)
        found = resolve(query, candidates)
        if candidates or (lacking := self._unmeasured(query)) is None:
            return found
        return found.model_copy(update={"why": lacking.message, "unmeasured": lacking})

    def _unmeasured(self, query: Query) -> Unmeasured | None:
        """Say where there are measurements, when the platform asked for has none."""
        if query.platform is None:
            return None
        return unmeasured(query, self.catalogue.candidates(elsewhere(query)))

    def pareto(self, query: Query, x: FrontAxis, y: str) -> tuple[ParetoPoint, ...]:
        """Place what fits by `x` (better small) and the metric `y` (better large).

        The front of each data set and platform is marked. What lacks either is left out.

        Raises:
            InvalidQuery: no release has the metric.
        """
        known = self.catalogue.metrics()
        if y not in known and known:
            raise InvalidQuery(
                f"no release has the metric {y!r} (expected one of {', '.join(known)})"
            )
        return points(query, self.catalogue.candidates(query), x, y)

    def versions(self, name: str) -> tuple[Summary, ...]:
        """Give all versions of an artifact, yanked ones too, highest first.

        Raises:
            NotFound: nothing has the name; the hint names the nearest.
        """
        found = self.catalogue.versions(name)
        if not found:
            layout.find(self.store, Ref.parse(name))
            for version in layout.versions(self.store, name):
                self._refresh(name, version)
            found = self.catalogue.versions(name)
        return found

    def release(self, ref: Ref) -> layout.Release:
        """Give what `ref` names, from the store: see `layout.find`."""
        return layout.find(self.store, ref)

    def facets(self) -> dict[str, tuple[str, ...]]:
        """List the values that searches can choose from, by parameter."""
        return self.catalogue.facets()

    def devices(self) -> tuple[MeasuredDevice, ...]:
        """List where releases were measured."""
        found: dict[str, list[MeasuredPlatform]] = {}
        for device, key, threads, count in self.catalogue.devices():
            place = MeasuredPlatform(platform=key, told=told(key), threads=threads, releases=count)
            found.setdefault(device, []).append(place)
        return tuple(
            MeasuredDevice(
                device=device,
                threads=tuple(sorted({number for one in places for number in one.threads})),
                releases=self.catalogue.measured_on(device),
                platforms=tuple(places),
            )
            for device, places in found.items()
        )

    def blob(self, digest: Digest) -> BlobInfo:
        """Say how large a blob is.

        Raises:
            NotFound: it is not here.
        """
        found = self.store.stat(digest)
        if found is None:
            raise missing(digest, "this registry")
        return found

    def check(self) -> None:
        """Ask database and store for something small.

        Raises:
            Unreachable, Forbidden: one of them does not answer.
        """
        self.catalogue.metrics()
        self.store.load("index.json")

    # --- writing: the store first ---

    def publish(self, record_bytes: bytes) -> layout.Released:
        """Release a record whose blobs were uploaded: see `layout.release`.

        Doing it again heals the catalogue.
        """
        released = layout.release(self.store, record_bytes, layout.now())
        self._refresh(released.record.name, released.record.version)
        return released

    def add_measurement(self, name: str, version: str, data: bytes) -> bool:
        """Add a measurement of that very file: see `layout.add_measurement`."""
        added = layout.add_measurement(self.store, name, version, data)
        self._refresh(name, version)
        return added

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version: see `layout.set_alias`."""
        layout.set_alias(self.store, name, alias, version, layout.now())
        self._refresh(name, version, alias)

    def yank(self, name: str, version: str, reason: str) -> str:
        """Withdraw a version: see `layout.yank`; give the reason that stands."""
        standing = layout.yank(self.store, name, version, reason, layout.now())
        self._refresh(name, version)
        return standing

    def _refresh(self, name: str, version: str, alias: str = "") -> None:
        """Write the rows that a change in the store touched, as the store says them now."""
        self.catalogue.put(name, version, lambda each: self._summary(name, each), alias=alias)

    def _summary(self, name: str, version: str) -> Summary | None:
        with suppress(DigestMismatch, NotFound, InvalidRecord):
            return layout.load_release(self.store, name, version).summary
        return None

    # --- keeping house ---

    def reindex(self) -> Reindexed:
        """Rebuild the catalogue, and the store's own index, from the store alone.

        Searches see the old state or the new one.
        """
        broken: dict[str, str] = {}
        count = 0

        def read() -> Iterator[Summary]:
            nonlocal count
            good, bad = layout.survey(self.store)
            broken.update({ref: error.message for ref, error in bad.items()})
            count = len(good)
            yield from (release.summary for release in good)

        self.catalogue.rebuild(read)
        layout.update_index(self.store)
        return Reindexed(releases=count, broken=broken)

    def verify(self) -> Verification:
        """Hash every blob again and look for those that records name."""
        damaged, sizes = [], dict[Digest, int]()
        for info in self.store.digests():
            sizes[info.digest] = info.size
            try:
                for _ in self.store.read(info.digest):
                    pass
            except DigestMismatch:
                damaged.append(str(info.digest))
        good, bad = layout.survey(self.store)
        lost = {
            str(digest): release.ref
            for release in good
            for digest in release.record.blobs
            if digest not in sizes
        }
        return Verification(
            blobs=len(sizes),
            bytes=sum(sizes.values()),
            damaged=tuple(sorted(damaged)),
            missing=lost,
            broken={ref: error.message for ref, error in bad.items()},
        )

    def collect(self, *, grace_s: float = GRACE_S, dry_run: bool = False) -> Collected:
        """Drop blobs that nothing refers to and uploads that stand still.

        Both older than `grace_s` seconds.

        The grace protects a publisher between its upload and its release.

        Raises:
            AnswerIsNo: a release cannot be read, so what it refers to is not known.
        """
        needed = self._referenced()
        cutoff = time.time() - grace_s
        idle = [
            info
            for info in self.store.digests()
            if info.digest not in needed and info.modified <= cutoff
        ]
        if not dry_run:
            for info in idle:
                self.store.delete(info.digest)
        swept = 0 if dry_run else self.uploads.sweep(grace_s)
        return Collected(
            blobs=tuple(sorted(info.digest for info in idle)),
            bytes=sum(info.size for info in idle),
            uploads=swept,
        )

    def _referenced(self) -> set[Digest]:
        good, bad = layout.survey(self.store)
        if bad:
            raise AnswerIsNo(
                f"{', '.join(bad)} cannot be read, so it is not known what they need",
                hint="zoo registry verify",
            )
        blobs = {
            digest for release in good for digest in (release.record_sha256, *release.record.blobs)
        }
        return blobs | set(layout.measurement_blobs(self.store))
