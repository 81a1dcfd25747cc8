"""What `zoo build` shows: a line or a bar while stages run, a table at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from zoo_builders.manifest import goals
from zoo_builders.running.bundles import Built
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.stage import Stage
from zoo_client.output import NOTHING, console, ratio_text, table, verdict_text
from zoo_registry.model import formatting
from zoo_registry.model.summary import Timing


class _Bars:
    """One bar for the stage that runs; a line for each that ended."""

    def __init__(self, bars: Progress, total: int) -> None:
        self._bars, self._total, self._number = bars, total, 0
        self._task: TaskID | None = None

    def announce(self, stage: Stage, seconds: float | None) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        if seconds is None:
            self._number += 1
            label = f"[{self._number}/{self._total}] {stage.name}"
            if self._bars.disable:
                console(err=True).print(Text(label))
            else:
                self._task = self._bars.add_task(label, total=None)
        elif not self._bars.disable:
            self._bars.console.print(Text(f"  {stage.name}  {seconds:.1f} s", style="dim"))

    def said(self, stage: Stage, text: str) -> None:
        del stage
        self._bars.console.print(Text(f"  {text}"))

    def progress(self, stage: Stage, done: int, total: int, note: str) -> None:
        if self._task is not None:
            text = note if note and note != stage.name else stage.name
            self._bars.update(
                self._task,
                completed=done,
                total=total,
                description=f"[{self._number}/{self._total}] {text}".replace("[", r"\["),
            )


@contextmanager
def following(pipeline: Pipeline, total: int) -> Iterator[None]:
    """Show on stderr how stages run: a bar on a terminal, plain lines elsewhere."""
    target = console(err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=target, disable=not target.is_terminal, transient=True) as bars:
        view = _Bars(bars, total)
        pipeline.announce, pipeline.progress, pipeline.said = (
            view.announce,
            view.progress,
            view.said,
        )
        yield


def show(results: Sequence[Built]) -> None:
    """Print one row a variant: quality, sizes, latency, ratio, goals."""
    rows = table(
        "name", "version", ">top-1", ">size", ">gzip", ">median ms", ">ratio", "verdict", "goals"
    )
    for built in results:
        rows.add_row(*_row(built))
    console().print(rows)
    for built in results:
        for row in built.record.not_measured if built.record else ():
            console().print(
                Text(
                    f"{built.plan.name} is not runnable on {row.device}: {row.message}",
                    style="yellow",
                )
            )


def _row(built: Built) -> list[str | Text]:
    plan, record = built.plan, built.record
    if record is None:
        return [plan.name, plan.version, *[NOTHING] * 6, Text("failed", style="red")]
    timing = next((Timing.of(m) for m in record.measurements), None)
    speed: list[str | Text] = (
        [formatting.milliseconds(timing.median_ms), ratio_text(timing), verdict_text(timing)]
        if timing
        else [NOTHING] * 3
    )
    return [
        plan.name,
        plan.version,
        _top1(built),
        formatting.size(record.file.size),
        formatting.size(record.file.size_gzip),
        *speed,
        _goals(built),
    ]


def _top1(built: Built) -> str:
    metric = built.record.metric("top1") if built.record else None
    return f"{metric.value:.4f} [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]" if metric else NOTHING


def _goals(built: Built) -> Text:
    verdict = goals.verdict(built.record.goals) if built.record else "none"
    return Text(
        {"met": "met", "missed": "missed", "none": NOTHING}[verdict],
        style={"met": "green", "missed": "red"}.get(verdict, "dim"),
    )


def plain(built: Built) -> dict[str, Any]:
    """One variant for machines."""
    error = built.error
    return {
        "name": built.plan.name,
        "version": built.plan.version,
        "variant": built.plan.variant,
        "manifest": built.plan.manifest,
        "ok": built.ok,
        "folder": str(built.folder) if built.folder else None,
        "error": str(error) if error else None,
        "record": built.record.model_dump(mode="json", by_alias=True) if built.record else None,
    }
