"""What a measuring browser loads.

The lab's modules, LiteRT.js, and the files under test, over loopback, for one session.

Every answer isolates the page from other origins (COOP, COEP), which threads and a fine clock need.
Only what was named is ever opened: modules of `litertjs.browser`, files of LiteRT.js, and what
`offer` was given, under a name that nobody can guess.
"""

import secrets
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from zoo_registry.litertjs.installed import FILES, MODULES

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "max-age=3600",
}
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>edgezoo: web-wasm</title><link"
    b" rel=icon href=data:,>"
)
_BYTES = "application/octet-stream"


class BrowserFiles:
    """A server on a loopback port of its own; runs from `__enter__` to `__exit__`."""

    def __init__(self, runtime: Path) -> None:
        self._known = {f"/lab/{one.name}": ("text/javascript", one) for one in MODULES.glob("*.js")}
        self._known |= {
            f"/litertjs/{name}": (media, runtime / name) for name, media in FILES.items()
        }
        files = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Answer with a file, or that there is none."""
                found = files.find(self.path)
                self.send_response(200 if found else 404)
                media, body = found or ("text/plain", b"")
                for name, value in {
                    **HEADERS,
                    "Content-Type": media,
                    "Content-Length": str(len(body)),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing: a session is not a log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def offer(self, file: Path) -> str:
        """Serve a file; give its path on this server."""
        path = f"/files/{secrets.token_hex(16)}"
        self._known[path] = (_BYTES, file)
        return path

    def withdraw(self, path: str) -> None:
        """Serve it no longer."""
        self._known.pop(path, None)

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Give media type and bytes of what lies at a path; None where nothing does."""
        if path == "/":
            return "text/html", _PAGE
        with suppress(KeyError, OSError):
            media, file = self._known[path]
            return media, file.read_bytes()
        return None

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
