"""The Hugging Face Hub as a remote.

`hub://org/repo`, one repository for one model and its variants.

    README.md                         the model card, generated from the records
    zoo.json                          what is released, yanked and aliased: the truth of this
                                      repository
    <variant>/model.tflite            the version published last …
    <variant>/record.json             … its record, byte for byte as published …
    <variant>/golden.npz              … and its golden vectors
    measurements/<variant>/<version>/<sha256>.json   added after the release

Publishing is one commit whose parent is the commit that was read before: of two publishers the Hub
turns one away (412), who then reads again. A version is released from that commit on. The tag
`<variant>-v<version>` marks the commit, which is how older versions are read; if a publisher dies
between commit and tag, whoever publishes next sets the tag before writing on.
"""

import re
from collections.abc import Iterator
from typing import Any

from zoo_client.download import Advance, ignore
from zoo_client.evaluate import page, resolve_latest
from zoo_client.remotes import remote
from zoo_client.remotes.base import Bundle, Published, read_record
from zoo_client.remotes.hub.repository import Repository
from zoo_client.remotes.hub.state import State
from zoo_client.settings import Settings
from zoo_registry.model import card
from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, Unsupported, WrongUse, Yanked
from zoo_registry.model.query import Query
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.ref import ALIAS, LATEST, Ref
from zoo_registry.model.submitted import accept
from zoo_registry.model.summary import Summary
from zoo_registry.stores.layout import Release, now, read_measurement, stamp

_ADDRESS = re.compile(r"hub://([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})/?")

_FORBIDDEN = re.compile(r"--|\.\.|[.-](/|$)|\.git(/|$)")
"""What the Hub takes in no name (`huggingface_hub.utils.validate_repo_id`)."""


@remote("hub")
class HubRemote:
    """A repository on the Hugging Face Hub: what everybody knows how to find.

    Needs the extra `hub`.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        match = _ADDRESS.fullmatch(url)
        if match is None or _FORBIDDEN.search(match[1]):
            raise WrongUse(f"not a Hub address: {url!r} (expected hub://org/repo)")
        self.url = f"hub://{match[1]}"
        self._repository = Repository(match[1], self.url, settings)
        self._places: dict[Digest, tuple[str, str]] = {}

    # reading

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """See `Remote.search`."""
        return page(query, self._summaries(), limit=limit, cursor=cursor)

    def resolve(self, query: Query) -> Resolution:
        """See `Remote.resolve`."""
        return resolve_latest(query, self._summaries())

    def _summaries(self) -> list[Summary]:
        _, state = self._repository.state()
        return [state.summary(claim) for _, _, claim in state.claims()]

    def release(self, ref: Ref) -> Release:
        """See `Remote.release`."""
        head, state = self._repository.state()
        variant, version = state.select(ref, self.url)
        claim = state.releases[variant][version]
        revision = self._repository.revision(head, state, variant, version)
        data = self._repository.read(revision, f"{variant}/record.json")
        record = read_record(data, ref, expected=claim.record, where=self.url)
        self._places[record.file.sha256] = (revision, f"{variant}/model.tflite")
        if record.golden is not None:
            self._places[record.golden.sha256] = (revision, f"{variant}/golden.npz")
        added = [
            self._repository.read(head, f"measurements/{variant}/{version}/{digest}.json")
            for digest in claim.measurements
        ]
        return Release(
            record=record,
            record_bytes=data,
            record_sha256=claim.record,
            published=claim.published,
            yanked=claim.yanked is not None,
            yank_reason=claim.yanked or "",
            aliases=state.summary(claim).aliases,
            added=tuple(read_measurement(text, record) for text in added),
        )

    def fetch(self, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """See `Remote.fetch`."""
        revision, path = self._places.get(digest) or self._find(digest)
        return self._repository.stream(revision, path, start)

    def _find(self, digest: Digest) -> tuple[str, str]:
        """Look for a blob among the files of all releases."""
        head, state = self._repository.state()
        for variant, version, claim in state.claims():
            if digest == claim.file:
                revision = self._repository.revision(head, state, variant, version)
                return revision, f"{variant}/model.tflite"
        raise NotFound(
            f"{self.url} has no file sha256:{digest}", hint=f"zoo search --from {self.url}"
        )

    # writing

    def publish(self, bundle: Bundle, report: Advance = ignore) -> Published:
        """See `Remote.publish`: one commit with its parent named, then the tag."""
        self._repository.create()
        record = bundle.record
        created = self._repository.change(
            f"Publish {record.name} {record.version}",
            lambda head, state: self._files(head, state, bundle),
        )
        self._repository.mark(*self._repository.state())
        report(sum(path.stat().st_size for path in bundle.blobs.values()))
        return Published(created, f"{self.url}/{record.variant}")

    def _files(self, head: str, state: State, bundle: Bundle) -> dict[str, Any] | None:
        """List the files of a release for one commit.

        None when this file is released under this version already.
        """
        record = bundle.record
        if state.stands(record):
            return None
        others = self._others(head, state, record)
        state.release(record, bundle.record_sha256, stamp(now()))
        folder = record.variant
        files: dict[str, Any] = {
            f"{folder}/model.tflite": bundle.blobs[record.file.sha256],
            f"{folder}/record.json": bundle.record_bytes,
        }
        if record.golden is not None:
            files[f"{folder}/golden.npz"] = bundle.blobs[record.golden.sha256]
        return files | {"README.md": card.for_hub([*others, record], self.url).encode()}

    def _others(self, head: str, state: State, record: Record) -> list[Record]:
        """Read the records of the other variants, for the card.

        Set the tag that a publisher who died left out.
        """
        self._repository.mark(head, state)
        others = [
            Record.read(self._repository.read(head, f"{variant}/record.json"))
            for variant in sorted(state.current)
            if variant != record.variant
        ]
        foreign = next((other for other in others if other.model != record.model), None)
        if foreign is not None:
            raise Unsupported(
                f"{self.url} holds the model {foreign.model}; one repository holds one model, not"
                f" {record.model} too",
                hint=f"zoo publish … --to hub://{self._repository.name.partition('/')[0]}/{record.model}",
            )
        return others

    def promote(self, name: str, alias: str, version: str) -> None:
        """See `Remote.promote`."""
        if not ALIAS.fullmatch(alias) or alias == LATEST:
            raise WrongUse(
                f"not an alias: {alias!r} (lower-case letters, digits and '-'; `latest` moves by"
                " itself)"
            )

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any]:  # noqa: ARG001
            variant, exact = state.select(Ref(name, version), self.url)
            if state.releases[variant][exact].yanked is not None:
                raise Yanked(
                    f"{name}@{version} was withdrawn, so no alias may point to it",
                    hint=f"zoo show {name}",
                )
            state.aliases.setdefault(variant, {})[alias] = exact
            return {}

        self._repository.change(f"Point {alias} of {name} to {version}", edit)

    def yank(self, name: str, version: str, reason: str) -> None:
        """See `Remote.yank`."""

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any] | None:  # noqa: ARG001
            variant, exact = state.select(Ref(name, version), self.url)
            claim = state.releases[variant][exact]
            if claim.yanked is not None:
                return None
            state.releases[variant][exact] = claim.model_copy(update={"yanked": reason})
            return {}

        self._repository.change(f"Withdraw {name} {version}", edit)

    def add_measurement(self, name: str, version: str, measurement: Measurement) -> None:
        """See `Remote.add_measurement`."""
        spelled = canonical(measurement)
        digest = Digest.of(spelled)
        record = self.release(Ref(name, version)).record
        accept(read_measurement(spelled, record))

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any] | None:  # noqa: ARG001
            variant, exact = state.select(Ref(name, version), self.url)
            claim = state.releases[variant][exact]
            if digest in claim.measurements or measurement in record.measurements:
                return None
            state.measured(variant, exact, record, measurement)
            return {f"measurements/{variant}/{exact}/{digest}.json": spelled}

        self._repository.change(
            f"Add a measurement of {name} {version} on {measurement.device}", edit
        )
