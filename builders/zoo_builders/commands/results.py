"""`zoo results`: finished builds as one page, beside what others published."""

from pathlib import Path
from typing import Annotated

import typer

from zoo_builders.commands.options import Json
from zoo_builders.reports import page
from zoo_builders.running.project import Project
from zoo_client.output import console, emit_json

VERB = {
    "group": "Model engineer",
    "rank": 65,
    "help": "Write finished builds as one page, with pictures.",
    "extra": "build",
}


def results(
    *,
    builds: Annotated[Path | None, typer.Option(help="Folder of finished builds.")] = None,
    out: Annotated[Path, typer.Option(help="Page to write; pictures go beside it.")] = Path(
        "results.md"
    ),
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the page of finished builds: what to take of each model, its files, its latencies."""
    records = page.write(builds or Project().home / "builds", out, model or ())
    if json:
        emit_json({"page": str(out), "artifacts": [record.name for record in records]})
        return
    console().print(f"{out}: {len(records)} variants", markup=False)
