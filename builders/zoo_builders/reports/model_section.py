"""One model's section of the results page.

It shows its files, their latency on each device, what could not be measured, and digests. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence

from zoo_builders.lab import protocol
from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports import published_results
from zoo_builders.reports.published_results import METRIC
from zoo_registry.model import formatting
from zoo_registry.model.platform import why_slow
from zoo_registry.model.record import Fidelity, Measurement, Metric, Record
from zoo_registry.model.timing import BASELINE

NONE = "n/a"
WORST = "worst_recall"
_TIMES = (
    "| variant | median ms | p95 ms | ratio (95 %) | verdict | delegated | sparse path | file |"
)
_TIMES_RULE = "|---|--:|--:|--:|---|--:|---|---|"
_OLDER = (
    f"**An older protocol than today's `{protocol.NAME}`**: compare these rows with each other"
    " only."
)


def section(records: Sequence[Record], agreement: Sequence[str] = ()) -> list[str]:
    """Give everything about one model's files but the head, the claims and what others published.

    `agreement` follows their quality.
    """
    return [
        *_conditions_of_quality(records),
        *_files(records),
        *agreement,
        *_timed(records),
        *_untimed(records),
        *_sparse(records),
        *_folded(records),
    ]


def _conditions_of_quality(records: Sequence[Record]) -> list[str]:
    metric = records[0].metric(METRIC)
    if metric is None:
        return ["Quality: no labels, so no accuracy.", "", *_fidelity_told(records)]
    told = (
        f"Quality: {metric.dataset}, split `{metric.split}`, {metric.examples:,} examples, run by"
        " the runtime itself."
    )
    return [told, "", *_fidelity_told(records)]


def _fidelity_told(records: Sequence[Record]) -> list[str]:
    """Say on which images files were held against float32.

    The lines also say for which variants those images fixed the ranges of integers.
    """
    told: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.fidelity is not None and record.variant != FLOAT:
            told.setdefault((record.fidelity.split, record.fidelity.examples), []).append(record)
    lines = []
    for (split, examples), held in told.items():
        fitted = [record.variant for record in held if split in _range_splits(record)]
        fixed = (
            f" These examples also fixed the ranges of {', '.join(fitted)}: their figure is"
            " measured on what they were fitted to."
            if fitted
            else ""
        )
        which = "" if len(told) == 1 else f" ({', '.join(record.variant for record in held)})"
        lines += [f"Fidelity to float32: split `{split}`, {examples} examples{which}.{fixed}", ""]
    return lines


def _range_splits(record: Record) -> set[str]:
    """Give the splits that fixed ranges of integers while the file was quantized after training."""
    steps = [step.params for step in record.recipe if step.technique == "quantize"]
    return {
        str(params["calibration"])
        for params in steps
        if params.get("calibration") and str(params.get("dtype", "")).startswith("int")
    }


def _files(records: Sequence[Record]) -> list[str]:
    """Give the table of the files themselves.

    A column of which no record knows anything is left out.
    """
    base = next((record for record in records if record.variant == FLOAT), None)
    rows = [_file(record, base) for record in records]
    names = [
        name for name in rows[0] if any(row[name] not in {NONE, formatting.DASH} for row in rows)
    ]
    rule = "|".join("---" if name in {"variant", "file"} else "--:" for name in names)
    return [
        f"| {' | '.join(names)} |",
        f"|{rule}|",
        *(f"| {' | '.join(row[name] for name in names)} |" for row in rows),
        "",
    ]


def _file(record: Record, base: Record | None) -> Mapping[str, str]:
    changed = (
        published_results.change(published_results.numbers(record), published_results.numbers(base))
        if base
        else published_results.AgainstFloat()
    )
    return {
        "variant": record.variant,
        "top-1 (95 %)": _spread(record.metric(METRIC)),
        "change": published_results.points(changed.points),
        "worst class (95 %)": _worst(record),
        "same class as float": _fidelity(record.fidelity),
        "bytes": f"{record.file.size:,}",
        "gzip": f"{record.file.size_gzip:,}",
        "packed": published_results.times(changed.packed),
        "file": f"`{record.file.sha256.short}`",
    }


def _spread(metric: Metric | None) -> str:
    return f"{metric.value:.2%} ({metric.ci95[0]:.2%} to {metric.ci95[1]:.2%})" if metric else NONE


def _worst(record: Record) -> str:
    classes = [each for metric in record.metrics for each in metric.classes]
    name = min(classes, key=lambda each: each.value).label if classes else ""
    return f"{name}: {_spread(record.metric(WORST))}" if name else _spread(record.metric(WORST))


def _fidelity(fidelity: Fidelity | None) -> str:
    if fidelity is None:
        return NONE
    count = fidelity.examples
    share = fidelity.top1_agreement
    agreement = "" if share is None else f"{round(share * count)}/{count} = {share:.1%}, "
    return f"{agreement}{fidelity.sqnr_db:.0f} dB"


def _timed(records: Sequence[Record]) -> list[str]:
    parts = []
    for key, rows in _by_conditions(records).items():
        parts += [
            key,
            "",
            _TIMES,
            _TIMES_RULE,
            *(_row(record, measurement) for record, measurement in rows),
            "",
        ]
    return parts


def _by_conditions(records: Iterable[Record]) -> Mapping[str, list[tuple[Record, Measurement]]]:
    """Group measurements that may be compared: same device, threads, runtime, protocol, machine."""
    groups: dict[str, list[tuple[Record, Measurement]]] = {}
    for record in records:
        for measurement in record.measurements:
            groups.setdefault(_conditions(measurement), []).append((record, measurement))
    return groups


def _conditions(m: Measurement) -> str:
    machine = f"{m.host.cpu}, {m.host.arch}, {m.host.cores} cores" + (
        f", inside {m.host.virtual}" if m.host.virtual else ""
    )
    threads = f"{m.threads} thread{'s' * (m.threads > 1)}{', pinned' * m.pinned}"
    told = f"protocol `{m.protocol}` ({m.rounds} rounds of {m.runs} runs), {m.when:%Y-%m-%d}"
    older = "" if m.protocol == protocol.NAME else f" {_OLDER}"
    return (
        f"Latency: `{m.device}`, {threads}, {m.runtime} {m.runtime_version}, {told}; {machine}"
        f" (host `{m.host.fingerprint.short}`).{older}"
    )


def _row(record: Record, m: Measurement) -> str:
    cells = [
        f"{m.latency_ms.median:.4g}",
        f"{m.latency_ms.p95:.4g}",
        _ratio(m),
        m.verdict + (", noisy" if m.noisy else ""),
        f"{m.nodes_delegated}/{m.nodes_total}" if m.nodes_total else "not told",
        m.sparse_path,
    ]
    return "| " + " | ".join([record.variant, *cells, f"`{record.file.sha256.short}`"]) + " |"


def _ratio(m: Measurement) -> str:
    """Spell a ratio with its interval; the float file has a control and no ratio to itself."""
    if m.verdict == BASELINE:
        return f"A/A {m.aa_ratio.value:.2f}"
    return f"{m.ratio.value:.2f} ({m.ratio.ci95[0]:.2f} to {m.ratio.ci95[1]:.2f})"


def _untimed(records: Sequence[Record]) -> list[str]:
    """Name every file without a latency somewhere, and why as far as its record says.

    No file is left out without a word.
    """
    lines = [
        f"- {record.variant} on `{row.device}`: {row.message}"
        for record in records
        for row in record.not_measured
    ]
    for record in records:
        if not record.measurements and not record.not_measured:
            remarks = f" Its record remarks: {'; '.join(record.remarks)}." if record.remarks else ""
            lines.append(
                f"- {record.variant}: not benchmarked: its record holds no session, and no failure"
                f" of one.{remarks}"
            )
    return ["Latency not measured:", "", *lines, ""] if lines else []


def _sparse(records: Sequence[Record]) -> list[str]:
    """Say of files that are stored sparse what became of the sparse path on each device.

    The lines also say how that is known.
    """
    stored = [record for record in records if record.structure.densify]
    told = [(record, m) for record in stored for m in record.measurements if m.sparse_reason]
    lines = [
        f"- {record.variant} on `{m.device}`: {m.sparse_path}: {m.sparse_reason}"
        for record, m in told
    ]
    return [*(["Sparse path:", "", *lines, ""] if lines else []), *_slow(records)]


def _slow(records: Sequence[Record]) -> list[str]:
    """Say of int8 files that are no quicker than float what the processor lacks."""
    lines = [
        f"- {record.variant} on `{m.device}`, {m.on.told}: {why}"
        for record in records
        for m in record.measurements
        if (why := why_slow(m.on.key, m.verdict, record.structure.tensors_by_dtype))
    ]
    return ["Int8 that is not faster:", "", *lines, ""] if lines else []


def _folded(records: Sequence[Record]) -> list[str]:
    noisy = [(r, m) for r in records for m in r.measurements if m.noisy]
    noise = [
        f"- {record.variant}, {m.device}, {formatting.count(m.threads)}:"
        f" {'; '.join(m.noise_causes)}"
        for record, m in noisy
    ]
    digests = [f"- {record.name} {record.version}: `{record.file.sha256}`" for record in records]
    causes = _fold(f"Noisy measurements, and why ({len(noise)})", noise) if noise else []
    return [*causes, *_fold("Files (sha256)", digests)]


def _fold(title: str, lines: Sequence[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]
