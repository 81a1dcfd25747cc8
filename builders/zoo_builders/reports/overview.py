"""The top of the results page.

It says which variant of each model to take, and what the columns below mean. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from zoo_builders.lab import protocol
from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports import published_results
from zoo_builders.reports.float_agreement import Agreement
from zoo_builders.reports.published_results import METRIC
from zoo_registry.model import formatting
from zoo_registry.model.record import Record
from zoo_registry.model.timing import Timing, fastest, surely_faster

LOSS, AGREES = 0.01, 0.95
"""What a variant of the overview may cost.

The first is the loss of top-1 that is allowed, as a share. The second is for models without labels:
how often the variant must name float's class.
"""

_HEADER = "| model | float top-1 | variant | chosen as | top-1 against float | packed | latency |"
_RULE = "|---|--:|---|---|--:|--:|---|"
_LEGEND = f"""\
**Columns.** *top-1 (95 %)*: share of right answers on the test split, with its
Wilson interval; *change*: points of top-1 against the float file. *worst class*: the class whose
examples are found least often (recall), and how often. *same class as float*: on how many examples
the file names the class that `fp32` names, and the signal-to-noise ratio of its outputs; the line
above each table says on which examples. *packed*: bytes after gzip as a share of the float file's.
*median*, *p95*: milliseconds over all runs. *ratio (95 %)*: the lower tenth of the file's times by
that of `fp32`, which ran in turns with it, so below 1 is faster (medians up to `interleaved/v1`;
today's protocol is `{protocol.NAME}`). *verdict*: faster or slower only where the interval is
farther from 1 than `fp32` was from itself; *noisy*: something disturbed the session. *delegated*:
nodes of the graph that XNNPACK runs, of all. *sparse path*: whether XNNPACK's sparse kernels ran.
*file*: the start of its sha256; every number in its row was measured on that file. More in
[latency.md](latency.md)."""


_CHOICE = f"""\
Of each model: the smallest file, and the fastest on each device that measured it,
among variants whose top-1 on the test split is at most {100 * LOSS:g} point below float's, or
which, where there are no labels, name the class of float on {AGREES:.0%} of the examples.
Noisy sessions rank nothing; where intervals overlap, files are not told apart and the smallest is
named.
{formatting.TIMES} 0.50 is half of the float file's; a latency belongs to the device named \
beside it."""


def overview(records: Sequence[Record], measured: Agreement | None = None) -> list[str]:
    """Give the table of what to take of each model, and the legend.

    `measured` is agreement on images that fixed no ranges.
    """
    families = groupby(records, key=lambda record: record.model)
    parts = [
        "| " + " | ".join(row) + " |"
        for model, family in families
        for row in _rows(model, list(family), measured)
    ]
    return [_CHOICE, "", _HEADER, _RULE, *parts, "", _LEGEND, ""]


def _rows(model: str, records: Sequence[Record], measured: Agreement | None) -> list[list[str]]:
    base = next((record for record in records if record.variant == FLOAT), None)
    link, nothing = _link(model, base or records[0]), [formatting.DASH] * 4
    if base is None:
        return [[link, formatting.DASH, "no float file was built", *nothing]]
    quality = base.best(METRIC)
    told = formatting.DASH if quality is None else f"{quality:.2%}"
    close = [record for record in records if record is not base and _close(record, base, measured)]
    chosen, by_variant = _chosen(base, close), {record.variant: record for record in records}
    return [
        [link, told, *_row(by_variant[variant], base, reasons, measured)]
        for variant, reasons in chosen.items()
    ] or [[link, told, "none is close enough to float", *nothing]]


def _link(model: str, record: Record) -> str:
    heading = f"{model} {record.version}".lower().replace(" ", "-").replace(".", "")
    return f"[{model}](#{heading})"


def _close(record: Record, base: Record, measured: Agreement | None) -> bool:
    found, reference = record.best(METRIC), base.best(METRIC)
    if found is not None and reference is not None:
        return reference - found <= LOSS + 1e-9
    agreed = _agreement(record, base, measured)
    return agreed is not None and agreed.share >= AGREES


def _chosen(base: Record, candidates: Sequence[Record]) -> Mapping[str, list[str]]:
    """Give variant → why: smallest, fastest on a device.

    A variant slower than float, or as fast within noise, is no fastest, and a noisy session ranks
    nothing. Of those that cannot be told from the fastest, the smallest is named.
    """
    found: dict[str, list[str]] = {}
    smaller = [record for record in candidates if record.file.size_gzip < base.file.size_gzip]
    if smaller:
        found.setdefault(min(smaller, key=lambda r: r.file.size_gzip).variant, []).append(
            "smallest"
        )
    measured = {record.variant: published_results.latencies(record) for record in candidates}
    for device in sorted({device for times in measured.values() for device in times}):
        faster = [
            (Timing.of(times[device]), record)
            for record in candidates
            if device in (times := measured[record.variant])
            and times[device].verdict == "faster"
            and not times[device].noisy
        ]
        if faster:
            chosen, others = _fastest(faster)
            alike = f", not told from {', '.join(others)}" if others else ""
            found.setdefault(chosen, []).append(f"fastest on `{device}`{alike}")
    return found


def _fastest(timed: Sequence[tuple[Timing, Record]]) -> tuple[str, list[str]]:
    """Choose the smallest of those that cannot be told from the fastest, and name the others."""
    leader = fastest([timing for timing, _ in timed])
    equal = [record for timing, record in timed if not surely_faster(leader, timing)]
    first, *others = sorted(equal, key=lambda record: (record.file.size_gzip, record.variant))
    return first.variant, [f"`{record.variant}`" for record in others]


def _row(
    record: Record, base: Record, reasons: Sequence[str], measured: Agreement | None
) -> list[str]:
    changed = published_results.change(
        published_results.numbers(record), published_results.numbers(base)
    )
    agreed, quality = _agreement(record, base, measured), formatting.DASH
    if changed.points is not None:
        quality = f"{published_results.points(changed.points)} points"
    elif agreed is not None:
        quality = f"same class on {agreed.share:.1%} of {agreed.examples} (`{agreed.images}`)"
    timing = published_results.spelled_latencies(record)
    return [
        f"`{record.variant}`",
        ", ".join(reasons),
        quality,
        published_results.times(changed.packed),
        "not measured" if timing == formatting.DASH else timing,
    ]


@dataclass(frozen=True, slots=True)
class _Agreed:
    """On which share of how many examples a file names the float file's class.

    It also says which examples those are.
    """

    share: float
    examples: int
    images: str


def _agreement(record: Record, base: Record, measured: Agreement | None) -> _Agreed | None:
    """Give agreement on images that fixed no ranges, where it was measured of these very files.

    Else it is that of the record.
    """
    if measured is not None and measured.baseline == base.file.sha256:
        for images in measured.sets:
            for row in images.rows:
                if row.sha256 == record.file.sha256:
                    return _Agreed(row.same / images.examples, images.examples, images.name)
    found = record.fidelity
    if found is None or found.top1_agreement is None:
        return None
    return _Agreed(found.top1_agreement, found.examples, found.split)
