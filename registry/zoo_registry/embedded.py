"""The registry of a project's folder, in process.

The same application as the server's, as a WSGI callable.

    folder/zoo.db      the catalogue              folder/blobs, releases, …   the store
    folder/uploads     uploads under way

Several processes may use one folder at once: the catalogue is SQLite in WAL mode, the store
arbitrates by hard links.
"""

import asyncio
import io
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from zoo_registry.app import create_app
from zoo_registry.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Embedded:
    """A WSGI application over one folder, for `httpx.WSGITransport`.

    Whoever can write to the folder may publish. Close it when done.

    Raises:
        Unsupported: the folder's database was written by a newer program.
    """

    def __init__(self, folder: Path) -> None:
        from a2wsgi import ASGIMiddleware

        self._app = create_app(Settings.embedded(folder), pages=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="zoo-embedded", daemon=True
        )
        self._thread.start()
        # its own, narrower ASGI types
        self._wsgi: Any = ASGIMiddleware(self._app, loop=self._loop)  # type: ignore[arg-type]

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if not environ.get("CONTENT_LENGTH"):
            environ = {**environ, **_measured(environ["wsgi.input"])}
        answer: Iterable[bytes] = self._wsgi(environ, start_response)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the loop and close the database; a second time does nothing."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._app.state.registry.close()


def application(folder: Path) -> Embedded:
    """Open the registry in `folder`, which is made where it is missing."""
    return Embedded(folder)


def _measured(body: Any) -> dict[str, Any]:
    """Give a body that came without a length (chunked) the length it has."""
    data = body.read() if body is not None else b""
    return {"CONTENT_LENGTH": str(len(data)), "wsgi.input": io.BytesIO(data)}


async def _cancel_others() -> None:
    """End requests whose readers went away."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
