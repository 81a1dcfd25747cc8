"""What the records of a model show, judged.

Goals of the manifest, promises of recipes, zeros and the sparse path, published orders. Pure.

Every judgement is computed from records and published tables, and carries its numbers. Two
qualities of which one lies in the other's 95 % interval are a tie: that many examples cannot tell
them apart.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Literal

from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports import published_results
from zoo_builders.reports.published_results import METRIC, PublishedFile, Table
from zoo_registry.model.record import GoalResult, Metric, Record

Verdict = Literal["held", "not held", "a tie", "not measured", "not set"]
_DROP = re.compile(r"(\w+) max_drop \S+ versus (\S+)")


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that should hold, whether it does, and the numbers that say so."""

    verdict: Verdict
    text: str


def judged(tables: Iterable[Table], model: str, records: Sequence[Record]) -> list[Claim]:
    """Judge everything the records of one model can show."""
    goals = list(_goals(records)) or [Claim("not set", "the manifest sets no goals.")]
    orders = (
        claim for table in tables if model in table.beside for claim in _orders(table, records)
    )
    return [*goals, *_promises(records), *_zeros(records), *_sparse_paths(records), *orders]


def page(claims: Sequence[Claim]) -> list[str]:
    """Give the Markdown list; empty without claims."""
    if not claims:
        return []
    return [
        "**Held or not**, computed from the records:",
        "",
        *(f"- **{claim.verdict}**: {claim.text}" for claim in claims),
        "",
    ]


def _goals(records: Sequence[Record]) -> Iterator[Claim]:
    results: dict[str, list[tuple[Record, GoalResult]]] = {}
    for record in records:
        for result in record.goals:
            results.setdefault(result.goal, []).append((record, result))
    for goal, judged_by in results.items():
        lost = [(record, result) for record, result in judged_by if not result.met]
        found = "; ".join(
            f"{r.variant} {_value(result)}" for r, result in lost or [_nearest(goal, judged_by)]
        )
        which = f"missed by {len(lost)}: {found}" if lost else f"nearest to the limit: {found}"
        whom = (
            "variants"
            if len(judged_by) == len(records)
            else f"variants it is set for ({len(records)} in all)"
        )
        text = (
            f"goal `{goal}`: met by {len(judged_by) - len(lost)} of {len(judged_by)} {whom};"
            f" {which}{_reach(goal, judged_by, records)}"
        )
        yield Claim("not held" if lost else "held", f"{text}.")


def _nearest(
    goal: str, judged_by: Sequence[tuple[Record, GoalResult]]
) -> tuple[Record, GoalResult]:
    sign = -1 if re.search(r"\bmin\b", goal) else 1
    others = [pair for pair in judged_by if not goal.endswith(f" versus {pair[0].variant}")]
    return max(others or judged_by, key=lambda pair: sign * (pair[1].value or 0.0))


def _value(result: GoalResult) -> str:
    return "nothing measured" if result.value is None else f"{result.value:.3g}"


def _reach(
    goal: str, judged_by: Sequence[tuple[Record, GoalResult]], records: Sequence[Record]
) -> str:
    """Say of a goal on quality what the number of examples leaves open."""
    named = _DROP.match(goal)
    if named is None:
        return ""
    base = next((record.best(named[1]) for record in records if record.variant == named[2]), None)
    measured = {
        r.variant: metric for r, _ in judged_by for metric in r.metrics if metric.metric == named[1]
    }
    if base is None or not measured:
        return ""
    limit = judged_by[0][1].limit
    open_ = [variant for variant, metric in measured.items() if base - metric.ci95[0] > limit]
    counted = _counted(next(iter(measured.values())))
    whose = "every variant" if len(open_) == len(measured) else ", ".join(open_)
    return (
        f" ({counted}; the 95 % interval of {whose} reaches beyond the limit)"
        if open_
        else f" ({counted})"
    )


def _counted(metric: Metric) -> str:
    return f"{metric.examples:,} examples, one is {100 / metric.examples:.2f} points"


def _promises(records: Sequence[Record]) -> Iterator[Claim]:
    held = sum(finding.held for record in records for finding in record.proofs)
    count = sum(len(record.proofs) for record in records)
    if count:
        what = sorted(
            {
                f"{finding.technique}: {finding.promise}"
                for record in records
                for finding in record.proofs
            }
        )
        text = (
            f"what recipes promise is in the files: {held:,} of {count:,} promises, tensor by"
            f" tensor ({'; '.join(what)})."
        )
        yield Claim("held" if held == count else "not held", text)


def _zeros(records: Sequence[Record]) -> Iterator[Claim]:
    """Count the zeros over all weights that pruning took, together.

    Variants with the same count share a line.
    """
    alike: dict[tuple[float, int, int, bool], list[str]] = {}
    for record in records:
        target = next(
            (
                float(s.params["final"])
                for s in record.recipe
                if s.technique == "prune" and s.params.get("final")
            ),
            None,
        )
        pruned = {
            f.tensor
            for f in record.proofs
            if f.technique == "prune" and f.promise.startswith("share of zeros")
        }
        counted = [
            (prod(w.shape), w.sparsity) for w in record.structure.weights if w.name in pruned
        ]
        if target is not None and counted:
            zeros = sum(round(size * share) for size, share in counted)
            held = zeros >= target * sum(size for size, _ in counted) - len(
                counted
            )  # each tensor has a whole number of zeros
            alike.setdefault((target, zeros, sum(size for size, _ in counted), held), []).append(
                record.variant
            )
    for (target, zeros, size, held), variants in alike.items():
        text = (
            f"zeros in aggregate over all weights that were pruned: {zeros:,} of {size:,} ="
            f" {zeros / size:.2%}, aimed at {target:.0%}"
        )
        yield Claim("held" if held else "not held", f"{', '.join(variants)}: {text}.")


def _sparse_paths(records: Sequence[Record]) -> Iterator[Claim]:
    """Hold the devices that ran sparse kernels against the prediction.

    Variants of which the same is known share a line.
    """
    alike: dict[tuple[Verdict, str], list[str]] = {}
    for record in records:
        predicted = record.structure.xnnpack
        if not record.structure.densify or not predicted.predicted_sparse:
            continue
        seen = {label: m.sparse_path for label, m in published_results.latencies(record).items()}
        told = ", ".join(f"`{label}` {path}" for label, path in seen.items()) or "no device"
        text = (
            f"XNNPACK's sparse kernels are predicted on {', '.join(predicted.cpus)} and on no other"
            f" ({predicted.reason}); measured: {told}."
        )
        alike.setdefault((_of_paths(seen.values()), text), []).append(record.variant)
    yield from (
        Claim(verdict, f"{', '.join(variants)}: {text}")
        for (verdict, text), variants in alike.items()
    )


def _of_paths(paths: Iterable[str]) -> Verdict:
    found = set(paths)
    if "contradicted" in found:
        return "not held"
    return "held" if "confirmed" in found else "not measured"


def _orders(table: Table, records: Sequence[Record]) -> Iterator[Claim]:
    built: Mapping[str, Record] = {record.variant: record for record in records}
    rows = [
        (row, built[row.ours]) for row in table.rows if row.ours in built and row.ours is not None
    ]
    if FLOAT in built:
        yield from _order_of_quality(
            table, [(row, record) for row, record in rows if row.quality is not None], built[FLOAT]
        )
        yield from _order_of_sizes(
            table, [(row, record) for row, record in rows if row.packed is not None], built[FLOAT]
        )


_Rows = Sequence[tuple[PublishedFile, Record]]


def _order_of_quality(table: Table, rows: _Rows, base: Record) -> Iterator[Claim]:
    ordered = sorted(rows, key=lambda pair: -(pair[0].quality or 0.0))
    metrics = [record.metric(METRIC) for _, record in ordered]
    found = [
        (record.variant, metric)
        for (_, record), metric in zip(ordered, metrics, strict=True)
        if metric is not None
    ]
    reference, own = table.reference.quality, base.best(METRIC)
    # an order is of two or more
    if len(found) < 2 or len(found) < len(ordered) or reference is None or own is None:  # noqa: PLR2004
        return
    apart = [
        (better, worse)
        for better, worse in combinations(found, 2)
        if not _tied(better[1], worse[1])
    ]
    turned = [(better, worse) for better, worse in apart if better[1].value < worse[1].value]
    theirs = " > ".join(
        f"{row.what} {published_results.points((row.quality or 0.0) * 100 - reference * 100)}"
        for row, _ in ordered
    )
    ours = ", ".join(
        f"{variant} {published_results.points(100 * (metric.value - own))}"
        for variant, metric in found
    )
    text = f"change of top-1 in the order of *{table.title}* ({theirs}): ours {ours}"
    if turned:
        yield Claim("not held", f"{text}; the other way round: {_named(turned)}.")
    elif len(apart) == len(found) * (len(found) - 1) // 2:
        yield Claim("held", f"{text}.")
    else:
        certain = f"; certain only of {_named(apart)}" if apart else ""
        yield Claim(
            "a tie",
            f"{text}; not to be told apart, they lie in each other's 95 % intervals"
            f" ({_counted(found[0][1])}){certain}.",
        )


def _named(found: Iterable[tuple[tuple[str, Metric], tuple[str, Metric]]]) -> str:
    return ", ".join(f"{better} and {worse}" for (better, _), (worse, _) in found)


def _tied(one: Metric, other: Metric) -> bool:
    return one.ci95[0] <= other.value <= one.ci95[1] or other.ci95[0] <= one.value <= other.ci95[1]


def _order_of_sizes(table: Table, rows: _Rows, base: Record) -> Iterator[Claim]:
    ordered = sorted(rows, key=lambda pair: -(pair[0].packed or 0.0))
    if len(ordered) < 2:  # noqa: PLR2004  an order is of two or more
        return
    theirs = " > ".join(f"{row.what} {(row.packed or 0.0) / 1000:,.0f} kB" for row, _ in ordered)
    ours = ", ".join(
        f"{r.variant} {r.file.size_gzip:,}"
        f" ({published_results.times(r.file.size_gzip / base.file.size_gzip)})"
        for _, r in ordered
    )
    turned = [
        f"{small.variant} is {small.file.size_gzip / large.file.size_gzip - 1:.1%} larger than"
        f" {large.variant}"
        for (_, large), (_, small) in combinations(ordered, 2)
        if small.file.size_gzip >= large.file.size_gzip
    ]
    text = f"packed size in the order of *{table.title}* ({theirs}): ours {ours} bytes after gzip"
    yield Claim(
        "not held" if turned else "held",
        f"{text}{'; the other way round: ' + ', '.join(turned) if turned else ''}.",
    )
