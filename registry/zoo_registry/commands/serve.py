"""`zoo serve`: run the registry."""

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from zoo_registry.model.errors import Unreachable
from zoo_registry.settings import Settings

VERB = {"group": "Platform engineer", "rank": 10, "help": "Run the registry.", "extra": "registry"}

_GRACE_S = 10


def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (ZOO_HOST; 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 = any free one (ZOO_PORT; 8080).")
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(help="Catalogue: a path or an SQLAlchemy URL (ZOO_DB; .zoo/registry/zoo.db)."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Blobs: a folder or s3://bucket/prefix (ZOO_STORE; .zoo/registry)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say the address as JSON.")] = False,
) -> None:
    """Run the registry: pages at /, API at /v1, its description at /docs.

    Ctrl-C ends it when the requests under way are answered.
    """
    import uvicorn

    from zoo_registry.app import create_app

    settings = Settings.read(host=host, port=port, db=db, store=store)
    app = create_app(settings)
    with _listening(settings) as listener:
        _announce(
            settings, f"http://{_shown(settings.host)}:{listener.getsockname()[1]}", as_json=as_json
        )
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=_GRACE_S, server_header=False
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is said about it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio answers without delay (TCP_NODELAY) only where it knows that the socket speaks TCP
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(128)
        except OSError as error:
            said = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            raise Unreachable(said, hint="zoo serve --port 0   # any free one") from error
        yield listener


def _shown(host: str) -> str:
    # - shown, not bound
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"[{reachable}]" if ":" in reachable and not reachable.startswith("[") else reachable


def _announce(settings: Settings, url: str, *, as_json: bool) -> None:
    said = (
        json.dumps({"url": url, "db": settings.db, "store": settings.store})
        if as_json
        else f"registry at {url}  (API at {url}/docs)"
    )
    sys.stdout.write(said + "\n")
    sys.stdout.flush()
