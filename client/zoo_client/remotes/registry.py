"""A registry: over HTTP, or, with no server configured.

The same application in this process over the project's folder.
"""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel

from zoo_client.download import Advance, ignore
from zoo_client.extras import missing_extra
from zoo_client.remotes import EMBEDDED, remote
from zoo_client.remotes.base import Bundle, Published, read_record
from zoo_client.remotes.wire import TRIES, Wire
from zoo_client.settings import Settings
from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, Unreachable, WrongUse
from zoo_registry.model.files import CHUNK
from zoo_registry.model.query import Query
from zoo_registry.model.record import Measurement
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import RECORD_LIMIT, Release, read_measurement

_PAGE = 200


class _State(BaseModel):
    record_sha256: Digest
    published: str
    yanked: bool
    yank_reason: str = ""
    aliases: tuple[str, ...] = ()


class _Shown(BaseModel):
    release: _State
    measurements: tuple[dict[str, Any], ...] = ()


class _Upload(BaseModel):
    id: str
    offset: int
    done: bool


class _Released(BaseModel):
    created: bool


class _Done(BaseModel):
    """Any answer that is a JSON object."""


@remote("http")
@remote("https")
class RegistryRemote:
    """A registry over HTTP: searches in SQL, takes uploads that can be resumed.

    Writing needs ZOO_TOKEN.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        odd = any(sign.isspace() or not sign.isprintable() for sign in url)
        if odd or not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
            raise WrongUse(
                f"not the address of a registry: {url!r} (expected https://host or"
                " https://host/path)"
            )
        self.url = url.rstrip("/")
        self._wire = Wire(self.url, self.url, token=settings.token)

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """See `Remote.search`."""
        paging = {"limit": str(min(limit, _PAGE))} | (
            {"cursor": cursor} if cursor is not None else {}
        )
        return self._wire.ask(Page, "GET", "/v1/artifacts", params=parameters(query) | paging)

    def resolve(self, query: Query) -> Resolution:
        """See `Remote.resolve`."""
        return self._wire.ask(Resolution, "GET", "/v1/resolve", params=parameters(query))

    def release(self, ref: Ref) -> Release:
        """See `Remote.release`: what was said of it from the listing.

        The record from its own bytes.
        """
        shown = self._wire.ask(
            _Shown, "GET", f"/v1/artifacts/{ref.name}/{quote(ref.selector, safe='')}"
        )
        state = shown.release
        data = self._wire.read("GET", f"/v1/blobs/{state.record_sha256}", limit=RECORD_LIMIT)
        record = read_record(data, ref, expected=state.record_sha256, where=self.url)
        added = (
            read_measurement(canonical(m), record, extra="ignore")
            for m in shown.measurements[len(record.measurements) :]
        )
        return Release(
            record=record,
            record_bytes=data,
            record_sha256=state.record_sha256,
            published=state.published,
            yanked=state.yanked,
            yank_reason=state.yank_reason,
            aliases=state.aliases,
            added=tuple(added),
        )

    def fetch(self, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """See `Remote.fetch`."""
        return self._wire.stream(digest, start)

    def publish(self, bundle: Bundle, report: Advance = ignore) -> Published:
        """See `Remote.publish`: blobs the registry lacks, then the record."""
        for digest, path in bundle.blobs.items():
            self._upload(digest, path, report)
        released = self._wire.ask(_Released, "POST", "/v1/releases", content=bundle.record_bytes)
        return Published(
            released.created, f"{self.url}/artifacts/{bundle.record.name}/{bundle.record.version}"
        )

    def _upload(self, digest: Digest, path: Path, report: Advance) -> None:
        """Send one blob; after a cut, go on where the registry says it stopped."""
        size = path.stat().st_size
        upload = self._announce(digest, size)
        sent = _Sent(report)
        sent.reach(size if upload.done else upload.offset)
        for _ in range(TRIES):
            if upload.done:
                return
            failure = self._send(upload, path, size, sent)
            if failure is None:
                return
            upload = self._look(upload, digest, size)
        raise Unreachable(
            f"{self.url} took {upload.offset} of {size} bytes of {path.name}",
            hint="run the same command again",
        )

    def _announce(self, digest: Digest, size: int) -> _Upload:
        return self._wire.ask(_Upload, "POST", "/v1/uploads", json={"sha256": digest, "size": size})

    def _look(self, upload: _Upload, digest: Digest, size: int) -> _Upload:
        """Ask how far an upload is.

        One that is gone may have been finished by an answer that was lost.
        """
        try:
            return self._wire.ask(_Upload, "GET", f"/v1/uploads/{upload.id}")
        except NotFound:
            return self._announce(digest, size)

    def _send(self, upload: _Upload, path: Path, size: int, sent: "_Sent") -> Unreachable | None:
        headers = {
            "Content-Length": str(size - upload.offset),
            "Content-Type": "application/octet-stream",
        }
        headers |= (
            {"Content-Range": f"bytes {upload.offset}-{size - 1}/{size}"} if upload.offset else {}
        )
        try:
            self._wire.once(
                "PUT",
                f"/v1/uploads/{upload.id}",
                content=_pieces(path, upload.offset, sent),
                headers=headers,
            )
        except Unreachable as failure:
            return failure
        return None

    def promote(self, name: str, alias: str, version: str) -> None:
        """See `Remote.promote`."""
        self._wire.ask(
            _Done,
            "PUT",
            f"/v1/artifacts/{name}/aliases/{quote(alias, safe='')}",
            json={"version": version},
        )

    def yank(self, name: str, version: str, reason: str) -> None:
        """See `Remote.yank`."""
        self._wire.ask(
            _Done, "POST", f"/v1/artifacts/{name}/{version}/yank", json={"reason": reason}
        )

    def add_measurement(self, name: str, version: str, measurement: Measurement) -> None:
        """See `Remote.add_measurement`."""
        self._wire.ask(
            _Done,
            "POST",
            f"/v1/artifacts/{name}/{version}/measurements",
            content=canonical(measurement),
        )


@remote(EMBEDDED)
class EmbeddedRemote(RegistryRemote):
    """The registry in the project's folder, in this process: the default.

    Needs the extra `registry`.
    """

    # the signature of all remotes
    def __init__(self, url: str, settings: Settings) -> None:  # noqa: ARG002
        folder = settings.home / "registry"
        try:
            from zoo_registry.embedded import application

            served = application(folder)
        except ModuleNotFoundError as error:
            raise (
                missing_extra(error, "the registry in the project's folder", "registry") or error
            ) from error
        self.url = f"{EMBEDDED}:{folder}"
        self._wire = Wire(self.url, "http://embedded", transport=httpx.WSGITransport(app=served))
        weakref.finalize(self._wire, served.close)  # streams under way hold the wire, not this


class _Sent:
    """Tells `report` of bytes once, however often they had to be sent."""

    def __init__(self, report: Advance) -> None:
        self._report, self._told = report, 0

    def reach(self, position: int) -> None:
        """Say that everything up to `position` was sent."""
        if position > self._told:
            self._report(position - self._told)
            self._told = position


def _pieces(path: Path, start: int, sent: _Sent) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while piece := stream.read(CHUNK):
            yield piece
            sent.reach(stream.tell())


def parameters(query: Query) -> dict[str, str]:
    """Spell a query as the API's parameters; what is at its default is left out."""
    given = query.model_dump(exclude={"min_metrics"}, exclude_defaults=True)
    plain = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }
    return plain | {f"min_{name}": str(value) for name, value in query.min_metrics.items()}
