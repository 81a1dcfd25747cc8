"""A registry over real HTTP for tests: uvicorn in a thread, over a folder of the test."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record

if TYPE_CHECKING:
    from zoo_registry.registry import Registry

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class RegistryServer:
    """Where the server listens, where it keeps things, and the application inside."""

    url: str
    folder: Path
    app: Any


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port of the loopback interface."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _PATIENCE_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


def stock(registry: "Registry", record: Record, *blobs: bytes) -> Record:
    """Release a record whose blobs are these, without asking over HTTP."""
    for data in blobs:
        registry.store.put([data], Digest.of(data))
    registry.publish(record.to_bytes())
    return record


@pytest.fixture
def serve_registry(tmp_path: Path) -> Iterator[Callable[..., RegistryServer]]:
    """Give a starter of registries: `serve_registry(trusted=False)` needs tokens for writing."""
    from zoo_registry.app import create_app
    from zoo_registry.settings import Settings

    with contextlib.ExitStack() as stack:

        def start(name: str = "registry", **settings: Any) -> RegistryServer:
            folder = tmp_path / name
            given = {
                "db": str(folder / "zoo.db"),
                "store": str(folder),
                "spool": folder / "uploads",
                "trusted": True,
            }
            app = create_app(Settings.model_validate(given | settings))
            return RegistryServer(stack.enter_context(serving(app)), folder, app)

        yield start


@pytest.fixture
def registry_server(serve_registry: Callable[..., RegistryServer]) -> RegistryServer:
    """Run a registry that lets everybody write, for one test."""
    return serve_registry()
