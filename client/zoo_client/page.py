"""One artifact as a page for the terminal: every number with its conditions."""

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zoo_client import machine
from zoo_client.output import NOTHING, pairs, ratio_text, table, verdict_text
from zoo_registry.model import formatting
from zoo_registry.model.platform import why_slow
from zoo_registry.model.rebuilt import expected
from zoo_registry.model.record import Measurement, Metric, Record
from zoo_registry.model.summary import Timing
from zoo_registry.stores.layout import Release

_SHOWN_OPERATORS = 8
_SHOWN_ERRORS = 8
_SHOWN_CLASSES = 3


def page(release: Release) -> Group:
    """Lay out everything that is known of a release."""
    record = release.record
    parts = (_quality, _sizes, _structure, _proofs, _errors)
    sections = [
        _identity(release),
        *(part(record) for part in parts),
        _speed(release),
        _origin(record),
        _goals(record),
    ]
    return Group(
        _title(release),
        *(Padding(section, (1, 0, 0, 0)) for section in sections if section is not None),
    )


def _title(release: Release) -> Text:
    title = Text.assemble((release.record.name, "bold"), f" {release.record.version}")
    for alias in release.aliases:
        title.append(f"  {alias}", style="cyan")
    if release.yanked:
        title.append(f"  withdrawn: {release.yank_reason}", style="red")
    return (
        title.append(f"\n{release.record.description}", style="dim")
        if release.record.description
        else title
    )


def _identity(release: Release) -> Table:
    record = release.record
    steps = " → ".join(step.technique for step in record.recipe)
    recipe = steps or f"none: {record.unchanged}"
    rows = [
        ("task", record.task),
        ("recipe", recipe),
        *([("input", record.signature.sound.words)] if record.signature.sound else []),
        ("licence", record.license),
        ("file sha256", record.file.sha256),
        ("record sha256", release.record_sha256),
        ("published", release.published or NOTHING),
        *(("note", remark) for remark in record.remarks),
        *(("data", line) for line in (record.data.words if record.data else ())),
    ]
    return pairs(rows)


def _quality(record: Record) -> RenderableType | None:
    if not record.metrics:
        return _fidelity(record)
    made = table(
        "quality",
        ">value",
        ">95 % interval",
        "measured on",
        ">examples",
        title="Quality, measured on the file itself",
    )
    for m in record.metrics:
        made.add_row(
            m.metric,
            f"{m.value:.4f}",
            f"{m.ci95[0]:.4f} to {m.ci95[1]:.4f}",
            f"{m.dataset} {m.split}",
            formatting.count(m.examples),
        )
    lines = [_worst(m) for m in record.metrics if m.classes]
    return Group(made, *lines, *filter(None, [_fidelity(record)]))


def _worst(metric: Metric) -> Text:
    worst = sorted(metric.classes, key=lambda one: (one.value, one.label))[:_SHOWN_CLASSES]
    told = ", ".join(
        f"{one.label} {one.value:.2%} of {formatting.count(one.examples)}" for one in worst
    )
    return Text(f"{metric.metric}: lowest for {told}", style="dim")


def _fidelity(record: Record) -> Text | None:
    if record.fidelity is None:
        return None
    f = record.fidelity
    where = f"{f.split} ({formatting.count(f.examples)} examples)"
    agrees = (
        f"on {where}"
        if f.top1_agreement is None
        else f"same top-1 for {f.top1_agreement:.2%} of {where}"
    )
    return Text(f"against float32: {agrees}, SQNR {f.sqnr_db:.1f} dB", style="dim")


def _sizes(record: Record) -> Table:
    file = record.file
    tried = ", ".join(
        f"{name} {formatting.size(size)}" for name, size in sorted(file.encodings.items())
    )
    kept = f"{file.encoding}{f' (tried: {tried})' if tried else ''}"
    sizes = (("raw", file.size), ("gzip -9", file.size_gzip), ("zstd -19", file.size_zstd))
    rows = [*((name, formatting.size(size)) for name, size in sizes), ("encoding", kept)]
    return pairs(rows, title="Size")


def _structure(record: Record) -> Table:
    s = record.structure
    operators = sorted(s.operators.items(), key=lambda item: -item[1])
    more = (
        f", and {len(operators) - _SHOWN_OPERATORS} more kinds"
        if len(operators) > _SHOWN_OPERATORS
        else ""
    )
    sparse = (
        f"predicted on {', '.join(s.xnnpack.cpus)}"
        if s.xnnpack.predicted_sparse
        else f"no: {s.xnnpack.reason}"
    )
    rows = [
        ("parameters", formatting.count(s.parameters)),
        ("MACs", formatting.count(s.macs)),
        (
            "operators",
            ", ".join(f"{count} {name}" for name, count in operators[:_SHOWN_OPERATORS]) + more,
        ),
        (
            "tensors",
            ", ".join(f"{count} {dtype}" for dtype, count in sorted(s.tensors_by_dtype.items())),
        ),
        (
            "zeros",
            (
                f"{s.sparsity_overall:.1%} of all"
                f" weights{f', {s.densify} stored sparse' if s.densify else ''}"
            ),
        ),
        ("XNNPACK sparse", sparse),
        *([("state", s.before_each)] if s.state else []),
    ]
    return pairs(rows, title="Structure, read from the file")


def _proofs(record: Record) -> Table | None:
    if not record.proofs:
        return None
    made = table(
        "technique", "promise", ">tensors", "found", title="Proofs, held against every tensor"
    )
    ordered = sorted(record.proofs, key=lambda finding: (finding.technique, finding.promise))
    for (technique, promise), group in groupby(
        ordered, key=lambda finding: (finding.technique, finding.promise)
    ):
        findings = list(group)
        values = sorted({finding.found for finding in findings})
        made.add_row(
            technique,
            promise,
            str(len(findings)),
            values[0] if len(values) == 1 else f"{values[0]} … {values[-1]}",
        )
    return made


def _errors(record: Record) -> RenderableType | None:
    """Show the layers that quantizing hurts most, and which were left in float."""
    about = record.quantization
    if about is None or not about.layers:
        return None
    worst = sorted(about.layers, key=lambda error: error.sqnr_channels_db)
    shown = [
        error for index, error in enumerate(worst) if index < _SHOWN_ERRORS or error.kept_float
    ]
    how = "by itself" if about.mode == "layer" else "added up towards the output"
    made = table(
        "layer",
        "operator",
        ">RMSE, steps",
        ">SQNR dB",
        ">by channel dB",
        "in this file",
        title=f"Quantization error, {how}",
    )
    for e in shown:
        made.add_row(
            e.layer,
            e.operator,
            f"{e.rmse_over_scale:.2f}",
            f"{e.sqnr_db:.1f}",
            f"{e.sqnr_channels_db:.1f}",
            "float" if e.kept_float else "",
        )
    more = (
        f"{len(shown)} worst of {len(about.layers)} layers; "
        if len(shown) < len(about.layers)
        else ""
    )
    line = (
        f"{more}{about.engine} {about.engine_version}, {formatting.count(about.examples)}"
        f" examples of {about.split}"
    )
    return Group(made, Text(line, style="dim"))


def _speed(release: Release) -> RenderableType | None:
    measurements = (*release.record.measurements, *release.added)
    unable = [
        Text(f"not runnable on {row.device}: {row.message}", style="yellow")
        for row in release.record.not_measured
    ]
    if not measurements:
        return Group(Text("Latency", style="bold"), *unable) if unable else None
    made = table(
        "device",
        ">threads",
        ">median ms",
        ">p95",
        ">ratio [95 %]",
        "verdict",
        "sparse",
        title="Latency",
    )
    reasons: dict[str, None] = {}
    for m in measurements:
        timing = Timing.of(m)
        why = why_slow(timing.platform, timing.verdict, release.record.structure.tensors_by_dtype)
        reasons |= {f"{m.device}, {timing.told}: {why}": None} if why else {}
        numbers = (
            formatting.milliseconds(m.latency_ms.median),
            formatting.milliseconds(m.latency_ms.p95),
            ratio_text(timing),
        )
        made.add_row(
            f"{m.device}\n{timing.told}",
            str(m.threads),
            *numbers,
            verdict_text(timing),
            m.sparse_path,
        )
    conditions = reasons | dict.fromkeys(line for m in measurements for line in _conditions(m))
    return Group(made, *unable, *(Text(line, style="dim") for line in conditions))


def _conditions(m: Measurement) -> Iterator[str]:
    pinned = "pinned" if m.pinned else "not pinned"
    delegated = f"{m.delegate} {m.nodes_delegated}/{m.nodes_total} nodes"
    yield (f"{m.device}: {m.on.told}, {m.runtime} {m.runtime_version}, {delegated}, {pinned}")
    runs = f"{m.rounds} rounds of {m.runs} runs, {m.warmup} warm-ups"
    yield (
        f"{m.device}: {runs}, {m.protocol}, {m.when:%Y-%m-%d}; ratio to {m.baseline.name}, run"
        " interleaved"
    )
    if m.sparse_reason:
        yield f"{m.device}: sparse path {m.sparse_path}: {m.sparse_reason}"
    if m.noisy:
        yield f"{m.device}: noisy ({', '.join(m.noise_causes) or f'A/A {m.aa_ratio.value:.3f}'})"


def _origin(record: Record) -> Table:
    p = record.provenance
    commit = (
        f"{p.git.commit[:12]}{' with changes' if p.git.dirty else ''}"
        if p.git.commit
        else "not in a repository"
    )
    rows = [
        ("built", f"{p.started:%Y-%m-%d %H:%M} on {p.host}, {p.duration_s:.0f} s, seed {p.seed}"),
        ("commit", commit),
        ("plan", p.fingerprint),
        ("manifest", p.manifest_sha256),
        ("data", p.dataset_sha256),
        ("tools", ", ".join(f"{name} {version}" for name, version in sorted(p.tools.items()))),
        ("built again", expected(record.reproducible, p.platforms, machine.here().key)),
    ]
    return pairs(rows, title="Where it comes from")


def _goals(record: Record) -> Table | None:
    if not record.goals:
        return None
    made = table("goal", ">limit", ">found", "", title="Goals")
    for goal in record.goals:
        verdict = Text("met", style="green") if goal.met else Text("missed", style="red")
        made.add_row(
            goal.goal,
            f"{goal.limit:g}",
            NOTHING if goal.value is None else f"{goal.value:.4g}",
            verdict,
        )
    return made
