"""Templates to answers: autoescaped, with headers under which nothing but the registry's own files can run."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo_registry.model import words
from zoo_registry.model.errors import NotFound

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
STATIC: Mapping[str, str] = {"zoo.css": "text/css", "zoo.js": "text/javascript", "icon.svg": "image/svg+xml"}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template into an answer with the security headers."""
    return HTMLResponse(_environment().get_template(template).render(**values), status_code=status, headers=dict(HEADERS))


@cache
def static_file(name: str) -> bytes:
    """Read a file the pages use.

    Raises:
        NotFound: it is not one of them; only names of `STATIC` are ever opened.
    """
    if name not in STATIC:
        raise NotFound(f"no file is called {name!r}")
    return (files("zoo_registry.web") / "static" / name).read_bytes()


def static_address(name: str) -> str:
    """Give the address of a file the pages use; it changes with the bytes, so that it may be cached for ever."""
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
    environment.globals |= {"static": static_address, "here": ""}
    environment.filters |= {
        "size": words.size,
        "ms": words.milliseconds,
        "g": lambda value: f"{value:.6g}",
        "percent": words.percent,
        "count": words.count,
        "duration": words.duration,
        "metric": words.metric,
        "metric_name": words.metric_name,
    }
    return environment
