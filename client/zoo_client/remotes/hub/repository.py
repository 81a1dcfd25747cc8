"""One repository on the Hub: its head, its files and tags, and commits that lose no race.

The only module that speaks with `huggingface_hub`; nothing of that library gets past it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zoo_client.remotes.hub.state import FILE, State
from zoo_client.settings import Settings
from zoo_registry.model.canonical import canonical, parse
from zoo_registry.model.errors import Forbidden, InvalidRecord, MissingExtra, NotFound, Unreachable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SMALL = 8 << 20
_TRIES = 6
_LOST_RACE = 412


@dataclass(frozen=True, slots=True)
class Repository:
    """`name` is `org/repo`, `url` what messages call it."""

    name: str
    url: str
    settings: Settings

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
        return HfApi(endpoint=self.settings.hub_endpoint, token=self.settings.hub_token)

    def stream(self, revision: str, path: str, start: int = 0) -> Iterator[bytes]:
        """Stream a file of a commit from byte `start` on.

        Raises:
            NotFound: the commit has no such file.
            Unreachable: the Hub does not answer, or not from that byte on.
        """
        import httpx
        from huggingface_hub import hf_hub_url

        # public, not in __all__
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(self.name, path, revision=revision, endpoint=self.settings.hub_endpoint)
        headers = build_hf_headers(token=self.settings.hub_token) | {"Accept-Encoding": "identity"}
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

    def read(self, revision: str, path: str) -> bytes:
        """Read a small file of a commit."""
        data = bytearray()
        for piece in self.stream(revision, path):
            data += piece
            if len(data) > _SMALL:
                raise Unreachable(f"{self.url}/{path} is larger than {_SMALL} bytes")
        return bytes(data)

    def state(self) -> tuple[str, State]:
        """Read the head commit and its `zoo.json`; a repository without one is empty."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._speaking():
            try:
                info = self.api.model_info(self.name)
            except RepositoryNotFoundError as error:
                raise NotFound(
                    f"{self.url} does not exist, or is private",
                    hint="hf auth login   # if it is private",
                ) from error
        head, files = str(info.sha), {file.rfilename for file in info.siblings or ()}
        if FILE not in files:
            return head, State()
        try:
            return head, State.model_validate(parse(self.read(head, FILE)))
        except (ValidationError, InvalidRecord) as error:
            raise Unreachable(f"{self.url}/{FILE} is damaged: {error}") from error

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

    def create(self) -> None:
        """Make the repository where there is none."""
        with self._speaking():
            self.api.create_repo(self.name, exist_ok=True)

    def _tags(self) -> dict[str, str]:
        """Tag → commit."""
        with self._speaking():
            return {tag.name: tag.target_commit for tag in self.api.list_repo_refs(self.name).tags}

    def revision(self, head: str, state: State, variant: str, version: str) -> str:
        """Give the commit of a version: its tag, or the head while the version lies there."""
        tagged = self._tags().get(_tag(variant, version))
        if tagged is None and state.current.get(variant) != version:
            raise Unreachable(
                f"{self.url} lists {variant} {version}, but its tag {_tag(variant, version)} is"
                " gone"
            )
        return tagged or head

    def change(self, title: str, edit: Callable[[str, State], dict[str, Any] | None]) -> bool:
        """Commit what `edit` asks for on top of what it saw, again when somebody was faster.

        `edit` changes the state and gives the files that go with it; False when it gives None.
        """
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.errors import HfHubHTTPError

        for _ in range(_TRIES):
            head, state = self.state()
            files = edit(head, state)
            if files is None:
                return False
            adds = [
                CommitOperationAdd(path, content)
                for path, content in (files | {FILE: canonical(state)}).items()
            ]
            with self._speaking():
                try:
                    self.api.create_commit(
                        self.name, adds, commit_message=title, parent_commit=head
                    )
                except HfHubHTTPError as error:
                    if error.response is None or error.response.status_code != _LOST_RACE:
                        raise
                    continue
            return True
        raise Unreachable(
            f"{self.url} kept changing while we wrote", hint="run the same command again"
        )

    def mark(self, head: str, state: State) -> None:
        """Set the tags of the versions that lie in the head; a tag that is there stays."""
        known = self._tags()
        for variant, version in state.current.items():
            if _tag(variant, version) not in known:
                with self._speaking():
                    self.api.create_tag(
                        self.name, tag=_tag(variant, version), revision=head, exist_ok=True
                    )


def _tag(variant: str, version: str) -> str:
    return f"{variant}-v{version}"
