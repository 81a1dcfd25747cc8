"""What all routes share.

The registry, who may do what, and bodies of bounded size.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from zoo_registry.access import Access
from zoo_registry.model.canonical import parse
from zoo_registry.model.errors import Forbidden, InvalidRecord, TooLarge, WrongUse
from zoo_registry.model.record import explain
from zoo_registry.registry import Registry

IMMUTABLE = "public, max-age=31536000, immutable"
_SMALL = 64 << 10
Model = TypeVar("Model", bound=BaseModel)
Failure = TypeVar("Failure", bound=Exception)


def answering(
    answer: Callable[[Request, Failure], Response], *errors: type[Failure]
) -> type[APIRoute]:
    """Make a class of routes that answer these errors with `answer`.

    `answer` runs in a thread of its own.
    """

    class Answering(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def answered(request: Request) -> Response:
                try:
                    return await handler(request)
                except errors as error:
                    return await run_in_threadpool(answer, request, error)

            return answered

    return Answering


def registry_of(request: Request) -> Registry:
    """Give the registry that the application serves."""
    registry: Registry = request.app.state.registry
    return registry


def allow(scope: str) -> Callable[[Request], Awaitable[None]]:
    """Make a dependency that lets through whoever has `scope`."""

    async def check(request: Request) -> None:
        access: Access = request.app.state.access
        await run_in_threadpool(access.check, request.headers.get("authorization"), scope)

    return check


def may_read(request: Request) -> bool:
    """Whether who asks may read what is here.

    It decides on what is shown beside an answer that everybody gets.
    """
    access: Access = request.app.state.access
    try:
        access.check(request.headers.get("authorization"), "read")
    except Forbidden:
        return False
    return True


async def read_body(request: Request, limit: int = _SMALL) -> bytes:
    """Read the body of a request.

    Raises:
        TooLarge: it is longer than `limit` bytes; the rest is not read.
    """
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"a body of more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def read_model(request: Request, model: type[Model]) -> Model:
    """Read the body of a request as JSON; unknown keys are refused.

    Raises:
        WrongUse: it is not JSON, or not what is expected here.
    """
    try:
        return model.model_validate(parse(await read_body(request)), extra="forbid")
    except ValidationError as error:
        raise WrongUse(explain(error), hint="see /docs for what is expected") from error
    except InvalidRecord as error:
        raise WrongUse(error.message, hint="see /docs for what is expected") from error


def body_of(
    schema: dict[str, Any] | type[BaseModel], media: str = "application/json"
) -> dict[str, Any]:
    """Document the body of a route that reads it by itself."""
    described = (
        schema
        if isinstance(schema, dict)
        else schema.model_json_schema(ref_template="#/components/schemas/{model}")
    )
    return {"requestBody": {"required": True, "content": {media: {"schema": described}}}}


Zoo = Annotated[Registry, Depends(registry_of)]
READ = Depends(allow("read"))
