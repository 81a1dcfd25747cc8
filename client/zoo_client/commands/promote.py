"""`zoo promote`: move an alias to a version."""

from typing import Annotated

import typer

from zoo_client.commands.options import From, Json
from zoo_client.output import console, emit_json
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.ref import Ref

VERB = {"group": "Model engineer", "rank": 80, "help": "Move an alias such as stable to a version."}


def promote(
    *,
    ref: Annotated[str, typer.Argument(metavar="REF", help="NAME@VERSION.")],
    alias: Annotated[
        str, typer.Option("--to", metavar="ALIAS", help="Alias to move, such as stable.")
    ],
    url: From = None,
    as_json: Json = False,
) -> None:
    """Move an alias such as stable to a version.

    Whoever pulls NAME@stable gets that one from now on.
    """
    remote = open_remote(url, Settings.read())
    record = remote.release(Ref.parse(ref)).record
    remote.promote(record.name, alias, record.version)
    if as_json:
        emit_json({"name": record.name, "alias": alias, "version": record.version})
    else:
        console().print(f"{record.name}@{alias} is now {record.version}")
