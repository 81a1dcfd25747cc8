"""`zoo list`: what there is of one kind of plugin.

Each with the first line of its documentation.
"""

import importlib
import inspect
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from rich.text import Text

from zoo_client.commands.options import Json
from zoo_client.extras import missing_extra
from zoo_client.output import console, emit_json, table
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.plugins import Kind

KINDS = {
    "networks": "zoo_builders.networks.shipped:NETWORKS",
    "techniques": "zoo_builders.techniques:TECHNIQUES",
    "data": "zoo_builders.data.sources:SOURCES",
    "weights": "zoo_builders.pretrained.sources:WEIGHTS",
    "tasks": "zoo_builders.tasks:TASKS",
    "metrics": "zoo_builders.metrics:METRICS",
    "devices": "zoo_builders.devices:DEVICES",
    "stores": "zoo_registry.stores:STORES",
    "remotes": "zoo_client.remotes:REMOTES",
}


def list_kind(
    *,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    as_json: Json = False,
) -> None:
    """List networks, techniques, sources of data and weights, tasks, metrics, devices.

    Stores or remotes; each is one file.
    """
    found = {name: first_line(plugin) for name, plugin in plugins(kind).items()}
    if as_json:
        emit_json([{"name": name, "about": about} for name, about in found.items()])
        return
    made = table(kind, "what it is")
    for name, about in found.items():
        made.add_row(Text(name, style="bold"), about)
    console().print(made)


def plugins(kind: str) -> dict[str, Any]:
    """Give the plugins of a kind by name.

    Raises:
        WrongUse: there is no such kind; the hint names the nearest.
        MissingExtra: the package that brings them needs something that is not installed.
    """
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        raise WrongUse(
            f"there is no kind {kind!r}", hint=f"zoo list {near[0] if near else '|'.join(KINDS)}"
        )
    module, _, attribute = KINDS[kind].partition(":")
    try:
        found: Kind[Any] = getattr(importlib.import_module(module), attribute)
        return {name: found.get(name) for name in found.names()}
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"zoo list {kind}", "build") or error from error


def first_line(plugin: Any) -> str:
    """Give the first line of a plugin's documentation: its `doc`, or its docstring."""
    documented = plugin if inspect.isroutine(plugin) or inspect.isclass(plugin) else type(plugin)
    text = getattr(plugin, "doc", "") or inspect.getdoc(documented) or ""
    return str(text).strip().partition("\n")[0]
