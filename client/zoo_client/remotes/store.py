"""Stores as remotes: an S3 prefix or a folder, with no server in between.

The layout is that of `zoo_registry.stores.layout`.
"""

from collections.abc import Iterator
from pathlib import Path

from zoo_client.download import Advance, ignore
from zoo_client.evaluate import page, resolve_latest
from zoo_client.remotes import remote
from zoo_client.remotes.base import Bundle, Published
from zoo_client.settings import Settings
from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.files import CHUNK
from zoo_registry.model.query import Query
from zoo_registry.model.record import Measurement
from zoo_registry.model.ref import Ref
from zoo_registry.stores import layout, open_store


@remote("s3")
@remote("file")
class StoreRemote:
    """An S3 prefix or a folder: publish by creating documents, search over the index."""

    # the signature of all remotes
    def __init__(self, url: str, settings: Settings) -> None:  # noqa: ARG002
        if "://" not in url:
            raise WrongUse(
                f"not the address of a store: {url!r} (expected file:///folder or s3://bucket/prefix)"
            )
        self.store = open_store(url)
        self.url = self.store.url

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """See `Remote.search`."""
        return page(query, layout.index(self.store), limit=limit, cursor=cursor)

    def resolve(self, query: Query) -> Resolution:
        """See `Remote.resolve`."""
        return resolve_latest(query, layout.index(self.store))

    def release(self, ref: Ref) -> layout.Release:
        """See `Remote.release`."""
        return layout.find(self.store, ref)

    def fetch(self, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """See `Remote.fetch`."""
        return self.store.read(digest, start)

    def publish(self, bundle: Bundle, report: Advance = ignore) -> Published:
        """See `Remote.publish`: blobs, then the release, then the index."""
        for digest, path in bundle.blobs.items():
            self.store.put(_pieces(path, report), digest)
        released = layout.release(self.store, bundle.record_bytes, layout.now())
        layout.update_index(self.store)
        return Published(
            released.created,
            f"{self.url}/releases/{bundle.record.name}/{bundle.record.version}.json",
        )

    def promote(self, name: str, alias: str, version: str) -> None:
        """See `Remote.promote`."""
        layout.set_alias(self.store, name, alias, version, layout.now())
        layout.update_index(self.store)

    def yank(self, name: str, version: str, reason: str) -> None:
        """See `Remote.yank`."""
        layout.yank(self.store, name, version, reason, layout.now())
        layout.update_index(self.store)

    def add_measurement(self, name: str, version: str, measurement: Measurement) -> None:
        """See `Remote.add_measurement`."""
        if layout.add_measurement(self.store, name, version, canonical(measurement)):
            layout.update_index(self.store)


def _pieces(path: Path, report: Advance) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            report(len(piece))
            yield piece
