"""Results as a page: a table of built variants with its conditions, plots drawn from their records, and what others published beside them.

    python -m zoo_builders.results [--builds .zoo/builds] [--out docs/results.md] [--model M]…

Writes `<out>`, and `<out>-<model>.svg` for each model. Every number of ours is read from a `record.json`; every other from `published.yaml`
beside `<out>`, which names its sources.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from zoo_builders import published, results_dots
from zoo_builders.plan import FLOAT
from zoo_builders.published import Table
from zoo_registry.model.errors import NotFound, ZooError
from zoo_registry.model.files import write_bytes
from zoo_registry.model.record import Fidelity, Measurement, Record
from zoo_registry.model.ref import parse_version

_HEADER = (
    "| variant | top-1 (95 %) | fidelity | bytes | gzip | median ms | p95 ms | ratio (95 %) | verdict | delegated | sparse path | file |"
)
_RULE = "|---|--:|--:|--:|--:|--:|--:|--:|---|--:|---|---|"
_METRIC = "top1"
_NONE = "n/a"


def load(builds: Path, models: Sequence[str] = ()) -> list[Record]:
    """Read the records of all finished builds, the highest version of each name, sorted by model with the float file first.

    Raises:
        NotFound: there are none; the hint is the build.
        InvalidRecord: one breaks its schema.
    """
    newest: dict[str, Record] = {}
    for path in sorted(builds.glob("*/*/record.json")):
        record = Record.read(path.read_bytes())
        known = newest.get(record.name)
        if (not models or record.model in models) and (known is None or parse_version(record.version) > parse_version(known.version)):
            newest[record.name] = record
    if not newest:
        raise NotFound(f"{builds} holds no finished build" + (f" of {', '.join(models)}" if models else ""), hint="zoo build MANIFEST")
    return sorted(newest.values(), key=lambda r: (r.model, r.variant != FLOAT, r.variant))


def render(records: Sequence[Record], stem: str, tables: Sequence[Table] = ()) -> str:
    """Give the page as Markdown; `stem` begins the names of the pictures beside it, `tables` is what others published."""
    parts = ["# Results", "", "Written by `python -m zoo_builders.results` from the records of finished builds; do not edit.", ""]
    for model, family in groupby(records, key=lambda r: r.model):
        held = list(family)
        picture = picture_of(stem, model) if published.dots(tables, model, held) else ""
        parts += [*_family(model, held, picture), *published.page(tables, model, held)]
    return "\n".join(parts)


def picture_of(stem: str, model: str) -> str:
    """Name the picture of one model beside the page."""
    return f"{stem}-{model}.svg"


def _family(model: str, records: Sequence[Record], picture: str) -> list[str]:
    first = records[0]
    metric = next((m for m in first.metrics if m.metric == _METRIC), None)
    parts = [f"## {model} {first.version}", "", first.description, ""]
    parts += (
        [f"![what each variant of {model} costs and saves against its float file, beside published results]({picture})", ""]
        if picture
        else []
    )
    if metric:
        parts += [f"Quality: {metric.dataset}, split `{metric.split}`, {metric.examples} examples, run by the runtime itself.", ""]
    for key, rows in _by_conditions(records).items():
        parts += [key, "", _HEADER, _RULE, *(_row(record, measurement) for record, measurement in rows), ""]
    return [*parts, *_sparse(records), *_unable(records), *_digests(records), ""]


def _sparse(records: Sequence[Record]) -> list[str]:
    """Say of files that are stored sparse what became of the sparse path on each device, and how that is known."""
    stored = [record for record in records if record.structure.densify]
    told = [(record, m) for record in stored for m in record.measurements if m.sparse_reason]
    lines = [f"- {record.variant} on `{m.device}`: {m.sparse_path}: {m.sparse_reason}" for record, m in told]
    return ["Sparse path:", "", *lines, ""] if lines else []


def _unable(records: Sequence[Record]) -> list[str]:
    """Name the devices that cannot run a file, and why: no row is left out without a word."""
    lines = [f"- {record.variant} on `{row.device}`: {row.message}" for record in records for row in record.not_measured]
    return ["Not runnable:", "", *lines, ""] if lines else []


def _by_conditions(records: Iterable[Record]) -> Mapping[str, list[tuple[Record, Measurement | None]]]:
    """Group measurements that may be compared: same device, threads, runtime, protocol, machine."""
    groups: dict[str, list[tuple[Record, Measurement | None]]] = {}
    for record in records:
        for measurement in record.measurements or (None,):
            groups.setdefault(_conditions(measurement), []).append((record, measurement))
    return groups


def _conditions(m: Measurement | None) -> str:
    if m is None:
        return "Latency: not measured."
    machine = f"{m.host.cpu}, {m.host.arch}, {m.host.cores} cores" + (f", inside {m.host.virtual}" if m.host.virtual else "")
    threads = f"{m.threads} thread{'s' * (m.threads > 1)}{', pinned' * m.pinned}"
    protocol = f"protocol `{m.protocol}` ({m.rounds} rounds of {m.runs} runs), {m.when:%Y-%m-%d}"
    return f"Latency: `{m.device}`, {threads}, {m.runtime} {m.runtime_version}, {protocol}; {machine} (host `{m.host.fingerprint.short}`)."


def _row(record: Record, m: Measurement | None) -> str:
    quality = next((metric for metric in record.metrics if metric.metric == _METRIC), None)
    top1 = f"{quality.value:.2%} ({quality.ci95[0]:.2%} to {quality.ci95[1]:.2%})" if quality else _NONE
    fidelity = _fidelity(record.fidelity)
    timing = [_NONE] * 6
    if m is not None:
        ratio = f"{m.ratio.value:.2f} ({m.ratio.ci95[0]:.2f} to {m.ratio.ci95[1]:.2f})"
        verdict = m.verdict + (", noisy" if m.noisy else "")
        timing = [
            f"{m.latency_ms.median:.4g}",
            f"{m.latency_ms.p95:.4g}",
            ratio,
            verdict,
            f"{m.nodes_delegated}/{m.nodes_total}" if m.nodes_total else "not told",
            m.sparse_path,
        ]
    sizes = [f"{record.file.size:,}", f"{record.file.size_gzip:,}"]
    return "| " + " | ".join([record.variant, top1, fidelity, *sizes, *timing, f"`{record.file.sha256.short}`"]) + " |"


def _fidelity(fidelity: Fidelity | None) -> str:
    if fidelity is None:
        return _NONE
    agreement = "" if fidelity.top1_agreement is None else f"{fidelity.top1_agreement:.1%}, "
    return f"{agreement}{fidelity.sqnr_db:.0f} dB"


def _digests(records: Sequence[Record]) -> list[str]:
    noisy = [(r, m) for r in records for m in r.measurements if m.noisy]
    lines = [f"- {record.variant}, {m.device}, {m.threads}: {'; '.join(m.noise_causes)}" for record, m in noisy]
    noise = ["Noisy measurements, and why:", "", *lines, ""] if lines else []
    return [*noise, "Files (sha256):", "", *(f"- {record.name} {record.version}: `{record.file.sha256}`" for record in records)]


def write(builds: Path, out: Path, models: Sequence[str] = ()) -> list[Record]:
    """Write the page and its pictures; give the records they show.

    Raises:
        NotFound: there is no finished build.
    """
    records, tables = load(builds, models), published.load(out.with_name("published.yaml"))
    for model, family in groupby(records, key=lambda r: r.model):
        dots = published.dots(tables, model, list(family))
        if dots:
            title = f"{model}: what each variant costs and saves against {FLOAT}"
            write_bytes(out.with_name(picture_of(out.stem, model)), results_dots.draw(title, dots).encode())
    write_bytes(out, render(records, out.stem, tables).encode())
    return records


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; errors go to stderr with their hint."""
    parser = argparse.ArgumentParser(prog="python -m zoo_builders.results", description="Write the results page from finished builds.")
    parser.add_argument("--builds", type=Path, default=Path(".zoo/builds"), help="folder of finished builds")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="page to write; pictures go beside it")
    parser.add_argument("--model", action="append", default=[], help="only this model; may be repeated")
    args = parser.parse_args(argv)
    try:
        records = write(args.builds, args.out, args.model)
    except ZooError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{args.out}: {len(records)} variants\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
