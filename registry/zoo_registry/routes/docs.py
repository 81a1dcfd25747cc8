"""The API as a page, drawn from the OpenAPI document by the registry itself.

It loads nothing from anybody else. Open to everybody.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from zoo_registry.access import Access
from zoo_registry.model.errors import ZooError, kinds
from zoo_registry.web import render, urls
from zoo_registry.web.reference import prose, reference

router = APIRouter(include_in_schema=False)
_EXAMPLE = (("device", "host-cpu"), ("max_latency_ms", "8"), ("min_top1", "0.7"))


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Show the routes with their parameters, bodies, answers and errors."""
    access: Access = request.app.state.access
    example = urls.get_command(
        str(request.base_url).rstrip("/") + urls.address("/v1/resolve", _EXAMPLE)
    )
    errors = [
        (kind.slug, kind.status, prose((kind.__doc__ or "").split("\n\n")[0])) for kind in kinds()
    ]
    errors.append(
        (ZooError.slug, ZooError.status, prose("The registry made a mistake; its log says which."))
    )
    public = access.public_reads or access.trusted
    return render.page(
        "reference.html",
        view=reference(request.app.openapi()),
        errors=errors,
        example=example,
        public=public,
    )
