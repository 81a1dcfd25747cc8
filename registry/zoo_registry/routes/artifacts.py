"""Searching, and reading what was published."""

import json
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from zoo_registry.model.answers import Page, ParetoPoint, Resolution
from zoo_registry.model.canonical import canonical
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.query import FrontAxis
from zoo_registry.model.ref import Ref
from zoo_registry.model.summary import Summary
from zoo_registry.problems import problems
from zoo_registry.ranges import matches
from zoo_registry.registry import Device
from zoo_registry.routes.common import Zoo
from zoo_registry.routes.params import documented, read_query, read_search
from zoo_registry.stores.layout import Release

router = APIRouter(prefix="/v1", tags=["search"], responses=problems(401, 403, 422, 503))
_AXES = get_args(FrontAxis)
_AXIS: TypeAdapter[FrontAxis] = TypeAdapter(FrontAxis)


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


def _axis(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


@router.get("/artifacts", openapi_extra=documented(paging=True))
def search(request: Request, zoo: Zoo) -> Page:
    """Search. By default each name's latest version that is not yanked.

    `near_misses` is filled when nothing fits the budget.
    """
    asked = read_search(request.query_params.multi_items())
    return zoo.search(asked.query, limit=asked.limit, cursor=asked.cursor)


@router.get("/resolve", openapi_extra=documented())
def resolve(request: Request, zoo: Zoo) -> Resolution:
    """Choose the one best artifact for a budget, and say why.

    When nothing fits, `chosen` is null and `near_misses` says by how much.
    """
    return zoo.resolve(read_query(request.query_params.multi_items()).query)


_XY = (
    _axis(
        "x",
        "what should be small",
        {"type": "string", "enum": list(_AXES), "default": "latency_ms"},
    ),
    _axis("y", "the metric that should be large", {"type": "string", "default": "top1"}),
)


@router.get("/pareto", openapi_extra=documented(extra=_XY))
def pareto(request: Request, zoo: Zoo) -> Front:
    """Place what fits in the plane of `x` and `y`: the front and the dominated points."""
    asked = read_query(request.query_params.multi_items(), extra=("x", "y"))
    x, y = _x(asked.extra.get("x", "latency_ms")), asked.extra.get("y", "top1")
    return Front(x=x, y=y, points=zoo.pareto(asked.query, x, y))


def _x(text: str) -> FrontAxis:
    try:
        return _AXIS.validate_python(text)
    except ValidationError as error:
        raise InvalidQuery(
            f"x: no axis is called {text[:40]!r} (expected one of {', '.join(_AXES)})"
        ) from error


@router.get("/facets")
def facets(zoo: Zoo) -> dict[str, tuple[str, ...]]:
    """List the values that searches can choose from, by parameter.

    `metric` lists what `min_<metric>` and `sort` know.
    """
    return zoo.facets()


@router.get("/devices")
def devices(zoo: Zoo) -> tuple[Device, ...]:
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
