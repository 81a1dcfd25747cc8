"""`zoo verify`: check a file, or a published artifact, against its record."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from zoo_client.cache import Cache
from zoo_client.commands.options import From, Json
from zoo_client.output import console, emit_json, transfer
from zoo_client.remotes import open_remote
from zoo_client.remotes.base import Remote
from zoo_client.settings import Settings
from zoo_client.verify import Verified, verify_file, verify_release
from zoo_registry.model import formatting
from zoo_registry.model.ref import Ref

VERB = {
    "group": "Everyone",
    "rank": 40,
    "help": "Check a file, or a published artifact, against its record.",
}


def verify(
    *,
    what: Annotated[
        str, typer.Argument(metavar="REF|FILE", help="A ref, or a file that was pulled.")
    ],
    url: From = None,
    as_json: Json = False,
) -> None:
    """Hash a file, or the bytes that a remote gives for a ref.

    Exit code 1 when bytes and record differ.
    """
    settings = Settings.read()
    path = Path(what)
    if path.is_file():
        found = verify_file(path, Cache(settings.cache), lambda: open_remote(url, settings))
    else:
        found = _published(open_remote(url, settings), Ref.parse(what))
    record = found.record
    if as_json:
        emit_json(
            {
                "name": record.name,
                "version": record.version,
                "sha256": found.sha256,
                "size": record.file.size,
                "record": found.where,
                "ok": True,
            }
        )
        return
    console().print(
        Text.assemble(
            (f"{record.name}@{record.version}", "bold"),
            f"  {formatting.size(record.file.size)}  ",
            ("is what its record says", "green"),
        )
    )
    console().print(Text(f"sha256:{found.sha256}\nrecord in {found.where}", style="dim"))


def _published(remote: Remote, ref: Ref) -> Verified:
    release = remote.release(ref)
    golden = release.record.golden.size if release.record.golden else 0
    with transfer(release.ref, release.record.file.size + golden) as advance:
        return verify_release(remote, release, advance)
