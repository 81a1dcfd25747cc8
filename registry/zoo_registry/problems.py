"""Errors as RFC 9457 problem documents.

Every answer that is an error looks the same, whoever found it.
"""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from zoo_registry.model.errors import NotFound, Unauthorized, WrongUse, ZooError, problem_document
from zoo_registry.routes import pages
from zoo_registry.routes.common import PROBLEM

_SLUGS = {404: NotFound.slug, 405: "method-not-allowed", 422: WrongUse.slug}


def problem(
    slug: str, status: int, detail: str, hint: str = "", headers: dict[str, str] | None = None
) -> Response:
    """Build a problem document."""
    return JSONResponse(
        problem_document(slug, status, detail, hint), status, headers, media_type=PROBLEM
    )


def of_error(error: ZooError) -> Response:
    """Show one of our own errors; who comes without a token is told how to bring one."""
    headers = (
        {"WWW-Authenticate": 'Bearer realm="zoo"'} if isinstance(error, Unauthorized) else None
    )
    return problem(error.slug, error.status, error.message, error.hint, headers)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    @app.exception_handler(ZooError)
    async def ours(_: Request, error: ZooError) -> Response:
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        slug = _SLUGS.get(
            error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        )
        detail = f"{request.method} {request.url.path}: {error.detail}"
        if error.status_code == NotFound.status and pages.wants_page(request):
            return await run_in_threadpool(pages.error_page, request, NotFound(detail))
        return problem(
            slug,
            error.status_code,
            detail,
            "see /docs for what there is",
            dict(error.headers or {}),
        )

    @app.exception_handler(RequestValidationError)
    async def of_fastapi(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        return problem(WrongUse.slug, WrongUse.status, said, "see /docs for what is expected")

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, __: Exception) -> Response:
        return problem(
            ZooError.slug, ZooError.status, "the registry made a mistake; its log says which"
        )
