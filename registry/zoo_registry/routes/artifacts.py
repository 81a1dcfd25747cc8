"""Searching, and reading what was published."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from zoo_registry.model.answers import Page, ParetoPoint, Resolution
from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.query import Query
from zoo_registry.model.ref import Ref
from zoo_registry.model.summary import Summary
from zoo_registry.problems import problems
from zoo_registry.ranges import matches
from zoo_registry.registry import MeasuredDevice
from zoo_registry.routes.common import Zoo
from zoo_registry.routes.params import Plane, Search, asking, documented
from zoo_registry.stores.layout import Release

router = APIRouter(prefix="/v1", tags=["search"], responses=problems(401, 403, 422, 503))


class Versions(BaseModel):
    """All versions of one artifact, highest first, and where its aliases point."""

    name: str
    items: tuple[Summary, ...]
    aliases: dict[str, str]


class Front(BaseModel):
    """The plane of two properties: what nothing beats is `on_front`."""

    x: str
    y: str
    points: tuple[ParetoPoint, ...]


@router.get("/artifacts", openapi_extra=documented(Search))
def search(asked: Annotated[Search, Depends(asking(Search))], zoo: Zoo) -> Page:
    """Search. By default each name's latest version that is not yanked.

    `near_misses` is filled when nothing fits the budget.
    """
    return zoo.search(asked.query, limit=asked.limit, cursor=asked.cursor)


@router.get("/resolve", openapi_extra=documented(Query))
def resolve(asked: Annotated[Query, Depends(asking(Query))], zoo: Zoo) -> Resolution:
    """Choose the one best artifact for a budget, and say why.

    When nothing fits, `chosen` is null and `near_misses` says by how much.
    """
    return zoo.resolve(asked)


@router.get("/pareto", openapi_extra=documented(Plane))
def pareto(asked: Annotated[Plane, Depends(asking(Plane))], zoo: Zoo) -> Front:
    """Place what fits in the plane of `x` and `y`: the front and the dominated points."""
    return Front(x=asked.x, y=asked.y, points=zoo.pareto(asked, asked.x, asked.y))


@router.get("/facets")
def facets(zoo: Zoo) -> dict[str, tuple[str, ...]]:
    """List the values that searches can choose from, by parameter.

    `metric` lists what `min_<metric>` and `sort` know.
    """
    return zoo.facets()


@router.get("/devices")
def devices(zoo: Zoo) -> tuple[MeasuredDevice, ...]:
    """List where releases were measured."""
    return zoo.devices()


@router.get("/artifacts/{name}", responses=problems(404))
def versions(name: str, zoo: Zoo) -> Versions:
    """List all versions of an artifact, highest first, yanked ones too."""
    found = zoo.versions(Ref.parse(name).name)
    pointing = {alias: item.version for item in found for alias in item.aliases}
    return Versions(name=name, items=found, aliases=pointing)


@router.get(
    "/artifacts/{name}/{selector}",
    responses={304: {"description": "not changed"}, **problems(404, 410)},
)
def record(name: str, selector: str, request: Request, zoo: Zoo) -> dict[str, Any]:
    """Give the record that a version, an alias or a range names.

    The record's keys stand at the top level, `measurements` with those added since; `release` says
    what was said of it since. The exact bytes that were released are the blob
    `release.record_sha256`.
    """
    # a finished Response
    return _answer(request, zoo.release(Ref.parse(f"{name}@{selector}")))  # type: ignore[return-value]


def _answer(request: Request, release: Release) -> Response:
    body = canonical(_shown(release))
    headers = {"ETag": f'"{Digest.of(body)}"', "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _shown(release: Release) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(release.record_bytes)
    shown["measurements"] = [
        *shown.get("measurements", ()),
        *(m.model_dump(mode="json") for m in release.added),
    ]
    shown["release"] = {
        "record_sha256": release.record_sha256,
        "published": release.published,
        "yanked": release.yanked,
        "yank_reason": release.yank_reason,
        "aliases": list(release.aliases),
    }
    return shown
