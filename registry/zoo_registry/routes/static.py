"""The style, script and icon of the pages: open to everybody, so that the page that asks for a token looks like one."""

from fastapi import APIRouter
from fastapi.responses import Response

from zoo_registry.routes.common import IMMUTABLE
from zoo_registry.web import render

router = APIRouter(include_in_schema=False)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give a file of the pages; its address changes with its bytes."""
    return Response(render.static_file(name), media_type=render.STATIC[name], headers={**render.HEADERS, "Cache-Control": IMMUTABLE})
