"""The `zoo` command: a table of verbs, each loaded when it is used.

And the one boundary where errors end.

`zoo --help` reads this table alone, so it is instant whatever the verbs import. A verb is a
function with typer annotations, or a `typer.Typer` of its own. Adding one is one row here.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zoo_client.extras import missing_extra
from zoo_registry.model.errors import WrongUse, ZooError

STOPPED = 130
_FOOT = """Every verb takes --help, and --json for machines. Exit code: 0 yes,
1 the answer is no, 2 wrong use, 3 the other side failed.
"""


@dataclass(frozen=True, slots=True)
class Verb:
    """One row: what is typed, what it does, where it lives, the extra that brings what it needs."""

    name: str
    help: str
    target: str
    extra: str = ""


def _verb(
    name: str, text: str, package: str = "zoo_client", *, what: str = "", extra: str = ""
) -> Verb:
    return Verb(name, text, f"{package}.commands.{name}:{what or name}", extra)


_BUILD = {"package": "zoo_builders", "extra": "build"}
_BENCH = {"package": "zoo_builders", "extra": "bench"}
_SERVER = {"package": "zoo_registry", "extra": "registry"}

VERBS: dict[str, tuple[Verb, ...]] = {
    "Everyone": (
        _verb("search", "Find artifacts by task, technique, device and budget.", what="app"),
        _verb("pull", "Download one artifact, by name or by budget, verified.", what="app"),
        _verb("show", "Show everything that is known of one artifact."),
        _verb("verify", "Check a file, or a published artifact, against its record."),
        _verb(
            "bench", "Measure latency here, beside what was published.", what="bench_verb", **_BENCH
        ),
        _verb(
            "devices",
            "List what this machine can measure on, and what is missing.",
            what="app",
            **_BENCH,
        ),
        _verb(
            "list",
            "List networks, techniques, data, tasks, devices, stores or remotes.",
            what="list_kind",
        ),
        _verb("cache", "List, clean or check the pulled files kept on this machine.", what="app"),
        _verb("doctor", "Check this installation and say how to fix what is missing."),
    ),
    "Model engineer": (
        _verb("init", "Start a manifest.", **_BUILD),
        _verb("validate", "Find every mistake in manifests.", **_BUILD),
        _verb("plan", "Show what would be built, what is cached, what changed.", **_BUILD),
        _verb(
            "preflight",
            "Show what each technique can do to each layer, and what to change.",
            **_BUILD,
        ),
        _verb("build", "Train, optimize, convert, prove and measure.", **_BUILD),
        _verb("publish", "Publish what was built.", **_BUILD),
        _verb("bump", "Raise the version of manifests whose content changed.", **_BUILD),
        _verb("promote", "Move an alias such as stable to a version."),
        _verb("yank", "Withdraw a version, with a reason."),
    ),
    "Platform engineer": (
        _verb("serve", "Run the registry.", **_SERVER),
        _verb(
            "registry",
            "Migrate, reindex, verify, clean the registry; make tokens.",
            what="app",
            **_SERVER,
        ),
    ),
}
STARTS_AGAIN = frozenset({"bench"})
"""Verbs that keep nothing of what Ctrl-C cut short."""

BY_NAME = {verb.name: verb for group in VERBS.values() for verb in group}


def load(verb: Verb) -> Any:
    """Import a verb's module and give its command.

    Raises:
        MissingExtra: a package it needs is not installed; the hint is the pip command.
    """
    module, _, attribute = verb.target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"zoo {verb.name}", verb.extra) or error from error
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(add_completion=False)
    app.command(verb.name)(found)
    return typer.main.get_command(app)


class Verbs(TyperGroup):
    """The root: knows its verbs from the table and loads the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the base class's signature
        """List the verbs in the table's order."""
        return list(BY_NAME)

    # the base class's signature
    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Load a verb; None when there is no such verb."""
        return load(BY_NAME[cmd_name]) if cmd_name in BY_NAME else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that was typed.

        Raises:
            WrongUse: there is none; the hint names the nearest.
        """
        if args[0] not in BY_NAME and not args[0].startswith("-"):
            near = get_close_matches(args[0], BY_NAME, n=1)
            raise WrongUse(
                f"there is no verb {args[0]!r}", hint=f"zoo {near[0]}" if near else "zoo --help"
            )
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the table; imports nothing that the terminal does not already have."""
        formatter.write(_help(ctx))


def _help(ctx: Any) -> str:
    def bold(text: str) -> str:
        return typer.style(text, bold=True)

    width = max(map(len, BY_NAME))
    lines = [
        f"{bold('zoo')}: a model zoo for on-device inference that can be asked a question",
        "",
        "Usage: zoo VERB [OPTIONS]",
        "",
    ]
    for title, verbs in VERBS.items():
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
    command = " ".join(["zoo", *(word for word in words[:1] if word in BY_NAME)])
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
