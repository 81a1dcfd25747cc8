"""HTTP to a registry: time limits, retries, bounded answers.

Errors come back as what they were.

Nothing that comes over the wire is believed: an answer has a bounded length, is JSON in the shape
we expect, or is refused.
"""

import time
import unicodedata
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from zoo_registry.model.canonical import parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import (
    Forbidden,
    InvalidRecord,
    NotFound,
    Unreachable,
    ZooError,
    from_problem,
)
from zoo_registry.model.record import explain

ANSWER_LIMIT = 16 << 20
TRIES = 4
PAUSE_S = 0.2
TIMEOUT = httpx.Timeout(60, connect=10)
_REDIRECTS = 5
_PARTIAL = 206
Model = TypeVar("Model", bound=BaseModel)


class Wire:
    """One registry's HTTP. `name` is what messages call it."""

    def __init__(
        self,
        name: str,
        base: str,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "edgezoo",
        }
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self.name = name
        self._client = httpx.Client(
            base_url=base,
            headers=headers,
            timeout=TIMEOUT,
            follow_redirects=True,
            max_redirects=_REDIRECTS,
            transport=transport,
        )
        weakref.finalize(self, self._client.close)

    def ask(self, model: type[Model], method: str, path: str, **request: Any) -> Model:
        """Send one request and read the answer as a `model`.

        Text in it is freed of control characters.

        Raises:
            ZooError: the registry's own error.
            Unreachable: no answer after a few tries, or not one we understand.
        """
        data = self.read(method, path, **request)
        try:
            return model.model_validate(_printable(parse(data, limit=ANSWER_LIMIT)))
        except (InvalidRecord, ValidationError) as error:
            said = explain(error) if isinstance(error, ValidationError) else error.message
            raise self._nonsense(f"{method} {path}: {said[:300]}") from error

    def read(self, method: str, path: str, *, limit: int = ANSWER_LIMIT, **request: Any) -> bytes:
        """Send one request, and give the answer's bytes, at most `limit`.

        The request is sent again while the other side is busy or away.
        """
        for attempt in range(TRIES - 1):
            try:
                return self.once(method, path, limit=limit, **request)
            except Unreachable:
                time.sleep(PAUSE_S * 2**attempt)
        return self.once(method, path, limit=limit, **request)

    def once(self, method: str, path: str, *, limit: int = ANSWER_LIMIT, **request: Any) -> bytes:
        """Send one request, once, and give the answer's bytes, at most `limit`."""
        with self._sending(method, path, **request) as answer:
            data = self._bounded(answer, limit)
            if not answer.is_success:
                raise self._error(answer, data)
            return data

    def stream(self, digest: Digest, start: int) -> Iterator[bytes]:
        """Stream a blob from byte `start` on; a server that knows no ranges is made to count."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._sending("GET", f"/v1/blobs/{digest}", headers=headers) as answer:
            if not answer.is_success:
                raise self._error(answer, self._bounded(answer, ANSWER_LIMIT))
            skip = start if answer.status_code != _PARTIAL else 0
            if (
                start
                and not skip
                and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            ):
                raise self._nonsense(
                    f"was asked for bytes from {start} and sent"
                    f" {answer.headers.get('Content-Range')!r}"
                )
            for piece in answer.iter_raw():
                kept, skip = piece[skip:], max(0, skip - len(piece))
                if kept:
                    yield kept

    @contextmanager
    def _sending(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        """Send; let nothing of httpx past this file."""
        try:
            with self._client.stream(method, path, **request) as answer:
                yield answer
        except httpx.TooManyRedirects as error:
            raise self._nonsense(f"{path} redirects in a circle") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            said = str(error) or type(error).__name__
            raise Unreachable(
                f"{self.name} does not answer: {said}",
                hint="zoo doctor   # or run the same command again",
            ) from error

    def _bounded(self, answer: httpx.Response, limit: int) -> bytes:
        data = bytearray()
        for piece in answer.iter_raw():
            data += piece
            if len(data) > limit:
                raise self._nonsense(f"an answer of more than {limit} bytes")
        return bytes(data)

    def _error(self, answer: httpx.Response, data: bytes) -> ZooError:
        """Turn an error answer into the error it describes.

        What is no problem document is judged by its status.
        """
        try:
            document = _printable(parse(data))
            slug = str(document["type"]).rpartition(":")[2]
            said, hint = str(document["detail"])[:2000], str(document.get("hint", ""))[:500]
            return (
                Unreachable(f"{self.name}: {said}", hint=hint)
                if slug == ZooError.slug
                else from_problem(slug, said, hint)
            )
        except (InvalidRecord, TypeError, KeyError):
            said = (
                f"{self.name} answered {answer.status_code} to {answer.request.method}"
                f" {answer.request.url.path}"
            )
        if answer.status_code in (401, 403):
            return Forbidden(said, hint="export ZOO_TOKEN=…   # a token with the scope")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return NotFound(said, hint="zoo doctor   # is it a registry?")
        return Unreachable(said, hint="zoo doctor")

    def _nonsense(self, what: str) -> Unreachable:
        return Unreachable(
            f"{self.name} gave an answer we do not understand: {what}",
            hint="zoo doctor   # is it a registry?",
        )


def _printable(value: Any) -> Any:
    """Take control characters out of all text, so that nobody can write on the terminal but us."""
    if isinstance(value, str):
        return "".join(c for c in value if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf"))
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value
