"""What people and machines read: tables, pages, progress, JSON.

Numbers go to stdout, progress and remarks to stderr.
"""

import errno
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from zoo_client.settings import Settings
from zoo_registry.model import errors
from zoo_registry.model.errors import DiskFull, OtherSide, ZooError
from zoo_registry.model.summary import Timing

NOTHING = "-"
PIPED_WIDTH = 160
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
Advance = Callable[[int], None]


class SafeConsole(Console):
    """A console on which text is only text: no markup, no control characters, whoever wrote it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Take control characters out of every piece of text; colours are added later, by us."""
        for segment in super().render(renderable, options):
            yield (
                segment
                if segment.control
                else Segment(_CONTROL.sub("", segment.text), segment.style)
            )


def console(*, err: bool = False) -> Console:
    """Give a console that writes no colour and cuts no line unless a terminal reads it."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return SafeConsole(stderr=err, width=width, highlight=False, markup=False, emoji=False)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout: pydantic models, paths and times included."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def problem_document(error: ZooError) -> str:
    """Spell an error as the registry does, with the command's exit code."""
    document = errors.problem_document(error.slug, error.status, error.message, error.hint) | {
        "exit_code": error.exit_code
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def unexpected(error: Exception) -> ZooError:
    """Turn an error that nobody foresaw into one line; a full disk is foreseen.

    Its traceback goes into a file (or to stderr with `ZOO_TRACEBACK=1`).
    """
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        hint = f"df -h {error.filename or '.'}   # free some space, then type the same again"
        return DiskFull(f"the disk is full, or a limit on it is reached: {error}", hint=hint)
    settings = Settings.read()
    what = f"something went wrong that zoo did not foresee: {type(error).__name__}: {error}"
    text = "".join(traceback.format_exception(error))
    if settings.traceback:
        sys.stderr.write(text)
        return OtherSide(what)
    path = settings.logs / f"traceback-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"zoo {' '.join(sys.argv[1:])}\n\n{text}", encoding="utf-8")
    except OSError:
        return OtherSide(what, hint="ZOO_TRACEBACK=1 zoo …   # shows where")
    return OtherSide(what, hint=f"less {path}   # where it happened; please report it")


def table(*columns: str, title: str | None = None) -> Table:
    """Start a calm table: no box but a rule under the head.

    A column whose name starts with `>` is aligned right.
    """
    from rich import box

    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    return made


def ratio_text(timing: Timing) -> str:
    """Write the ratio to the float baseline with its 95 % interval: 0.41 [0.40, 0.42].

    The float file has none to itself, but a control: how far two processes of it were apart.
    """
    if timing.is_baseline:
        return f"float (A/A {timing.aa_ratio:.2f})"
    low, high = timing.ratio_ci95
    return f"{timing.ratio:.2f} [{low:.2f}, {high:.2f}]"


def verdict_text(timing: Timing) -> Text:
    """Write the verdict, green for faster, red for slower; a noisy session says so."""
    style = {"faster": "green", "slower": "red"}.get(timing.verdict, "dim")
    text = Text(timing.verdict, style=style)
    return text.append(" (noisy)", style="yellow") if timing.noisy else text


def pairs(rows: Iterable[tuple[str, str | Text]], *, title: str | None = None) -> Table:
    """Lay out name and value in two columns."""
    made = Table(
        box=None,
        show_header=False,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, value)
    return made


@contextmanager
def transfer(what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show bytes moving, on a terminal; elsewhere show nothing.

    Call what it gives with the bytes of each piece.
    """
    target = console(err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=target, disable=not target.is_terminal, transient=True
    ) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda count: progress.advance(task, count)


def remark(text: str) -> None:
    """Say something beside the answer, on stderr; a line stays one line, whatever the width."""
    console(err=True).print(Text(text, style="dim"), soft_wrap=True)
