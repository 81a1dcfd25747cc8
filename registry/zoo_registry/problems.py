"""Errors as RFC 9457 problem documents.

Every answer that is an error looks the same, whoever found it.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from zoo_registry.model.errors import NotFound, Unauthorized, WrongUse, ZooError, problem_document

PROBLEM = "application/problem+json"
Page = Callable[[Request, ZooError], Response | None]
_SLUGS = {404: NotFound.slug, 405: "method-not-allowed", 422: WrongUse.slug}


class Problem(BaseModel):
    """An error (RFC 9457). `hint` is the next command to type or the change to make."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the problems that a route answers with."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "problem", "content": content} for status in statuses}


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


def install(app: FastAPI, missing: Page) -> None:
    """Make every error of `app` a problem document.

    `missing` gives the page for an address that leads nowhere, or None where no page is wanted.
    """

    @app.exception_handler(ZooError)
    async def ours(_: Request, error: ZooError) -> Response:
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        slug = _SLUGS.get(
            error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        )
        detail = f"{request.method} {request.url.path}: {error.detail}"
        page = None
        if error.status_code == NotFound.status:
            page = await run_in_threadpool(missing, request, NotFound(detail))
        headers = dict(error.headers or {})
        return page or problem(
            slug, error.status_code, detail, "see /docs for what there is", headers
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
