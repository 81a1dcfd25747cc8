"""What the pages are made of: styles, scripts, and the runtime of the lab.

Open to everybody, so that the page that asks for a token looks like one.
"""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from zoo_registry.litertjs.served import RuntimeFiles
from zoo_registry.model.errors import NotFound
from zoo_registry.ranges import matches
from zoo_registry.routes.common import IMMUTABLE
from zoo_registry.web import render

router = APIRouter(include_in_schema=False)
_CHANGING = "no-cache"


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give a file of the pages; its address changes with its bytes."""
    return Response(
        render.static_file(name),
        media_type=render.STATIC[name],
        headers={**render.HEADERS, "Cache-Control": IMMUTABLE},
    )


@router.get("/static/lab/{version}/{name}")
def lab(version: str, name: str) -> Response:
    """Give a module of the lab.

    Modules import each other by plain names, so the version of all stands in the path of each.
    """
    known = render.lab_files()
    if name not in known:
        raise NotFound(f"no module of the lab is called {name!r}")
    keep = IMMUTABLE if version == render.lab_version() else _CHANGING
    return Response(
        known[name],
        media_type="text/javascript",
        headers={**render.WORKER_HEADERS, "Cache-Control": keep},
    )


@router.get("/static/litertjs/{version}/{path:path}")
def litertjs(version: str, path: str, request: Request) -> Response:
    """Give a file of LiteRT.js, which is installed beside the registry and never a part of it."""
    installed: RuntimeFiles = request.app.state.litertjs
    file = installed.get(path)
    packs = "gzip" in request.headers.get("accept-encoding", "") and len(file.packed) < len(
        file.data
    )
    etag = f'"{file.digest}-gzip"' if packs else f'"{file.digest}"'
    keep = IMMUTABLE if version == installed.version else _CHANGING
    headers = {
        **render.WORKER_HEADERS,
        "Cache-Control": keep,
        "ETag": etag,
        "Vary": "Accept-Encoding",
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(
        file.packed if packs else file.data,
        media_type=file.media,
        headers=headers | ({"Content-Encoding": "gzip"} if packs else {}),
    )
