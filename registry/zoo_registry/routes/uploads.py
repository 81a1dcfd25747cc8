"""Uploads: announce a blob, send its bytes (all at once, or on from where they stopped)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import WrongUse
from zoo_registry.problems import problems
from zoo_registry.ranges import content_range
from zoo_registry.routes.common import Zoo, allow, body_of, read_model
from zoo_registry.uploads import Upload

router = APIRouter(
    prefix="/v1/uploads",
    tags=["publish"],
    dependencies=[Depends(allow("publish"))],
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)


class Announced(BaseModel):
    """A blob to come."""

    sha256: Digest
    size: Annotated[int, Field(ge=0, strict=True)]


@router.post(
    "",
    status_code=201,
    openapi_extra=body_of(Announced),
    responses={200: {"model": Upload, "description": "it is here already"}},
)
async def announce(request: Request, response: Response, zoo: Zoo) -> Upload:
    """Announce a blob. One that the registry has is `done` at once."""
    asked = await read_model(request, Announced)
    upload = await run_in_threadpool(zoo.uploads.begin, asked.sha256, asked.size)
    response.status_code = 200 if upload.done else 201
    return upload


@router.get("/{identity}")
def status(identity: str, zoo: Zoo) -> Upload:
    """Say how many bytes have come."""
    return zoo.uploads.status(identity)


@router.put(
    "/{identity}",
    responses={201: {"model": Upload, "description": "all bytes are here and verified"}},
    openapi_extra=body_of({"type": "string", "format": "binary"}, "application/octet-stream"),
)
async def send(identity: str, request: Request, response: Response, zoo: Zoo) -> Upload:
    """Send bytes: all of them, or with `Content-Range: bytes START-END/SIZE` those from START on.

    Verified when the last has come.
    """
    upload = await run_in_threadpool(zoo.uploads.status, identity)
    start = _start(request.headers.get("content-range"), upload)
    with zoo.uploads.receiving(identity, start) as part:
        async for piece in request.stream():
            part.write(piece)
    finished = await run_in_threadpool(zoo.uploads.finish, identity)
    response.status_code = 201 if finished.done else 200
    return finished


def _start(header: str | None, upload: Upload) -> int:
    if header is None:
        return 0
    found = content_range(header)
    if found is None or found[2] != upload.size:
        raise WrongUse(
            f"not the Content-Range of this upload: {header[:60]!r} (expected bytes"
            f" START-END/{upload.size})"
        )
    return found[0]
