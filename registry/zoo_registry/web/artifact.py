"""What the page of one artifact shows, decided from its record and its relatives. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from zoo_registry.model import formatting
from zoo_registry.model.evaluate import main_metric
from zoo_registry.model.platform import told, why_slow
from zoo_registry.model.query import Query
from zoo_registry.model.rebuilt import expected
from zoo_registry.model.record import Latency, Measurement, Metric, Record, TensorSparsity
from zoo_registry.model.submitted import VISITORS
from zoo_registry.model.summary import Summary, Timing
from zoo_registry.web import charts, snippet, speeds, urls, views
from zoo_registry.web.layer_errors import LayerErrors, layer_errors
from zoo_registry.web.scales import Scale
from zoo_registry.web.work import OperatorWork, work

_SAME = 0.0005  # prints as 0.0 points


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement with all its conditions.

    `source` is the measurement itself for what needs no spelling.
    """

    source: Measurement
    speed: speeds.Speed
    why: str
    spread: Markup
    conditions: tuple[tuple[str, str], ...]
    control: str


@dataclass(frozen=True, slots=True)
class Quality:
    """One metric with its interval."""

    name: str
    value: str
    interval: str
    source: Metric


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One weight tensor as it stands in the file."""

    source: TensorSparsity
    shape: str
    sparsity: str
    bar: Markup


@dataclass(frozen=True, slots=True)
class Relative:
    """Another variant of the same model beside this one."""

    row: views.ListingRow
    current: bool
    speeds: tuple[speeds.Speed | None, ...]
    metric_change: str
    metric_tone: str
    size_change: str
    gzip_change: str


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    """Everything the page of one artifact shows."""

    record: Record
    summary: Summary
    facts: tuple[tuple[str, str, str], ...]
    pull: str
    pull_pinned: str
    download: str
    raw: str
    quality: tuple[Quality, ...]
    measured: tuple[Measured, ...]
    tensors: tuple[TensorRow, ...]
    recipe: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    code: str
    requirements: str
    relatives: tuple[Relative, ...]
    places: tuple[str, ...]
    relatives_metric: str
    compare: str
    goals: tuple[tuple[str, str, str, bool], ...]
    again: str
    errors: LayerErrors | None
    work: OperatorWork | None


def artifact_page(
    record: Record, summary: Summary, measurements: Sequence[Measurement], family: Sequence[Summary]
) -> ArtifactPage:
    """Spell a record for its page.

    Args:
        record: as published.
        summary: the same release as a listing shows it, with its state (yanked, aliases).
        measurements: those of the record and those added since.
        family: latest releases of the same model, this one among them or not.
    """
    metric = record.metrics[0].metric if record.metrics else "top1"
    return ArtifactPage(
        record=record,
        summary=summary,
        facts=_facts(record, summary),
        pull=urls.pull_command(record.name, record.version),
        pull_pinned=urls.pull_command(record.name, record.version, record.file.sha256),
        download=f"/v1/blobs/{record.file.sha256}",
        raw=f"/v1{urls.artifact(record.name, record.version)}",
        quality=tuple(_quality(metric) for metric in record.metrics),
        measured=_measured(measurements, record.structure.tensors_by_dtype),
        tensors=tuple(_tensor(tensor) for tensor in record.structure.weights),
        recipe=tuple(
            (step.technique, tuple((name, _plain(value)) for name, value in step.params.items()))
            for step in record.recipe
        ),
        code=snippet.python(record),
        requirements=snippet.requirements(record),
        relatives=_relatives(summary, family, metric),
        places=tuple(map(told, speeds.places(summary, family))),
        relatives_metric=metric,
        compare=compare_address(summary, family),
        again=expected(record.reproducible, record.provenance.platforms),
        errors=layer_errors(record.quantization),
        work=work(record, measurements),
        goals=tuple(
            (goal.goal, _goal(goal.goal, goal.limit), _goal(goal.goal, goal.value), goal.met)
            for goal in record.goals
        ),
    )


def _facts(record: Record, summary: Summary) -> tuple[tuple[str, str, str], ...]:
    """Choose the numbers at the head of the page: label, value, what it depends on."""
    facts = []
    if record.metrics:
        first = record.metrics[0]
        interval = formatting.interval(first.metric, *first.ci95)
        spelled = f"{interval} · {formatting.count(first.examples)} examples"
        facts.append(
            (
                formatting.metric_name(first.metric),
                formatting.metric(first.metric, first.value),
                spelled,
            )
        )
    facts.append(
        (
            "download",
            formatting.size(record.file.size_gzip),
            f"gzip · {formatting.size(record.file.size)} raw",
        )
    )
    quickest = min(
        summary.standings,
        key=lambda t: (t.device.startswith(VISITORS), t.noisy, t.median_ms),
        default=None,
    )
    if quickest:
        threads = "1 thread" if quickest.threads == 1 else f"{quickest.threads} threads"
        facts.append(
            (
                "latency",
                f"{formatting.milliseconds(quickest.median_ms)} ms",
                f"{quickest.device}, {quickest.told} · {threads}",
            )
        )
        facts.append(
            (
                "ratio to float",
                speeds.ratio(quickest),
                f"{speeds.interval(quickest)} · {quickest.verdict}"
                + (", noisy" if quickest.noisy else ""),
            )
        )
    facts.append(
        (
            "zeros",
            formatting.percent(record.structure.sparsity_overall),
            f"of {formatting.short_count(record.structure.parameters)} parameters",
        )
    )
    return tuple(facts)


def _quality(metric: Metric) -> Quality:
    return Quality(
        formatting.metric_name(metric.metric),
        formatting.metric(metric.metric, metric.value),
        formatting.interval(metric.metric, *metric.ci95),
        metric,
    )


def _measured(measurements: Sequence[Measurement], dtypes: Collection[str]) -> tuple[Measured, ...]:
    if not measurements:
        return ()
    ratios = speeds.ratio_scale([Timing.of(m) for m in measurements], width=130)
    spans = charts.interval_scale(
        [end for m in measurements for end in (m.latency_ms.p5, m.latency_ms.p95)],
        measurements[0].latency_ms.median,
        130,
    )
    ordered = sorted(measurements, key=lambda m: (m.device, m.on.key, m.threads, m.when))
    return tuple(
        Measured(
            m,
            speeds.speed(Timing.of(m), ratios),
            why_slow(m.on.key, m.verdict, dtypes),
            _spread(m.latency_ms, spans),
            conditions(m),
            _control(m),
        )
        for m in ordered
    )


def _spread(latency: Latency, scale: Scale) -> Markup:
    return charts.interval_bar(scale, latency.median, latency.p5, latency.p95)


def _control(measurement: Measurement) -> str:
    low, high = measurement.aa_ratio.ci95
    return f"{measurement.aa_ratio.value:.2f} ({low:.2f} {formatting.DASH} {high:.2f})"


def conditions(m: Measurement) -> tuple[tuple[str, str], ...]:
    """Spell every condition of a measurement: without them its numbers mean nothing."""
    low, high = m.aa_ratio.ci95
    host = ", ".join(
        part
        for part in (m.host.os, m.host.governor and f"governor {m.host.governor}", m.host.virtual)
        if part
    )
    delegate = (
        f"{m.delegate}, {m.nodes_delegated} of {m.nodes_total} nodes"
        if m.nodes_total
        else f"{m.delegate}, its share is not told"
    )
    return (
        ("runtime", f"{m.runtime} {m.runtime_version}"),
        ("delegate", delegate + (f" in {m.partitions} partitions" if m.partitions else "")),
        ("threads", f"{m.threads}, {'pinned' if m.pinned else 'not pinned'}"),
        ("protocol", m.protocol),
        ("runs", f"{m.rounds} rounds of {m.runs} runs, {m.warmup} warm-ups"),
        ("baseline", f"{m.baseline.name} (sha256 {m.baseline.sha256.short}…), interleaved"),
        ("A/A control", f"{m.aa_ratio.value:.3f} ({low:.3f} {formatting.DASH} {high:.3f})"),
        (
            "median · mean ± std",
            f"{_ms(m.latency_ms.median)} · {_ms(m.latency_ms.mean)} ± {_ms(m.latency_ms.std)} ms",
        ),
        (
            "p5 · p95 · p99",
            f"{_ms(m.latency_ms.p5)} · {_ms(m.latency_ms.p95)} · {_ms(m.latency_ms.p99)} ms",
        ),
        ("min · max", f"{_ms(m.latency_ms.min)} · {_ms(m.latency_ms.max)} ms"),
        ("start · first run", f"{_ms(m.init_ms)} · {_ms(m.first_ms)} ms"),
        (
            "peak memory",
            f"{formatting.significant(m.peak_memory_mb)} MB"
            if m.peak_memory_mb
            else "not measured",
        ),
        ("kernels", m.kernels),
        (
            "sparse path",
            f"{m.sparse_path}: {m.sparse_reason}" if m.sparse_reason else m.sparse_path,
        ),
        ("output check", f"{m.output_check} against the golden vectors"),
        ("platform", f"{m.on.told}: {m.on.key}"),
        (
            "host",
            f"{m.host.cpu}, {m.host.arch}, {m.host.cores} cores"
            + (f", {m.host.memory_gb:.0f} GB" if m.host.memory_gb else ""),
        ),
        ("system", host or "not recorded"),
        ("CPU features", " ".join(m.host.features) or "not recorded"),
        ("when", f"{m.when:%Y-%m-%d %H:%M} UTC"),
    )


_ms = formatting.milliseconds


def _tensor(tensor: TensorSparsity) -> TensorRow:
    shape = formatting.TIMES.join(map(str, tensor.shape)) or "scalar"
    return TensorRow(
        tensor, shape, formatting.percent(tensor.sparsity), charts.share_bar(tensor.sparsity)
    )


def _plain(value: Any) -> str:
    """Spell a parameter the way a manifest would."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(_plain(entry) for entry in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(entry)}" for key, entry in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _goal(goal: str, value: float | None) -> str:
    if value is None:
        return "not measured"
    if "size" in goal:
        return formatting.size(value)
    return f"{value:.4g}"


def _relatives(summary: Summary, family: Sequence[Summary], metric: str) -> tuple[Relative, ...]:
    ordered = sorted(
        [summary, *(item for item in family if item.name != summary.name)], key=_plain_first
    )
    spelled = views.rows(ordered, Query(), metric)
    columns = [speeds.speeds(ordered, place) for place in speeds.places(summary, family)]
    found = []
    for index, (item, row) in enumerate(zip(ordered, spelled, strict=True)):
        found.append(_relative(item, row, tuple(column[index] for column in columns), summary))
    return tuple(found)


def _plain_first(item: Summary) -> tuple[bool, int, str]:
    return (item.techniques != (), item.size_gzip, item.name)


def _relative(
    item: Summary, row: views.ListingRow, speeds: tuple[speeds.Speed | None, ...], summary: Summary
) -> Relative:
    metric = main_metric(Query(), [summary])
    current = item.name == summary.name
    difference = _apart(summary, item, metric)
    return Relative(
        row=row,
        current=current,
        speeds=speeds,
        metric_change="" if difference is None or current else _difference(metric, difference),
        metric_tone=(
            "even"
            if not difference or abs(difference) < _SAME
            else "good"
            if difference > 0
            else "bad"
        ),
        size_change="" if current else _times(item.size, summary.size),
        gzip_change="" if current else _times(item.size_gzip, summary.size_gzip),
    )


def _apart(summary: Summary, item: Summary, metric: str) -> float | None:
    """Difference of a metric; None where the two were not measured on the very same data set."""
    mine = next((one for one in summary.scored if one.metric == metric), None)
    theirs = (one for one in item.scored if one.metric == metric)
    its = next((one for one in theirs if mine and one.dataset == mine.dataset), None)
    return None if mine is None or its is None else its.value - mine.value


def _difference(metric: str, difference: float) -> str:
    return (
        f"{formatting.points(difference)} pt"
        if formatting.is_share(metric)
        else formatting.significant(difference)
    )


def _times(value: int, mine: int) -> str:
    return "" if not mine else f"{formatting.TIMES} {formatting.ratio(value / mine)}"


def compare_address(summary: Summary, family: Sequence[Summary]) -> str:
    """Give the address that compares this release with its relatives, the plain float one first.

    Empty without relatives.
    """
    others = [item for item in family if item.name != summary.name]
    if not others:
        return ""
    ordered = sorted(
        [summary, *others],
        key=lambda item: (item.techniques != (), item.name != summary.name, item.name),
    )[:6]
    return urls.address(
        "/compare", tuple(("ref", f"{item.name}@{item.version}") for item in ordered)
    )
