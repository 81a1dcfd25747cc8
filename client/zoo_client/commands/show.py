"""`zoo show`: everything that is known of one artifact."""

from typing import Annotated

import typer

from zoo_client.commands.options import From, Json
from zoo_client.output import console, emit_json
from zoo_client.page import page
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.model.ref import Ref

VERB = {"group": "Everyone", "rank": 30, "help": "Show everything that is known of one artifact."}


def show(
    *,
    ref: Annotated[str, typer.Argument(metavar="REF", help=r"NAME\[@VERSION or ALIAS]")],
    url: From = None,
    as_json: Json = False,
) -> None:
    """Show everything that is known of one artifact.

    Quality, size, structure, proofs, latency and where it comes from.
    """
    release = open_remote(url, Settings.read()).release(Ref.parse(ref))
    if not as_json:
        console().print(page(release))
        return
    state = {
        "published": release.published,
        "yanked": release.yanked,
        "yank_reason": release.yank_reason,
        "aliases": release.aliases,
    }
    emit_json(
        {
            "record": release.record,
            "record_sha256": release.record_sha256,
            "added_measurements": release.added,
            **state,
        }
    )
