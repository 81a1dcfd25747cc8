"""Counting requests, for Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Telemetry:
    """ASGI middleware: counts and times requests by route template.

    Many names of artifacts do not become many series.
    """

    def __init__(self, app: ASGIApp, numbers: CollectorRegistry) -> None:
        self.app = app
        self.requests = Counter(
            "zoo_requests", "Requests answered", ["method", "route", "status"], registry=numbers
        )
        self.seconds = Histogram(
            "zoo_request_seconds", "Time until the last byte", ["route"], registry=numbers
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, begun = 500, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.requests.labels(_method(scope["method"]), route, str(status)).inc()
            self.seconds.labels(route).observe(time.perf_counter() - begun)


def _method(name: str) -> str:
    return name if name in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} else "other"
