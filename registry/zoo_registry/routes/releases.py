"""Publishing: a record whose blobs are here becomes a release, and what is said of it later."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from zoo_registry.model.canonical import parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Measurement
from zoo_registry.model.submitted import VISITORS
from zoo_registry.problems import problems
from zoo_registry.routes.common import Zoo, allow, body_of, read_body, read_model
from zoo_registry.stores.layout import RECORD_LIMIT

router = APIRouter(
    prefix="/v1", tags=["publish"], responses=problems(401, 403, 404, 409, 410, 413, 422, 503)
)


class Released(BaseModel):
    """How publishing ended.

    `created` is false when the same file was released under this version before.
    """

    created: bool
    name: str
    version: str
    file_sha256: Digest
    record_sha256: Digest
    published: str


class Added(BaseModel):
    """Whether the measurement is new."""

    added: bool


class AliasTarget(BaseModel):
    """The version that an alias is to point to."""

    version: str


class Alias(BaseModel):
    """Where an alias points now."""

    name: str
    alias: str
    version: str


class Reason(BaseModel):
    """Why a version is withdrawn."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class YankedVersion(BaseModel):
    """A withdrawn version and the first reason given."""

    name: str
    version: str
    yanked: bool
    reason: str


@router.post(
    "/releases",
    status_code=201,
    dependencies=[Depends(allow("publish"))],
    responses={200: {"model": Released, "description": "it was released before"}},
    openapi_extra=body_of(
        {"type": "object", "description": "a record, in canonical spelling (RFC 8785)"}
    ),
)
async def release(request: Request, response: Response, zoo: Zoo) -> Released:
    """Release a record whose blobs were uploaded.

    From then on name and version mean these bytes.
    """
    data = await read_body(request, RECORD_LIMIT)
    done = await run_in_threadpool(zoo.publish, data)
    response.status_code = 201 if done.created else 200
    return Released(
        created=done.created,
        name=done.record.name,
        version=done.record.version,
        file_sha256=done.record.file.sha256,
        record_sha256=done.record_sha256,
        published=done.published,
    )


@router.post(
    "/artifacts/{name}/{version}/measurements",
    status_code=201,
    dependencies=[Depends(allow("measure"))],
    responses={200: {"model": Added, "description": "it is known already"}},
    openapi_extra=body_of({"type": "object", "description": Measurement.__doc__}),
)
async def measure(name: str, version: str, request: Request, response: Response, zoo: Zoo) -> Added:
    """Add a measurement of that very file.

    Where visitors may do so without a token, they speak of their browsers (`web-wasm:…`) alone.
    """
    data = await read_body(request, RECORD_LIMIT)
    if not _speaks_of_a_browser(data):
        await run_in_threadpool(
            request.app.state.access.check,
            request.headers.get("authorization"),
            "measure",
            strictly=True,
        )
    added = await run_in_threadpool(zoo.add_measurement, name, version, data)
    response.status_code = 201 if added else 200
    return Added(added=added)


def _speaks_of_a_browser(data: bytes) -> bool:
    told = parse(data)
    return isinstance(told, dict) and str(told.get("device")).startswith(VISITORS)


@router.put(
    "/artifacts/{name}/aliases/{alias}",
    dependencies=[Depends(allow("publish"))],
    openapi_extra=body_of(AliasTarget),
)
async def promote(name: str, alias: str, request: Request, zoo: Zoo) -> Alias:
    """Point an alias at a version."""
    target = await read_model(request, AliasTarget)
    await run_in_threadpool(zoo.set_alias, name, alias, target.version)
    return Alias(name=name, alias=alias, version=target.version)


@router.post(
    "/artifacts/{name}/{version}/yank",
    dependencies=[Depends(allow("publish"))],
    openapi_extra=body_of(Reason),
)
async def yank(name: str, version: str, request: Request, zoo: Zoo) -> YankedVersion:
    """Withdraw a version: searches and ranges pass it by, its bytes stay.

    The first reason stands.
    """
    asked = await read_model(request, Reason)
    reason = await run_in_threadpool(zoo.yank, name, version, asked.reason)
    return YankedVersion(name=name, version=version, yanked=True, reason=reason)
