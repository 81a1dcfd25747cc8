"""`zoo bump`: raise the version of manifests."""

from pathlib import Path
from typing import Annotated

import typer

from zoo_builders.commands.options import Json
from zoo_builders.manifest.version_bump import Part, rewrite
from zoo_client.output import console, emit_json
from zoo_registry.model.errors import InvalidManifest
from zoo_registry.model.files import write_bytes

VERB = {
    "group": "Model engineer",
    "rank": 70,
    "help": "Raise the version of manifests whose content changed.",
    "extra": "build",
}


def bump(
    manifests: Annotated[list[Path], typer.Argument(metavar="M...", help="Manifests.")],
    *,
    part: Annotated[Part, typer.Option("--part", help="Which number to raise.")] = "patch",
    to: Annotated[
        str | None, typer.Option("--to", metavar="V", help="The version to write.")
    ] = None,
    json: Json = False,
) -> None:
    """Raise the version line of manifests; every other byte stays."""
    rows = []
    for path in manifests:
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidManifest(
                f"cannot be read: {error}", file=str(path), hint="zoo init   # writes a manifest"
            ) from error
        new_text, old, new = rewrite(text, str(path), part=part, to=to)
        write_bytes(path, new_text.encode(), mode=path.stat().st_mode & 0o777)
        rows.append({"manifest": str(path), "before": old, "now": new})
    if json:
        emit_json({"bumped": rows})
        return
    for row in rows:
        console().print(f"{row['manifest']}: {row['before']} → {row['now']}", markup=False)
