"""`zoo devices`: what this machine can measure on, what is missing, and how to get it."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from zoo_builders.devices import DEVICES, Found
from zoo_client.commands.options import Json
from zoo_client.output import NOTHING, console, emit_json, remark, table

VERB = {
    "group": "Everyone",
    "rank": 60,
    "help": "List what this machine can measure on, and what is missing.",
    "extra": "bench",
    "call": "app",
}

app = typer.Typer(add_completion=False, invoke_without_command=True, no_args_is_help=False)


@app.callback()
def devices(context: typer.Context, *, as_json: Json = False) -> None:
    """List the places that files can be measured on from here.

    Where a place could be set up, it says what is missing and how to get it.
    """
    if context.invoked_subcommand is not None:
        return
    found = [line for name in DEVICES.names() for line in DEVICES.get(name).found()]
    if as_json:
        emit_json({"devices": [asdict(line) | {"ready": not line.missing} for line in found]})
        return
    rows = table("device", "what it is", "ready", "to get it")
    for line in found:
        rows.add_row(line.device, line.what or NOTHING, _state(line), line.hint or NOTHING)
    console().print(rows)
    remark("zoo bench REF|FILE --device DEVICE measures there")


def _state(line: Found) -> Text:
    return (
        Text(f"no: {line.missing}", style="yellow") if line.missing else Text("yes", style="green")
    )


@app.command("install")
def install(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE", help="A device that brings what it needs, such as web-wasm."
        ),
    ],
) -> None:
    """Bring what a device needs, where that is no matter of another program.

    Raises:
        UnknownPlugin: no device is called so.
        Unsupported: it brings nothing itself; the hint says what its machine wants.
    """
    device = DEVICES.get(name.partition(":")[0])
    console().print(Text(f"{device.name}: {device.install(remark)}"))
