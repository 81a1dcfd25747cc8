"""`zoo list`: what there is of one kind of plugin.

Each with the first line of its documentation.
"""

import inspect
from typing import Annotated, Any

import typer
from rich.text import Text

from zoo_client.commands.options import Json
from zoo_client.inventory import kinds, load_kind
from zoo_client.output import console, emit_json, remark, table
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.suggest import close

VERB = {
    "group": "Everyone",
    "rank": 70,
    "help": "List what there is of a kind of plugins, such as networks.",
    "call": "list_kind",
}


def list_kind(
    *,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(kinds())}.")],
    as_json: Json = False,
) -> None:
    """List the plugins of a kind, those of other installed packages too.

    What of those cannot be used is said on stderr.
    """
    if kind not in kinds():
        near = close(kind, kinds())
        raise WrongUse(f"there is no kind {kind!r}", hint=f"zoo list {near or '|'.join(kinds())}")
    of_kind = load_kind(kind)
    found = {name: first_line(of_kind.get(name)) for name in of_kind.names()}
    for error in of_kind.broken():
        remark(f"{error.message}\n  {error.hint}")
    if as_json:
        emit_json([{"name": name, "about": about} for name, about in found.items()])
        return
    made = table(kind, "what it is")
    for name, about in found.items():
        made.add_row(Text(name, style="bold"), about)
    console().print(made)


def first_line(plugin: Any) -> str:
    """Give the first line of a plugin's documentation: its `doc`, or its docstring."""
    documented = plugin if inspect.isroutine(plugin) or inspect.isclass(plugin) else type(plugin)
    text = getattr(plugin, "doc", "") or inspect.getdoc(documented) or ""
    return str(text).strip().partition("\n")[0]
