"""Published results beside ours: what `docs/published.yaml` says, matched with the records of a model's variants.

Only changes are compared, each against its own float file: quality in points, sizes and latency as ratios. Absolute numbers of other data
and other machines stand in the table so that nobody has to look them up, and are labelled as theirs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from zoo_builders.plan import FLOAT
from zoo_builders.results_dots import Dot, Mark
from zoo_builders.specs import Name, Spec
from zoo_registry.model import words
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.record import Record, explain

Quantity = Annotated[float, Field(gt=0, allow_inf_nan=False)]
METRIC = "top1"


class Numbers(Spec):
    """What is known of one file: quality as a share, bytes, bytes after zip or gzip, milliseconds."""

    quality: Annotated[float, Field(ge=0, le=1)] | None = None
    bytes: Quantity | None = None
    packed: Quantity | None = None
    ms: Quantity | None = None


class Known(Numbers):
    """One file of ours: its latency as the ratio to its float file, measured in one session."""

    ratio: Quantity | None = None


class Row(Numbers):
    """One published file; `ours` is the variant of ours that was made the same way."""

    what: str
    ours: Name | None = None


class Table(Spec):
    """One published table, its source, and the conditions that it was measured under."""

    title: str
    beside: tuple[Name, ...]
    source: str
    url: str
    data: str
    metric: str
    machine: str = ""
    note: str = ""
    reference: Numbers
    rows: tuple[Row, ...]


class Change(Spec):
    """A file against the float file it comes from: difference in quality, and ratios; None where one of the two is not known."""

    quality: float | None = None
    bytes: float | None = None
    packed: float | None = None
    ms: float | None = None


class Pair(Spec):
    """One way to optimize: how its files changed, published and ours (None where we did not build it)."""

    what: str
    variant: str | None
    theirs: Change
    ours: Change | None


def load(path: Path) -> tuple[Table, ...]:
    """Read the published tables; none where there is no such file.

    Raises:
        WrongUse: the file is not what it should be; the message names the key.
    """
    if not path.exists():
        return ()
    try:
        return tuple(TypeAdapter(list[Table]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (yaml.YAMLError, ValidationError) as error:
        told = explain(error) if isinstance(error, ValidationError) else str(error)
        raise WrongUse(f"{path.name}: {told}", hint="the keys are those at the top of the file") from error


def numbers(record: Record) -> Known:
    """Give what is known of a file of ours; no quality where its task measures none."""
    ratio = record.measurements[0].ratio.value if record.measurements else None
    return Known(quality=record.best(METRIC), bytes=record.file.size, packed=record.file.size_gzip, ratio=ratio)


def change(found: Numbers, reference: Numbers) -> Change:
    """Hold a file against its float file."""
    return Change(
        quality=None if found.quality is None or reference.quality is None else found.quality - reference.quality,
        bytes=_ratio(found.bytes, reference.bytes),
        packed=_ratio(found.packed, reference.packed),
        ms=found.ratio if isinstance(found, Known) else _ratio(found.ms, reference.ms),
    )


def _ratio(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value / reference


def pairs(table: Table, records: Sequence[Record]) -> tuple[Pair, ...]:
    """Put ours beside each published row, as far as the variant was built and its model's float file too."""
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


def dots(tables: Sequence[Table], model: str, records: Sequence[Record]) -> list[Dot]:
    """Give what a model's picture shows: every variant but the float file, with the first published row made the same way."""
    base = next((numbers(record) for record in records if record.variant == FLOAT), None)
    published = {pair.variant: pair.theirs for table in reversed(tables) if model in table.beside for pair in reversed(pairs(table, ()))}
    if base is None:
        return []
    return [_dot(record, base, published.get(record.variant)) for record in records if record.variant != FLOAT]


def _dot(record: Record, base: Numbers, theirs: Change | None) -> Dot:
    ours, theirs = change(numbers(record), base), theirs or Change()
    ends = next((metric.ci95 for metric in record.metrics if metric.metric == METRIC), None)
    interval = None if ends is None or base.quality is None else (100 * (ends[0] - base.quality), 100 * (ends[1] - base.quality))
    ratio = record.measurements[0].ratio if record.measurements else None
    return Dot(
        record.variant,
        points=Mark(_points(ours), interval, _points(theirs)),
        packed=Mark(ours.packed, None, theirs.packed),
        latency=Mark(ratio.value if ratio else None, ratio.ci95 if ratio else None, theirs.ms),
    )


def _points(found: Change) -> float | None:
    return None if found.quality is None else 100 * found.quality


def page(tables: Sequence[Table], model: str, records: Sequence[Record]) -> list[str]:
    """Give the Markdown that puts a model's variants beside what was published; empty where nothing was."""
    found = [line for table in tables if model in table.beside for line in (*_table(table, records), "")]
    if not found:
        return []
    head = "Other data, other training, other machines: what compares is the change of each file against its own float file."
    return [f"### {model} beside published results", "", head, "", *found]


def _table(table: Table, records: Sequence[Record]) -> list[str]:
    where = f"{table.data}{f', {table.machine}' if table.machine else ''}"
    theirs, ours = f"{table.metric} there", f"{table.metric} here"
    cells = [_row(row, pair, records) for row, pair in zip(table.rows, pairs(table, records), strict=True)]
    return [
        f"**{table.title}** ({where}; float {_share(table.reference.quality)}): [{table.source}]({table.url}). {table.note}".rstrip(),
        "",
        f"| | {theirs} | change | packed | latency | here | {ours} | change | packed | latency |",
        "|---|--:|--:|--:|--:|---|--:|--:|--:|--:|",
        *cells,
    ]


def _row(row: Row, pair: Pair, records: Sequence[Record]) -> str:
    mine = next((numbers(record) for record in records if record.variant == row.ours), None)
    known = [f"`{row.ours}`", _share(mine.quality), *_spelled(pair.ours)] if mine and pair.ours else ["not built", *[words.DASH] * 4]
    return "| " + " | ".join([row.what, _share(row.quality), *_spelled(pair.theirs), *known]) + " |"


def _share(quality: float | None) -> str:
    return words.DASH if quality is None else f"{quality:.2%}"


def _spelled(found: Change) -> list[str]:
    size = found.packed if found.packed is not None else found.bytes
    unit = "" if found.packed is not None or size is None else " (raw)"
    points = _points(found)
    return [words.DASH if points is None else f"{round(points, 2) + 0.0:+.2f}", f"{_times(size)}{unit}", _times(found.ms)]


def _times(ratio: float | None) -> str:
    return words.DASH if ratio is None else f"{words.TIMES} {ratio:.2f}"
