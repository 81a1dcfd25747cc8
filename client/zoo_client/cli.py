"""The `zoo` command: verbs that are loaded when they are used.

Errors end here and nowhere else. `zoo --help` reads the verbs' rows alone (see `inventory`),
so it is instant whatever they import.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zoo_client import inventory
from zoo_client.extras import missing_extra
from zoo_registry.model.errors import WrongUse, ZooError
from zoo_registry.model.suggest import close

STOPPED = 130
_FOOT = """Every verb takes --help, and --json for machines. Exit code: 0 yes,
1 the answer is no, 2 wrong use, 3 the other side failed.
"""

STARTS_AGAIN = frozenset({"bench"})
"""Verbs that keep nothing of what Ctrl-C cut short."""


class Verbs(TyperGroup):
    """The root: knows its verbs by their rows and loads the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the base class's signature
        """List the verbs in their order."""
        return list(inventory.verbs())

    # the base class's signature
    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Load a verb; None when there is no such verb."""
        verb = inventory.verb(cmd_name)
        return verb.load() if verb is not None else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that was typed.

        Raises:
            WrongUse: there is none; the hint names the nearest.
        """
        if not args[0].startswith("-") and inventory.verb(args[0]) is None:
            near = close(args[0], inventory.verbs())
            raise WrongUse(f"there is no verb {args[0]!r}", hint=f"zoo {near or '--help'}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the table; imports nothing that the terminal does not already have."""
        formatter.write(_help(ctx))


def _help(ctx: Any) -> str:
    def bold(text: str) -> str:
        return typer.style(text, bold=True)

    rows = inventory.verbs()
    width = max(map(len, rows))
    lines = [
        f"{bold('zoo')}: a model zoo for on-device inference that can be asked a question",
        "",
        "Usage: zoo VERB [OPTIONS]",
        "",
    ]
    for title, verbs in groupby(rows.values(), lambda verb: verb.group):
        lines += [
            bold(title),
            *(f"  {typer.style(verb.name.ljust(width), fg='cyan')}  {verb.help}" for verb in verbs),
            "",
        ]
    options = [
        (", ".join(p.opts), p.help.partition(",")[0])
        for p in ctx.command.get_params(ctx)
        if getattr(p, "help", None)
    ]
    wide = max(len(name) for name, _ in options)
    lines += [
        bold("Options"),
        *(f"  {typer.style(name.ljust(wide), fg='cyan')}  {text}" for name, text in options),
        "",
    ]
    return "\n".join([*lines, _FOOT])


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"zoo {version('edgezoo')}")
        raise typer.Exit


root = typer.Typer(cls=Verbs, add_completion=True, no_args_is_help=True)


@root.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A model zoo for on-device inference that can be asked a question."""


def main() -> None:
    """Run the command line; the entry point of `zoo`."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command and give its exit code; every error ends here.

    0 yes, 1 the answer is no, 2 wrong use, 3 the other side failed (or we did), 130 stopped by
    Ctrl-C.
    """
    words = list(argv) or ["--help"]
    try:
        result = typer.main.get_command(root).main(
            args=words, prog_name="zoo", standalone_mode=False
        )
    except KeyboardInterrupt:
        result = STOPPED
    except Exception as error:  # noqa: BLE001  the outermost boundary
        return _end(error, words)
    if result == STOPPED:
        goes_on = (
            "is kept, and the same command goes on from there"
            if words[0] not in STARTS_AGAIN
            else "is shown"
        )
        typer.echo(f"stopped; what was finished {goes_on}", err=True)
    return result if isinstance(result, int) else 0


def _end(error: Exception, words: list[str]) -> int:
    """Tell the user what went wrong and give the exit code."""
    if isinstance(error, BrokenPipeError):
        return _closed_pipe()
    problem = _known(error, words) or _unexpected(error)
    if "--json" in words:
        from zoo_client.output import problem_document

        typer.echo(problem_document(problem))
    typer.echo(typer.style("error: ", fg="red", bold=True) + _only_text(problem.message), err=True)
    if problem.hint:
        typer.echo(typer.style("hint: ", fg="yellow") + _only_text(problem.hint), err=True)
    return problem.exit_code


def _only_text(text: str) -> str:
    """Take control characters out: a message may quote what somebody else wrote."""
    return "".join(character for character in text if character == "\n" or character.isprintable())


def _known(error: Exception, words: list[str]) -> ZooError | None:
    """Turn what typer and imports raise into our errors; None for what nobody expected."""
    if isinstance(error, ZooError):
        return error
    command = " ".join(["zoo", *(word for word in words[:1] if inventory.verb(word))])
    if type(error).__name__ == "NoArgsIsHelpError":
        return WrongUse(f"{command} wants a word more", hint=f"{command} --help")
    if isinstance(error, typer.Abort):
        return WrongUse("stopped")
    if isinstance(error, typer.BadParameter) or hasattr(error, "format_message"):
        return WrongUse(str(error.format_message()), hint=f"{command} --help")
    if isinstance(error, ModuleNotFoundError):
        return missing_extra(error, command)
    return None


def _unexpected(error: Exception) -> ZooError:
    from zoo_client.output import unexpected

    return unexpected(error)


def _closed_pipe() -> int:
    """The reader went away (`zoo search | head`).

    End quietly, without a complaint when Python flushes at exit.
    """
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
