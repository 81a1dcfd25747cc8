"""What `zoo bench` tells.

Ours beside the published row as ratios to the float baseline, what it rests on, and what to do
next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from zoo_builders.lab.requests import Result
from zoo_client.output import NOTHING, console, ratio_text, table, verdict_text
from zoo_registry.model import formatting
from zoo_registry.model.errors import MEASURE_FAILURES
from zoo_registry.model.measurement import Measurement
from zoo_registry.model.platform import why_slow
from zoo_registry.model.summary import Timing


def show(results: Sequence[Result]) -> None:
    """Print a table for each device, thread count and baseline, with the conditions under it."""
    for _, group in groupby(results, key=lambda result: (result.order, result.baseline.name)):
        rows = list(group)
        console().print(
            Group(_table(rows), *(Text(line, style="dim") for line in _remarks(rows)), Text(""))
        )
    for line in _next(results):
        console(err=True).print(Text(line, style="dim"))


def _table(rows: Sequence[Result]) -> Table:
    order = rows[0].order
    kernels = "" if order.kernels == "xnnpack" else f", {order.kernels} kernels"
    title = (
        f"{order.device}, {order.threads} thread{'s' if order.threads > 1 else ''}{kernels}; ratios"
        f" to {rows[0].baseline.name}"
    )
    made = table(
        "file",
        ">median ms",
        ">p95",
        ">first",
        ">init",
        ">ratio [95 %]",
        ">published",
        "verdict",
        "sparse",
        "delegated",
        title=title,
    )
    for row in rows:
        made.add_row(
            row.asked.name,
            *(_failed(row) if row.measurement is None else _measured(row, row.measurement)),
        )
    return made


def _measured(row: Result, m: Measurement) -> list[str | Text]:
    timing, known = Timing.of(m), row.asked.published(m.device, m.threads, m.on.key)
    times = [
        formatting.milliseconds(ms)
        for ms in (m.latency_ms.median, m.latency_ms.p95, m.first_ms, m.init_ms)
    ]
    parts = f" in {m.partitions} parts" if m.partitions > 1 else ""
    none = f"none of {m.nodes_total}" if m.nodes_total else NOTHING
    delegated = (
        f"{m.nodes_delegated}/{m.nodes_total} {m.delegate}{parts}" if m.nodes_delegated else none
    )
    published = ratio_text(Timing.of(known)) if known else NOTHING
    return [*times, ratio_text(timing), published, verdict_text(timing), m.sparse_path, delegated]


def _failed(row: Result) -> list[str | Text]:
    kind = row.failure.kind if row.failure else "runtime"
    return [*[NOTHING] * 6, Text(f"no number: {kind}", style="red"), NOTHING, NOTHING]


def _remarks(rows: Sequence[Result]) -> Iterator[str]:
    """Say under a table what its numbers rest on, each once."""
    measured = [(row, row.measurement) for row in rows if row.measurement is not None]
    if measured:
        m = measured[0][1]
        yield (
            f"{m.on.told}, {m.runtime} {m.runtime_version},"
            f" {'pinned' if m.pinned else 'not pinned'}, {m.protocol}"
        )
        yield (
            f"{m.rounds} rounds of {m.runs} runs; the baseline against itself:"
            f" {m.aa_ratio.value:.3f} [{m.aa_ratio.ci95[0]:.3f}, {m.aa_ratio.ci95[1]:.3f}]"
        )
    yield from _noise(measured)
    yield from (
        f"{row.asked.name}: sparse path {m.sparse_path}: {m.sparse_reason}"
        for row, m in measured
        if _stored_sparse(row)
    )
    yield from _slow(measured)
    yield from (f"{row.asked.name}: {line}" for row in rows if (line := _compared(row)))
    if any(row.asked.golden_for_strangers for row in rows):
        yield (
            "files without a record: outputs held against the runtime's own kernels on inputs drawn"
            " from a seed, not real data"
        )
    for row in rows:
        if row.failure is not None:
            about = (
                ""
                if row.failure.kind == "device"
                else f"{MEASURE_FAILURES.get(row.failure.kind, row.failure.kind)}: "
            )
            yield f"{row.asked.name}: {about}{row.failure.message}"


def _slow(measured: Sequence[tuple[Result, Measurement]]) -> Iterator[str]:
    """Say of published int8 files that are no quicker than float what the processor lacks."""
    for row, m in measured:
        release = row.asked.release
        types = release.record.structure.tensors_by_dtype if release else {}
        if why := why_slow(m.on.key, m.verdict, types):
            yield f"{row.asked.name}: {why}"


def _noise(measured: Sequence[tuple[Result, Measurement]]) -> Iterator[str]:
    """Say what disturbed the session, and which file where it was not all of them."""
    for cause in dict.fromkeys(cause for _, m in measured for cause in m.noise_causes):
        those = [row.asked.name for row, m in measured if cause in m.noise_causes]
        yield (
            f"noisy: {cause}"
            if len(those) == len(measured)
            else f"noisy: {', '.join(those)}: {cause}"
        )


def _stored_sparse(row: Result) -> bool:
    return row.asked.candidate is not None and row.asked.candidate.dense is not None


def _compared(row: Result) -> str:
    """Say how ours stands to the published ratio: whether the intervals meet."""
    m = row.measurement
    known = row.asked.published(m.device, m.threads, m.on.key) if m else None
    if m is None or known is None or m.verdict == "baseline":
        return ""
    if known.on.key != m.on.key:
        return (
            f"the published {known.ratio.value:.2f} was measured on {known.on.told}, another class"
            f" of machine than {m.on.told}: the two do not compare"
        )
    apart = m.ratio.ci95[0] > known.ratio.ci95[1] or m.ratio.ci95[1] < known.ratio.ci95[0]
    where = f"on this class of machine with {known.runtime} {known.runtime_version}"
    how = f" by {known.protocol}" if known.protocol != m.protocol else ""
    return (
        f"{'differs from' if apart else 'agrees with'} the published {known.ratio.value:.2f},"
        f" measured {where}{how}"
    )


def _next(results: Sequence[Result]) -> Iterator[str]:
    """Say what to do next."""
    if any(result.measurement is not None and result.measurement.noisy for result in results):
        yield (
            "a noisy session: close what keeps the machine busy and run it again, or raise --rounds"
        )
    hints = dict.fromkeys(
        result.failure.hint
        for result in results
        if result.failure is not None and result.failure.hint
    )
    yield from (f"hint: {hint}" for hint in hints)
    sent = sum(result.submitted for result in results)
    if sent:
        yield (
            f"{sent} measurement{'s' if sent > 1 else ''} added to what is published: zoo show REF"
        )
    elif any(
        result.asked.release is not None and result.measurement is not None for result in results
    ):
        yield "zoo bench … --submit adds these to what is published"


def plain(results: Sequence[Result]) -> dict[str, Any]:
    """All results for machines."""
    return {"results": [_plain(result) for result in results]}


def _plain(result: Result) -> dict[str, Any]:
    asked, order, outcome = result.asked, result.order, result.outcome
    on = result.measurement.on.key if result.measurement else ""
    known = asked.published(order.device, order.threads, on)
    against = outcome.against_dense if outcome else None
    return {
        "file": asked.name,
        "sha256": asked.candidate.sha256 if asked.candidate else None,
        "device": order.device,
        "threads": order.threads,
        "kernels": order.kernels,
        "baseline": result.baseline.name,
        "golden": "own" if asked.golden_for_strangers else "record",
        "measurement": result.measurement,
        "failure": asdict(result.failure) if result.failure else None,
        "published": known,
        "against_dense": against,
        "submitted": result.submitted,
        "refused": result.refused.message if result.refused else None,
    }
