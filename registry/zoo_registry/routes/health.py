"""Is it up, can it answer, and how much does it do."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from zoo_registry.problems import problems
from zoo_registry.routes.common import Zoo

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`ok`, or the answer is a problem."""

    status: str = "ok"


@router.get("/healthz")
def alive() -> Health:
    """Whether the process answers."""
    return Health()


@router.get("/readyz", responses=problems(503))
def ready(zoo: Zoo) -> Health:
    """Whether database and store answer."""
    zoo.check()
    return Health()


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def measured(request: Request) -> Response:
    """Counters for Prometheus."""
    numbers: CollectorRegistry = request.app.state.numbers
    return Response(generate_latest(numbers), headers={"Content-Type": CONTENT_TYPE_LATEST})
