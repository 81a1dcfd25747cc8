"""Published results beside ours.

They are what `docs/published.yaml` says, matched with the records of a model's variants.

Only changes are compared, each against its own float file: quality in points, sizes and latency as
ratios. Absolute numbers of other data and other machines stand in the table so that nobody has to
look them up, and are labelled as theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from zoo_builders.lab import protocol
from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports.dot_plot import Dot, Mark
from zoo_builders.spec import Name, Share, Spec
from zoo_registry.model import formatting
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.record import Measurement, Record, explain
from zoo_registry.model.timing import BASELINE

Quantity = Annotated[float, Field(gt=0, allow_inf_nan=False)]
METRIC = "top1"


class Numbers(Spec):
    """What is known of one file.

    It has quality as a share, bytes, bytes after zip or gzip, and milliseconds.
    """

    quality: Annotated[float, Field(ge=0, le=1)] | None = None
    bytes: Quantity | None = None
    packed: Quantity | None = None
    ms: Quantity | None = None


class PublishedFile(Numbers):
    """One published file; `ours` is the variant of ours that was made the same way."""

    what: str
    ours: Name | None = None


class Table(Spec):
    """One published table, its source, and the conditions that it was measured under."""

    title: str
    beside: tuple[Name, ...]
    same_network: bool = True
    source: str
    url: str
    data: str
    metric: str
    machine: str = ""
    note: str = ""
    reference: Numbers
    rows: tuple[PublishedFile, ...]


class Published(Spec):
    """The whole file: what others published, as tables.

    It also holds what a reader of a model's section must know before comparing, and the agreement
    asked of variants.
    """

    notes: Mapping[Name, tuple[str, ...]] = {}
    agreement: Mapping[Name, Mapping[Name, Share]] = {}
    tables: tuple[Table, ...] = ()

    def beside(self, model: str) -> tuple[Table, ...]:
        """Give the tables of a model's section, those of the same network first."""
        return tuple(
            sorted(
                (table for table in self.tables if model in table.beside),
                key=lambda table: not table.same_network,
            )
        )


class AgainstFloat(Spec):
    """A file against the float file it comes from: difference in quality, and ratios.

    A number is None where one of the two is not known.
    """

    quality: float | None = None
    bytes: float | None = None
    packed: float | None = None
    ms: float | None = None

    @property
    def points(self) -> float | None:
        """The difference in quality in percentage points."""
        return None if self.quality is None else 100 * self.quality


class Pair(Spec):
    """One way to optimize: how its files changed.

    It holds published changes and ours (None where we did not build it).
    """

    what: str
    variant: str | None
    theirs: AgainstFloat
    ours: AgainstFloat | None


def load(path: Path) -> Published:
    """Read what was published; nothing where there is no such file.

    Raises:
        WrongUse: the file is not what it should be; the message names the key.
    """
    if not path.exists():
        return Published()
    try:
        return Published.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        told = explain(error) if isinstance(error, ValidationError) else str(error)
        raise WrongUse(
            f"{path.name}: {told}", hint="the keys are those at the top of the file"
        ) from error


def numbers(record: Record) -> Numbers:
    """Give what is known of a file of ours.

    There is no quality where its task measures none. There are no milliseconds: those are
    `latencies`.
    """
    return Numbers(
        quality=record.best(METRIC), bytes=record.file.size, packed=record.file.size_gzip
    )


def latencies(record: Record) -> Mapping[str, Measurement]:
    """Give the newest quiet measurement of each device, by its label; a noisy one only alone.

    A label is `web-wasm`, or `host-cpu, 4 threads`.
    """
    ordered = sorted(record.measurements, key=lambda m: (not m.noisy, m.when))
    found = {m.device if m.threads == 1 else f"{m.device}, {m.threads} threads": m for m in ordered}
    return dict(sorted(found.items()))


def change(found: Numbers, reference: Numbers) -> AgainstFloat:
    """Hold a file against its float file."""
    return AgainstFloat(
        quality=(
            None
            if found.quality is None or reference.quality is None
            else found.quality - reference.quality
        ),
        bytes=_ratio(found.bytes, reference.bytes),
        packed=_ratio(found.packed, reference.packed),
        ms=_ratio(found.ms, reference.ms),
    )


def _ratio(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value / reference


def pairs(table: Table, records: Sequence[Record]) -> tuple[Pair, ...]:
    """Put our numbers beside each published row.

    Ours is None unless both the variant and its model's float file were built.
    """
    by_variant: Mapping[str, Numbers] = {record.variant: numbers(record) for record in records}
    base = by_variant.get(FLOAT)
    return tuple(
        Pair(
            what=row.what,
            variant=row.ours,
            theirs=change(row, table.reference),
            ours=change(mine, base) if base is not None and mine is not None else None,
        )
        for row in table.rows
        for mine in [by_variant.get(row.ours or "")]
    )


def dots(tables: Iterable[Table], model: str, records: Sequence[Record]) -> list[Dot]:
    """Give what a model's picture shows.

    It shows every variant but the float file, with all published rows that were made the same way.

    Rows of another network stand, told apart, where there is none of the same. Published latencies
    are left out: no device of ours is the machine they were measured on.
    """
    base = next((numbers(record) for record in records if record.variant == FLOAT), None)
    if base is None:
        return []
    beside = [table for table in tables if model in table.beside]
    return [_dot(record, base, beside) for record in records if record.variant != FLOAT]


def _dot(record: Record, base: Numbers, tables: Sequence[Table]) -> Dot:
    ours = change(numbers(record), base)
    found = [
        (table.same_network, pair.theirs)
        for table in tables
        for pair in pairs(table, ())
        if pair.variant == record.variant
    ]
    same, other = (
        [theirs for is_same, theirs in found if is_same is wanted] for wanted in (True, False)
    )
    metric = record.metric(METRIC)
    interval = (
        None
        if metric is None or base.quality is None
        else (100 * (metric.ci95[0] - base.quality), 100 * (metric.ci95[1] - base.quality))
    )
    return Dot(
        record.variant,
        points=_mark(ours.points, interval, [t.points for t in same], [t.points for t in other]),
        packed=_mark(ours.packed, None, [t.packed for t in same], [t.packed for t in other]),
        latency={
            device: Mark(m.ratio.value, m.ratio.ci95)
            for device, m in latencies(record).items()
            if not m.noisy and m.verdict != BASELINE
        },
    )


_Values = Sequence[float | None]


def _mark(
    ours: float | None, interval: tuple[float, float] | None, same: _Values, other: _Values
) -> Mark:
    published = _known(same)
    return Mark(ours, interval, published, () if published else _known(other))


def _known(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def page(tables: Sequence[Table], model: str, records: Sequence[Record]) -> list[str]:
    """Give the Markdown that puts a model's variants beside what was published.

    The text is empty where nothing was.
    """
    found = [
        line for table in tables if model in table.beside for line in (*_table(table, records), "")
    ]
    if not found:
        return []
    head = (
        "Other data, other training, other machines: what compares is the change of each file"
        " against its own float file."
    )
    return [f"### {model} beside published results", "", head, "", *found]


def _table(table: Table, records: Sequence[Record]) -> list[str]:
    where = ", ".join(
        part
        for part in (
            table.data,
            table.machine,
            "" if table.same_network else "another network than ours",
        )
        if part
    )
    machine = f" on {table.machine}" if table.machine else ""
    theirs, ours = f"{table.metric} there", f"{table.metric} here"
    cells = [
        _row(row, pair, records)
        for row, pair in zip(table.rows, pairs(table, records), strict=True)
    ]
    return [
        f"**{table.title}** ({where}; float {_share(table.reference.quality)}):"
        f" [{table.source}]({table.url}). {table.note}".rstrip(),
        "",
        (
            f"| | {theirs} | change | packed | latency{machine} | here | {ours} | change | packed |"
            " latency here |"
        ),
        "|---|--:|--:|--:|--:|---|--:|--:|--:|---|",
        *cells,
    ]


def _row(row: PublishedFile, pair: Pair, records: Sequence[Record]) -> str:
    mine = next((record for record in records if record.variant == row.ours), None)
    known = ["not built", *[formatting.DASH] * 4]
    if mine and pair.ours:
        known = [
            f"`{row.ours}`",
            _share(numbers(mine).quality),
            *_spelled(pair.ours),
            spelled_latencies(mine),
        ]
    return (
        "| "
        + " | ".join(
            [row.what, _share(row.quality), *_spelled(pair.theirs), times(pair.theirs.ms), *known]
        )
        + " |"
    )


def _share(quality: float | None) -> str:
    return formatting.DASH if quality is None else f"{quality:.2%}"


def _spelled(found: AgainstFloat) -> list[str]:
    size = found.packed if found.packed is not None else found.bytes
    unit = "" if found.packed is not None or size is None else " (raw)"
    return [points(found.points), f"{times(size)}{unit}"]


def points(value: float | None) -> str:
    """Spell a change in percentage points: `-0.74`."""
    return formatting.DASH if value is None else f"{round(value, 2) + 0.0:+.2f}"


def times(ratio: float | None) -> str:
    """Spell a ratio to the float file."""
    return formatting.DASH if ratio is None else f"{formatting.TIMES} {ratio:.2f}"


def spelled_latencies(record: Record) -> str:
    """Spell the latency of a file on every device that measured it.

    Each device comes with its name and with what stands against the number.
    """
    return (
        ", ".join(
            f"{_ratio_told(m)} `{label}`{_doubts(m)}" for label, m in latencies(record).items()
        )
        or formatting.DASH
    )


def _ratio_told(m: Measurement) -> str:
    """Spell a ratio; the float file has none to itself, but the control of its session."""
    return f"float (A/A {m.aa_ratio.value:.2f})" if m.verdict == BASELINE else times(m.ratio.value)


def _doubts(m: Measurement) -> str:
    doubts = {
        "within noise": m.verdict == "within noise",
        "noisy": m.noisy,
        "older protocol": m.protocol != protocol.NAME,
    }
    found = ", ".join(name for name, holds in doubts.items() if holds)
    return f" ({found})" if found else ""
