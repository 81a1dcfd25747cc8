"""Bytes by digest."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from zoo_registry.model.digest import Digest
from zoo_registry.problems import problems
from zoo_registry.ranges import portion
from zoo_registry.routes.common import IMMUTABLE, Zoo

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])
MEDIA = "application/octet-stream"
_BYTES = {MEDIA: {"schema": {"type": "string", "format": "binary"}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "all bytes", "content": _BYTES},
    206: {"description": "the range asked for", "content": _BYTES},
    304: {"description": "not changed"},
    307: {"description": "the store itself sends the bytes"},
    **problems(401, 403, 404, 416, 422, 503),
}
Direct = Annotated[
    bool,
    Query(
        description=(
            "the registry sends the bytes itself, also where it could point to its store: for pages"
        )
    ),
]


@router.get("/{sha256}", responses=ANSWERS, response_class=Response)
def blob(sha256: str, request: Request, zoo: Zoo, *, direct: Direct = False) -> Response:
    """Send a blob: Range (one), If-None-Match and If-Range are honoured.

    The ETag is the digest and never changes.
    """
    digest = Digest(sha256)
    seconds: int = request.app.state.presign
    info = zoo.blob(digest)
    if seconds and not direct and (place := zoo.store.presign(digest, seconds)):
        return RedirectResponse(place, status_code=307, headers={"Cache-Control": "no-store"})
    return send(
        request, _headers(digest), info.size, lambda start, end: zoo.store.read(digest, start, end)
    )


@router.head("/{sha256}", responses=ANSWERS, response_class=Response)
def look(sha256: str, zoo: Zoo) -> Response:
    """Say how large a blob is."""
    digest = Digest(sha256)
    headers = {**_headers(digest), "Content-Length": str(zoo.blob(digest).size)}
    return Response(headers=headers, media_type=MEDIA)


def send(
    request: Request,
    headers: Mapping[str, str],
    size: int,
    read: Callable[[int, int], Iterator[bytes]],
) -> Response:
    """Send what a request's Range, If-None-Match and If-Range ask for of `size` bytes.

    `headers` have the strong ETag.
    """
    part, headers = portion(request.headers, headers["ETag"], size), dict(headers)
    if part.status == 304:  # noqa: PLR2004 - HTTP
        return Response(status_code=304, headers=headers)
    if part.status == 416:  # noqa: PLR2004 - HTTP
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    if part.status == 206:  # noqa: PLR2004 - HTTP
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    headers["Content-Length"] = str(part.end - part.start)
    return StreamingResponse(
        _started(read(part.start, part.end)),
        status_code=part.status,
        headers=headers,
        media_type=MEDIA,
    )


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": IMMUTABLE,
        "X-Content-Type-Options": "nosniff",
    }


def _started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Take the first piece now.

    What is wrong with a small blob is a problem document, not a connection that breaks off.
    """
    first = next(pieces, b"")
    return chain((first,), pieces)
