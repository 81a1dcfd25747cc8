"""`zoo yank`: withdraw a version."""

from typing import Annotated

import typer

from zoo_client.commands.options import From, Json
from zoo_client.output import console, emit_json
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.ref import Ref

VERB = {"group": "Model engineer", "rank": 90, "help": "Withdraw a version, with a reason."}


def yank(
    *,
    ref: Annotated[str, typer.Argument(metavar="REF", help="NAME@VERSION, exactly.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Why, in a sentence; shown to whoever asks for it.")
    ],
    url: From = None,
    as_json: Json = False,
) -> None:
    """Withdraw a version: nobody gets it any more by a range or as the latest.

    Its bytes stay, and the reason is shown.
    """
    wanted = Ref.parse(ref)
    if wanted.exact is None:
        raise WrongUse(
            f"zoo yank wants an exact version, not {ref!r}",
            hint=f"zoo show {wanted.name}   # shows which there are",
        )
    open_remote(url, Settings.read()).yank(wanted.name, str(wanted.exact), reason)
    if as_json:
        emit_json(
            {"name": wanted.name, "version": str(wanted.exact), "yanked": True, "reason": reason}
        )
    else:
        console().print(f"{wanted.name}@{wanted.exact} is withdrawn: {reason}")
