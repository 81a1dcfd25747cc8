"""Templates to answers: autoescaped.

Their headers let nothing run but the registry's own files.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo_registry.litertjs.installed import MODULES
from zoo_registry.model import formatting
from zoo_registry.model.errors import NotFound

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": (
        "same-origin"
    ),  # this and the next: precise clocks and threads for what is measured in the browser
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
WORKER_HEADERS: Mapping[str, str] = {
    **HEADERS,
    # A worker has a policy of its own: in the lab's workers, and only there, WebAssembly may be
    # compiled.
    "Content-Security-Policy": POLICY.replace(
        "script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"
    ),
}
STATIC: Mapping[str, str] = {
    "zoo.css": "text/css",
    "zoo.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template into an answer with the security headers."""
    return HTMLResponse(
        _environment().get_template(template).render(**values),
        status_code=status,
        headers=dict(HEADERS),
    )


@cache
def static_file(name: str) -> bytes:
    """Read a file the pages use.

    Raises:
        NotFound: it is not one of them; only names of `STATIC` are ever opened.
    """
    if name not in STATIC:
        raise NotFound(f"no file is called {name!r}")
    return (files("zoo_registry.web") / "static" / name).read_bytes()


@cache
def lab_files() -> Mapping[str, bytes]:
    """Give the modules of the lab by name: the page's own, and those that run LiteRT.js."""
    folders = (files("zoo_registry.web") / "static" / "lab", MODULES)
    return {
        file.name: file.read_bytes()
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".js")
    }


@cache
def lab_version() -> str:
    """Name the state of all modules of the lab together.

    They import each other, so they are kept or replaced together.
    """
    return sha256(
        b"".join(name.encode() + data for name, data in sorted(lab_files().items()))
    ).hexdigest()[:12]


def lab_address(name: str) -> str:
    """Give the address of a module of the lab; it changes with any of them."""
    return f"/static/lab/{lab_version()}/{name}"


def static_address(name: str) -> str:
    """Give the address of a file the pages use.

    It changes with the bytes, so that it may be cached for ever.
    """
    return f"/static/{name}?v={sha256(static_file(name)).hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("zoo_registry.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": static_address, "lab_module": lab_address, "here": ""}
    environment.filters |= {
        "size": formatting.size,
        "ms": formatting.milliseconds,
        "g": lambda value: f"{value:.6g}",
        "percent": formatting.percent,
        "count": formatting.count,
        "duration": formatting.duration,
        "metric": formatting.metric,
        "metric_name": formatting.metric_name,
    }
    return environment
