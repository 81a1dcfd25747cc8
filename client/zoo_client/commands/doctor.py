"""`zoo doctor`: check this installation and say how to mend it."""

import dataclasses

import typer
from rich.text import Text

from zoo_client import doctor as checks
from zoo_client.commands.options import Json
from zoo_client.output import console, emit_json, table
from zoo_client.settings import Settings

VERB = {
    "group": "Everyone",
    "rank": 90,
    "help": "Check this installation and say how to fix what is missing.",
}

_MARKS = {
    "ok": Text("ok", style="green"),
    "note": Text("note", style="yellow"),
    "broken": Text("broken", style="red bold"),
}


def doctor(*, as_json: Json = False) -> None:
    """Check this installation.

    Every finding comes with its fix (exit code 1 when something is broken).
    """
    findings = checks.look(Settings.read())
    if as_json:
        emit_json([dataclasses.asdict(finding) for finding in findings])
    else:
        made = table("check", "", "found", "fix")
        for finding in findings:
            made.add_row(
                Text(finding.what, style="bold"),
                _MARKS[finding.state],
                finding.found,
                Text(finding.fix, style="dim"),
            )
        console().print(made)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
