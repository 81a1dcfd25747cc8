"""Questions put to the zoo, and what an answer looks like.

Pure: evaluates over summaries, touches nothing.

The registry evaluates a `Query` in SQL; places without a server (an S3 prefix, a folder) evaluate
it here. Both must agree, and a property test holds them to it.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zoo_registry.model import formatting
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.record import Measurement, Record

SORTS = ("name", "newest", "latency", "ratio", "size", "size_gzip")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


def parse_size(text: str) -> int:
    """Read a size: `4MB` = 4,000,000 bytes, `4MiB` = 4,194,304, `4096` = bytes.

    Raises:
        InvalidQuery: it is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidQuery(
            f"not a size: {text!r} (expected a number with kB, MB, GB, KiB, MiB or GiB, such as"
            " 4MB)"
        )
    return int(float(match[1]) * _FACTORS[(match[2] or "").lower()])


class Value(BaseModel):
    """Base of the values here: frozen."""

    model_config = ConfigDict(frozen=True)


class Timing(Value):
    """One device's latency, as a listing shows it. Milliseconds."""

    device: str
    threads: int
    median_ms: float
    p95_ms: float
    ratio: float
    ratio_ci95: tuple[float, float]
    verdict: str
    noisy: bool
    sparse_path: str

    @classmethod
    def of(cls, measurement: Measurement) -> "Timing":
        """Take from a measurement what a listing shows."""
        m = measurement
        return cls(
            device=m.device,
            threads=m.threads,
            median_ms=m.latency_ms.median,
            p95_ms=m.latency_ms.p95,
            ratio=m.ratio.value,
            ratio_ci95=m.ratio.ci95,
            verdict=m.verdict,
            noisy=m.noisy,
            sparse_path=m.sparse_path,
        )


class Summary(Value):
    """One release, as a listing shows it."""

    name: str
    version: str
    model: str
    variant: str
    task: str
    license: str
    description: str
    techniques: tuple[str, ...]
    dataset: str
    file_sha256: Digest
    record_sha256: Digest
    size: int
    size_gzip: int
    parameters: int
    macs: int
    sparsity: float
    metrics: dict[str, float]
    metrics_ci95: dict[str, tuple[float, float]] = {}
    timings: tuple[Timing, ...]
    published: str = Field(default="", description="RFC 3339 UTC")
    yanked: bool = False
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        record: Record,
        record_sha256: Digest,
        *,
        added: Sequence[Measurement] = (),
        **state: Any,
    ) -> "Summary":
        """Reduce a record (and measurements added since) to what a listing shows."""
        metrics: dict[str, float] = {}
        intervals: dict[str, tuple[float, float]] = {}
        for metric in record.metrics:
            metrics.setdefault(metric.metric, metric.value)
            intervals.setdefault(metric.metric, metric.ci95)
        return cls(
            name=record.name,
            version=record.version,
            model=record.model,
            variant=record.variant,
            task=record.task,
            license=record.license,
            description=record.description,
            techniques=tuple(step.technique for step in record.recipe),
            dataset=record.metrics[0].dataset if record.metrics else "",
            file_sha256=record.file.sha256,
            record_sha256=record_sha256,
            size=record.file.size,
            size_gzip=record.file.size_gzip,
            parameters=record.structure.parameters,
            macs=record.structure.macs,
            sparsity=record.structure.sparsity_overall,
            metrics=metrics,
            metrics_ci95=intervals,
            timings=tuple(Timing.of(m) for m in (*record.measurements, *added)),
            **state,
        )

    def timing(self, device: str | None, threads: int | None) -> Timing | None:
        """Give the best usable timing.

        That device and thread count, quiet before noisy, then fastest.
        """
        fitting = [
            t for t in self.timings if device in (None, t.device) and threads in (None, t.threads)
        ]
        return min(fitting, key=lambda t: (t.noisy, t.median_ms), default=None)


class Query(Value):
    """What to look for. The facets must match.

    The limits are a budget that can be missed by a measurable amount.
    """

    q: str = Field(
        default="", max_length=200, description="words that the name or description must contain"
    )
    task: str | None = None
    model: str | None = None
    technique: str | None = Field(
        default=None, description="a technique the recipe uses, or `none` for the plain float model"
    )
    license: str | None = None
    device: str | None = None
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_size: Annotated[int, Field(ge=0)] | None = None
    max_size_gzip: Annotated[int, Field(ge=0)] | None = None
    min_metrics: dict[str, float] = Field(
        default={}, description="from `min_<metric>`, such as min_top1=0.7"
    )
    all_versions: bool = False
    yanked: bool = False
    sort: Annotated[str, Field(pattern=r"^-?[a-z0-9_]{1,40}$")] = "name"
    pareto: bool = False

    @property
    def needs_timing(self) -> bool:
        """Whether an artifact without a measurement on the device cannot answer."""
        return self.max_latency_ms is not None or self.max_ratio is not None

    @property
    def has_limits(self) -> bool:
        """Whether anything in the query is a budget."""
        return (
            self.needs_timing
            or self.max_size is not None
            or self.max_size_gzip is not None
            or bool(self.min_metrics)
        )

    def without_limits(self) -> "Query":
        """Keep the facets only: what could have fitted."""
        return self.model_copy(
            update={
                "max_latency_ms": None,
                "max_ratio": None,
                "max_size": None,
                "max_size_gzip": None,
                "min_metrics": {},
            }
        )

    def facets_match(self, item: Summary) -> bool:
        """Whether everything but the budget holds.

        Words and facets compare case-insensitively; a device must be measured.
        """
        plain = not item.techniques
        technique_ok = self.technique is None or (
            plain if self.technique == "none" else self.technique in item.techniques
        )
        text = f"{item.name} {item.description}".lower()
        return (
            technique_ok
            and all(word in text for word in self.q.lower().split())
            and all(
                wanted is None or wanted == found
                for wanted, found in ((self.task, item.task), (self.model, item.model))
            )
            and (self.license is None or self.license.lower() == item.license.lower())
            and (self.device is None or item.timing(self.device, self.threads) is not None)
            and (self.yanked or not item.yanked)
        )

    def misses(self, item: Summary) -> tuple["Miss", ...]:
        """Say which limits `item` breaks and by how much; empty when it fits."""
        timing = item.timing(self.device, self.threads)
        upper: list[tuple[str, float | None, float | None]] = [
            ("max_latency_ms", self.max_latency_ms, timing.median_ms if timing else None),
            ("max_ratio", self.max_ratio, timing.ratio if timing else None),
            ("max_size", self.max_size, item.size),
            ("max_size_gzip", self.max_size_gzip, item.size_gzip),
        ]
        found = [
            Miss.over(name, limit, value)
            for name, limit, value in upper
            if limit is not None and (value is None or value > limit)
        ]
        for metric, limit in sorted(self.min_metrics.items()):
            value = item.metrics.get(metric)
            if value is None or value < limit:
                found.append(Miss.under(f"min_{metric}", limit, value))
        return tuple(found)


class Miss(Value):
    """One limit that an artifact breaks.

    `by` is relative (0.25 = a quarter over or under); None when it was not measured.
    """

    limit: str
    wanted: float
    found: float | None
    by: float | None

    @classmethod
    def over(cls, name: str, wanted: float, found: float | None) -> "Miss":
        """Describe a value above its limit."""
        return cls(
            limit=name,
            wanted=wanted,
            found=found,
            by=None if found is None else (found - wanted) / max(wanted, 1e-12),
        )

    @classmethod
    def under(cls, name: str, wanted: float, found: float | None) -> "Miss":
        """Describe a value below its limit."""
        return cls(
            limit=name,
            wanted=wanted,
            found=found,
            by=None if found is None else (wanted - found) / max(abs(wanted), 1e-12),
        )


class NearMiss(Value):
    """An artifact that almost fits, and what it misses."""

    item: Summary
    misses: tuple[Miss, ...]

    @property
    def distance(self) -> float:
        """Sum of the relative misses; what was not measured counts as infinitely far."""
        return sum(math.inf if miss.by is None else miss.by for miss in self.misses)


class Page(Value):
    """One page of answers. `near_misses` is filled only when nothing fits."""

    items: tuple[Summary, ...]
    next_cursor: str | None = None
    near_misses: tuple[NearMiss, ...] = ()


class Resolution(Value):
    """The one best artifact for a budget, and why."""

    chosen: Summary | None
    why: str
    alternatives: tuple[Summary, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()


class ParetoPoint(Value):
    """One artifact in the plane of two properties."""

    item: Summary
    x: float
    y: float
    on_front: bool


def near_misses(
    query: Query, candidates: Iterable[Summary], count: int = 5
) -> tuple[NearMiss, ...]:
    """Rank those that match the facets by how little they miss the budget.

    Fewer misses of unknown size first.
    """
    found = [
        NearMiss(item=item, misses=query.misses(item))
        for item in candidates
        if query.facets_match(item)
    ]
    ranked = sorted(
        (near for near in found if near.misses),
        key=lambda near: (near.distance, near.item.name, near.item.version),
    )
    return tuple(ranked[:count])


def axis(item: Summary, name: str, query: Query) -> float | None:
    """Read one property of a summary.

    Latency_ms, ratio, size, size_gzip, parameters, macs, sparsity or a metric's name.
    """
    timing = item.timing(query.device, query.threads)
    known: dict[str, float | None] = {
        "latency_ms": timing.median_ms if timing else None,
        "ratio": timing.ratio if timing else None,
        "size": item.size,
        "size_gzip": item.size_gzip,
        "parameters": item.parameters,
        "macs": item.macs,
        "sparsity": item.sparsity,
    }
    return known[name] if name in known else item.metrics.get(name)


def pareto(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """Mark the points that no other beats: x is better small, y is better large.

    Equal points are both on the front.
    """

    def beaten(x: float, y: float) -> bool:
        return any(ox <= x and oy >= y and (ox < x or oy > y) for ox, oy in points)

    return tuple(not beaten(x, y) for x, y in points)


def main_metric(query: Query, items: Sequence[Summary]) -> str:
    """Name the metric that decides: the one asked for, else top1, else the first any item has."""
    if query.min_metrics:
        return min(query.min_metrics)
    names = sorted({name for item in items for name in item.metrics})
    return "top1" if "top1" in names or not names else names[0]


def resolve(query: Query, candidates: Sequence[Summary]) -> Resolution:
    """Choose the one best artifact for a budget.

    Most accurate, then fastest, then smallest, then by name.

    Accuracy decides first because the budget already says how slow and how large it may be.
    """
    fitting = [item for item in candidates if query.facets_match(item) and not query.misses(item)]
    if not fitting:
        return Resolution(
            chosen=None, why="nothing fits the budget", near_misses=near_misses(query, candidates)
        )
    metric = main_metric(query, fitting)

    def rank(item: Summary) -> tuple[float, float, int, str]:
        timing = item.timing(query.device, query.threads)
        return (
            -item.metrics.get(metric, -math.inf),
            timing.median_ms if timing else math.inf,
            item.size_gzip,
            item.name,
        )

    ordered = sorted(fitting, key=rank)
    best = ordered[0]
    timing = best.timing(query.device, query.threads)
    speed = f", {formatting.milliseconds(timing.median_ms)} ms on {timing.device}" if timing else ""
    score = (
        f"{metric} {best.metrics[metric]:.4f}"
        if metric in best.metrics
        else f"no {metric} measured"
    )
    why = (
        f"best {metric} of {len(fitting)} that fit: {score}{speed},"
        f" {formatting.size(best.size_gzip)} gzip"
    )
    return Resolution(chosen=best, why=why, alternatives=tuple(ordered[1:6]))


def parse_sort(sort: str, metrics: Iterable[str]) -> tuple[str, bool]:
    """Split `-size` into its key and whether it descends.

    Raises:
        InvalidQuery: no listing can be sorted by that; the message names what it can be sorted by.
    """
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    allowed = (*SORTS, *sorted(metrics))
    if key not in allowed:
        raise InvalidQuery(f"cannot sort by {key!r} (expected one of {', '.join(allowed)})")
    return key, descending


FrontAxis = Literal["latency_ms", "ratio", "size", "size_gzip", "parameters", "macs"]
