"""Wiring: settings → store, catalogue, registry → routes."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from zoo_registry import problems, routes
from zoo_registry.access import Access
from zoo_registry.catalogue import Catalogue
from zoo_registry.litertjs import installed
from zoo_registry.litertjs.served import RuntimeFiles
from zoo_registry.model.errors import OtherSide
from zoo_registry.registry import Registry
from zoo_registry.routes.common import READ
from zoo_registry.routes.pages import missing_page
from zoo_registry.settings import Settings
from zoo_registry.stores import open_store
from zoo_registry.telemetry import Telemetry

_OPEN = frozenset({"docs", "health", "static"})
_PAGES = frozenset({"docs", "pages", "static"})
_SUBJECTS = {
    "search": "Ask with a budget, and read what was published.",
    "blobs": "Bytes by digest; the address of a blob never changes its meaning.",
    "publish": (
        "Blobs first, then the record. Needs a token with the scope `publish`; a measurement one"
        " with `measure`."
    ),
    "hugging face": (
        "The Hub's layout, for reading: `HF_ENDPOINT=<this registry> hf download zoo/NAME`."
    ),
    "health": "For operations; needs no token.",
}


_DESCRIBED: dict[str, Any] = {  # no pages of FastAPI's own: they load scripts from elsewhere
    "docs_url": None,
    "redoc_url": None,
    "openapi_tags": [{"name": name, "description": about} for name, about in _SUBJECTS.items()],
}


def open_registry(settings: Settings) -> Registry:
    """Open the registry that `settings` describe, without serving it.

    A catalogue that an older program made is rebuilt from the store first; where the store does
    not answer, its rows say what they said before.

    Raises:
        Unsupported: its database was written by a newer program.
        UnknownPlugin, WrongUse: there is no such store or database.
    """
    registry = Registry(
        open_store(settings.store), Catalogue(settings.db), settings.spool_folder, settings.max_blob
    )
    if registry.catalogue.behind:
        with suppress(OtherSide):
            registry.reindex()
    return registry


def create_app(settings: Settings, *, pages: bool = True) -> FastAPI:
    """Build the application; without `pages`, the API alone.

    `app.state.registry` is the service, closed at shutdown.
    """
    registry = open_registry(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        registry.close()

    app = FastAPI(
        title="edgezoo",
        summary="A model zoo for on-device inference",
        version="1",
        lifespan=lifespan,
        **_DESCRIBED,
    )
    app.state.registry = registry
    app.state.access = Access(
        registry.catalogue,
        trusted=settings.trusted,
        public_reads=settings.public_reads,
        open_measurements=settings.open_measurements,
    )
    app.state.presign = settings.presign
    app.state.litertjs = RuntimeFiles(installed.folder(settings.litertjs))
    app.state.numbers = CollectorRegistry()
    app.add_middleware(Telemetry, numbers=app.state.numbers)
    problems.install(app, missing_page)
    for name, router in _routers(frozenset() if pages else _PAGES):
        app.include_router(router, dependencies=[] if name in _OPEN else [READ])
    _document_problem(app)
    return app


def _routers(without: frozenset[str]) -> Iterator[tuple[str, APIRouter]]:
    """Find the router of every module in `routes`."""
    for module in sorted(pkgutil.iter_modules(routes.__path__), key=lambda m: m.name):
        if module.name in without:
            continue
        router = getattr(
            importlib.import_module(f"{routes.__name__}.{module.name}"), "router", None
        )
        if router is not None:
            yield module.name, router


def _document_problem(app: FastAPI) -> None:
    """Put the problem document into the schema; routes refer to it by name."""
    describe = app.openapi

    def described() -> dict[str, object]:
        schema = describe()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", problems.Problem.model_json_schema())
        return schema

    # FastAPI's documented way to extend its schema
    app.openapi = described  # type: ignore[method-assign]
