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
    turns one away (412), who
then reads again. A version is released from that commit on. The tag `<variant>-v<version>` marks
the commit, which is how older versions are read; if a publisher dies between commit and tag,
whoever publishes next sets the tag before writing on.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from zoo_client.download import Advance, ignore
from zoo_client.evaluate import page, resolve_latest
from zoo_client.remotes import remote
from zoo_client.remotes.base import Bundle, Published, read_record
from zoo_client.settings import Settings
from zoo_registry.model import card
from zoo_registry.model.answers import Page, Resolution
from zoo_registry.model.canonical import canonical, parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    Forbidden,
    InvalidRecord,
    MissingExtra,
    NotFound,
    ReleaseExists,
    Unreachable,
    Unsupported,
    WrongUse,
    Yanked,
)
from zoo_registry.model.query import Query
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.ref import ALIAS, LATEST, Ref
from zoo_registry.model.submitted import accept
from zoo_registry.model.summary import Summary
from zoo_registry.stores.layout import Release, now, read_measurement, stamp

if TYPE_CHECKING:
    from huggingface_hub import HfApi

STATE = "zoo.json"
_ADDRESS = re.compile(r"hub://([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})/?")
_SMALL = 8 << 20
_TRIES = 6
_LOST_RACE = 412


class Claim(BaseModel):
    """One released version: the digests of its record and file, when, where its bytes are.

    And what a listing shows.
    """

    record: Digest
    file: Digest
    published: str
    summary: Summary
    yanked: str | None = None
    measurements: tuple[Digest, ...] = ()


class State(BaseModel):
    """What `zoo.json` holds.

    Variant → version → claim, variant → the version that lies in its folder, variant → alias →
    version.
    """

    releases: dict[str, dict[str, Claim]] = {}
    current: dict[str, str] = {}
    aliases: dict[str, dict[str, str]] = {}


@remote("hub")
class HubRemote:
    """A repository on the Hugging Face Hub: what everybody knows how to find.

    Needs the extra `hub`.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        match = _ADDRESS.fullmatch(url)
        if match is None:
            raise WrongUse(f"not a Hub address: {url!r} (expected hub://org/repo)")
        self.repo, self.url = match[1], f"hub://{match[1]}"
        self._settings = settings
        self._places: dict[Digest, tuple[str, str]] = {}

    @property
    def api(self) -> "HfApi":
        """The Hub's own client."""
        try:
            from huggingface_hub import HfApi

            # public, not in __all__
            from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"{self.url} needs huggingface_hub, which is not installed",
                hint="pip install 'edgezoo[hub]'",
            ) from error
        if not sys.stderr.isatty():
            disable_progress_bars()
        return HfApi(endpoint=self._settings.hub_endpoint, token=self._settings.hub_token)

    # reading

    def search(self, query: Query, *, limit: int = 50, cursor: str | None = None) -> Page:
        """See `Remote.search`."""
        return page(query, self._summaries(), limit=limit, cursor=cursor)

    def resolve(self, query: Query) -> Resolution:
        """See `Remote.resolve`."""
        return resolve_latest(query, self._summaries())

    def _summaries(self) -> list[Summary]:
        _, state = self._state()
        return [
            _summary(state, claim)
            for versions in state.releases.values()
            for claim in versions.values()
        ]

    def release(self, ref: Ref) -> Release:
        """See `Remote.release`."""
        head, state = self._state()
        variant, version = self._select(state, ref)
        claim = state.releases[variant][version]
        revision = self._revision(head, state, variant, version)
        data = self._read(revision, f"{variant}/record.json")
        record = read_record(data, ref, expected=claim.record, where=self.url)
        self._places[record.file.sha256] = (revision, f"{variant}/model.tflite")
        if record.golden is not None:
            self._places[record.golden.sha256] = (revision, f"{variant}/golden.npz")
        added = [
            self._read(head, f"measurements/{variant}/{version}/{digest}.json")
            for digest in claim.measurements
        ]
        return Release(
            record=record,
            record_bytes=data,
            record_sha256=claim.record,
            published=claim.published,
            yanked=claim.yanked is not None,
            yank_reason=claim.yanked or "",
            aliases=_summary(state, claim).aliases,
            added=tuple(read_measurement(text, record) for text in added),
        )

    def _select(self, state: State, ref: Ref) -> tuple[str, str]:
        variants = {
            claim.summary.name: variant
            for variant, versions in state.releases.items()
            for claim in versions.values()
        }
        if ref.name not in variants:
            raise NotFound(
                f"{self.url} has no artifact {ref.name!r}",
                hint=f"zoo search --from {self.url}   # has {', '.join(sorted(variants))}",
            )
        variant = variants[ref.name]
        claims = state.releases[variant]
        if ref.is_alias:
            chosen = state.aliases.get(variant, {}).get(ref.selector)
        else:
            chosen = ref.pick(
                version for version, claim in claims.items() if ref.exact or claim.yanked is None
            )
        gone = ref.pick(claims) if chosen is None and not ref.is_alias else None
        if gone is not None:
            raise Yanked(
                f"all versions of {ref} were withdrawn; {gone}: {claims[gone].yanked}",
                hint=f"zoo show {ref.name}@{gone}",
            )
        if chosen is None or chosen not in claims:
            raise NotFound(
                f"{self.url} has no {ref}",
                hint=f"zoo search --from {self.url}   # released: {', '.join(claims)}",
            )
        return variant, chosen

    def _tags(self) -> dict[str, str]:
        with self._speaking():
            return {tag.name: tag.target_commit for tag in self.api.list_repo_refs(self.repo).tags}

    def _revision(self, head: str, state: State, variant: str, version: str) -> str:
        """The commit of a version: its tag, or the head while the version lies there."""
        tagged = self._tags().get(_tag(variant, version))
        if tagged is None and state.current.get(variant) != version:
            raise Unreachable(
                f"{self.url} lists {variant} {version}, but its tag {_tag(variant, version)} is"
                " gone"
            )
        return tagged or head

    def fetch(self, digest: Digest, *, start: int = 0) -> Iterator[bytes]:
        """See `Remote.fetch`."""
        revision, path = self._places.get(digest) or self._find(digest)
        return self._stream(revision, path, start)

    def _find(self, digest: Digest) -> tuple[str, str]:
        """Look for a blob among the files of all releases."""
        head, state = self._state()
        for variant, versions in state.releases.items():
            for version, claim in versions.items():
                if digest == claim.file:
                    return self._revision(head, state, variant, version), f"{variant}/model.tflite"
        raise NotFound(
            f"{self.url} has no file sha256:{digest}", hint=f"zoo search --from {self.url}"
        )

    def _stream(self, revision: str, path: str, start: int = 0) -> Iterator[bytes]:
        import httpx
        from huggingface_hub import hf_hub_url

        # public, not in __all__
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(self.repo, path, revision=revision, endpoint=self._settings.hub_endpoint)
        headers = build_hf_headers(token=self._settings.hub_token) | {"Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={start}-"} if start else {}
        try:
            with httpx.stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=30
            ) as answer:
                if answer.status_code == 404:  # noqa: PLR2004  not found
                    raise NotFound(
                        f"{self.url} has no {path} at {revision}",
                        hint=f"zoo search --from {self.url}",
                    )
                # partial content
                if not answer.is_success or (start and answer.status_code != 206):  # noqa: PLR2004
                    raise Unreachable(
                        f"{url} answered {answer.status_code} to a download from byte {start}"
                    )
                yield from answer.iter_bytes()
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self.url}: {error}", hint="run the same command again: it goes on from there"
            ) from error

    def _read(self, revision: str, path: str) -> bytes:
        data = bytearray()
        for piece in self._stream(revision, path):
            data += piece
            if len(data) > _SMALL:
                raise Unreachable(f"{self.url}/{path} is larger than {_SMALL} bytes")
        return bytes(data)

    def _state(self) -> tuple[str, State]:
        """Read the head commit and its `zoo.json`; a repository without one is empty."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._speaking():
            try:
                info = self.api.model_info(self.repo)
            except RepositoryNotFoundError as error:
                raise NotFound(
                    f"{self.url} does not exist, or is private",
                    hint="hf auth login   # if it is private",
                ) from error
        head, files = str(info.sha), {file.rfilename for file in info.siblings or ()}
        if STATE not in files:
            return head, State()
        try:
            return head, State.model_validate(parse(self._read(head, STATE)))
        except (ValidationError, InvalidRecord) as error:
            raise Unreachable(f"{self.url}/{STATE} is damaged: {error}") from error

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Let nothing of the Hub's client past this file."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            said = str(error).strip().splitlines()[-1]
            if status in (401, 403):
                raise Forbidden(
                    f"{self.url}: {said}",
                    hint="hf auth login   # or set HF_TOKEN to a token that may write",
                ) from error
            raise Unreachable(f"{self.url}: the Hub answered {status}: {said}") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise Unreachable(f"{self.url}: {error}", hint="run the same command again") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore"):
                raise
            raise Unreachable(f"{self.url}: {error}", hint="run the same command again") from error

    # writing

    def publish(self, bundle: Bundle, report: Advance = ignore) -> Published:
        """See `Remote.publish`: one commit with its parent named, then the tag."""
        with self._speaking():
            self.api.create_repo(self.repo, exist_ok=True)
        record = bundle.record
        created = self._change(
            f"Publish {record.name} {record.version}",
            lambda head, state: self._files(head, state, bundle),
        )
        self._mark(*self._state())
        report(sum(path.stat().st_size for path in bundle.blobs.values()))
        return Published(created, f"{self.url}/{record.variant}")

    def _files(self, head: str, state: State, bundle: Bundle) -> dict[str, Any]:
        """List the files of a release for one commit.

        None when this file is released under this version already.
        """
        record = bundle.record
        standing = state.releases.get(record.variant, {}).get(record.version)
        if standing is not None:
            if standing.file == record.file.sha256:
                return {}
            raise ReleaseExists(
                f"{record.name}@{record.version} is released with the file sha256:{standing.file},"
                f" not sha256:{record.file.sha256}",
                hint=(
                    f"zoo bump manifests/{record.model}.yaml   # raise the version; releases never"
                    " change"
                ),
            )
        others = self._others(head, state, record)
        summary = Summary.of(record, bundle.record_sha256)
        claim = Claim(
            record=bundle.record_sha256,
            file=record.file.sha256,
            published=stamp(now()),
            summary=summary,
        )
        state.releases.setdefault(record.variant, {})[record.version] = claim
        state.current[record.variant] = record.version
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
        self._mark(head, state)
        others = [
            Record.read(self._read(head, f"{variant}/record.json"))
            for variant in sorted(state.current)
            if variant != record.variant
        ]
        foreign = next((other for other in others if other.model != record.model), None)
        if foreign is not None:
            raise Unsupported(
                f"{self.url} holds the model {foreign.model}; one repository holds one model, not"
                f" {record.model} too",
                hint=f"zoo publish … --to hub://{self.repo.partition('/')[0]}/{record.model}",
            )
        return others

    def _change(self, title: str, edit: Callable[[str, State], dict[str, Any] | None]) -> bool:
        """Commit what `edit` asks for on top of what it saw, again when somebody was faster.

        False when it asks for nothing.
        """
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.errors import HfHubHTTPError

        for _ in range(_TRIES):
            head, state = self._state()
            files = edit(head, state)
            if not files:
                return False
            files[STATE] = canonical(state)
            adds = [CommitOperationAdd(path, content) for path, content in files.items()]
            with self._speaking():
                try:
                    self.api.create_commit(
                        self.repo, adds, commit_message=title, parent_commit=head
                    )
                except HfHubHTTPError as error:
                    if error.response is None or error.response.status_code != _LOST_RACE:
                        raise
                    continue
            return True
        raise Unreachable(
            f"{self.url} kept changing while we wrote", hint="run the same command again"
        )

    def _mark(self, head: str, state: State) -> None:
        """Set the tags of the versions that lie in the head; a tag that is there stays."""
        known = self._tags()
        for variant, version in state.current.items():
            if _tag(variant, version) not in known:
                with self._speaking():
                    self.api.create_tag(
                        self.repo, tag=_tag(variant, version), revision=head, exist_ok=True
                    )

    def promote(self, name: str, alias: str, version: str) -> None:
        """See `Remote.promote`."""
        if not ALIAS.fullmatch(alias) or alias == LATEST:
            raise WrongUse(
                f"not an alias: {alias!r} (lower-case letters, digits and '-'; `latest` moves by"
                " itself)"
            )

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any]:  # noqa: ARG001
            variant, exact = self._select(state, Ref(name, version))
            if state.releases[variant][exact].yanked is not None:
                raise Yanked(
                    f"{name}@{version} was withdrawn, so no alias may point to it",
                    hint=f"zoo show {name}",
                )
            state.aliases.setdefault(variant, {})[alias] = exact
            return {STATE: b""}

        self._change(f"Point {alias} of {name} to {version}", edit)

    def yank(self, name: str, version: str, reason: str) -> None:
        """See `Remote.yank`."""

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any]:  # noqa: ARG001
            variant, exact = self._select(state, Ref(name, version))
            claim = state.releases[variant][exact]
            if claim.yanked is not None:
                return {}
            state.releases[variant][exact] = claim.model_copy(update={"yanked": reason})
            return {STATE: b""}

        self._change(f"Withdraw {name} {version}", edit)

    def add_measurement(self, name: str, version: str, measurement: Measurement) -> None:
        """See `Remote.add_measurement`."""
        spelled = canonical(measurement)
        digest = Digest.of(spelled)
        record = self.release(Ref(name, version)).record
        accept(read_measurement(spelled, record))

        # the signature of all edits
        def edit(head: str, state: State) -> dict[str, Any]:  # noqa: ARG001
            variant, exact = self._select(state, Ref(name, version))
            claim = state.releases[variant][exact]
            if digest in claim.measurements or measurement in record.measurements:
                return {}
            timings = (
                *claim.summary.timings,
                *Summary.of(record, claim.record, added=(measurement,)).timings[
                    len(record.measurements) :
                ],
            )
            update = {
                "measurements": (*claim.measurements, digest),
                "summary": claim.summary.model_copy(update={"timings": timings}),
            }
            state.releases[variant][exact] = claim.model_copy(update=update)
            return {f"measurements/{variant}/{exact}/{digest}.json": spelled}

        self._change(f"Add a measurement of {name} {version} on {measurement.device}", edit)


def _tag(variant: str, version: str) -> str:
    return f"{variant}-v{version}"


def _summary(state: State, claim: Claim) -> Summary:
    item = claim.summary
    mine = sorted(
        alias
        for alias, version in state.aliases.get(item.variant, {}).items()
        if version == item.version
    )
    return item.model_copy(
        update={
            "aliases": tuple(mine),
            "yanked": claim.yanked is not None,
            "published": claim.published,
        }
    )
