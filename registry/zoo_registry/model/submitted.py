"""What a measurement from outside must look like before it stands beside a published file. Pure.

The schema has checked types and signs already; here it is whether the numbers can be of one honest
session: bounded, in order, not from the future, by a protocol whose ratios can be compared. None of
this proves that somebody measured: it keeps out mistakes and mischief.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from zoo_registry.model.errors import InvalidRecord
from zoo_registry.model.measurement import XNNPACK, Latency, Measurement, Ratio
from zoo_registry.model.platform import Platform

PROTOCOLS = ("interleaved/v1", "interleaved/v2")
"""Those whose ratios mean the same: the file against the float baseline, run in turns."""

VISITORS = "web-wasm:"
"""How devices begin that stand for visitors' browsers: `web-wasm:firefox-android`."""

SKEW = timedelta(minutes=10)
"""How far a clock may be ahead."""

_DEVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}(:[\w.@\[\]:-]{1,96})?")
_LONGEST_MS, _MOST_MB = 3_600_000.0, 1e7
_MOST_RUNS, _MOST_ROUNDS, _MOST_THREADS, _MOST_NODES = 1_000_000, 10_000, 4096, 1_000_000
_LONGEST_TEXT, _MOST_LINES, _FARTHEST = 1000, 64, 1e6


def accept(measurement: Measurement, now: datetime | None = None) -> None:
    """See that `measurement` can stand beside a published file.

    Raises:
        InvalidRecord: it cannot; the message names every field, what was found and what is
            expected.
    """
    mistakes = list(_mistakes(measurement, now or datetime.now(UTC)))
    if mistakes:
        raise InvalidRecord(
            "; ".join(mistakes),
            hint="zoo bench REF --submit   # measures and writes it as it must be",
        )


def _mistakes(m: Measurement, now: datetime) -> Iterator[str]:
    if m.protocol not in PROTOCOLS:
        yield (
            f"protocol: {_shown(m.protocol)} is not comparable (expected one of"
            f" {', '.join(PROTOCOLS)})"
        )
    if m.kernels != XNNPACK:
        yield f"kernels: {_shown(m.kernels)} (expected {XNNPACK}: that is what applications get)"
    if not _DEVICE.fullmatch(m.device):
        yield f"device: {_shown(m.device)} is no name of a device"
    if m.when.tzinfo is None:
        yield "when: a time without a time zone"
    elif m.when > now + SKEW:
        yield f"when: {m.when:%Y-%m-%dT%H:%M:%SZ} is in the future"
    yield from _platform(m)
    yield from _bounds(m)
    yield from _order(m.latency_ms)
    for name, ratio in (("ratio", m.ratio), ("aa_ratio", m.aa_ratio)):
        yield from _interval(name, ratio)
    yield from _texts(m)


def _platform(m: Measurement) -> Iterator[str]:
    """See that the class of machine is the one that device and host tell."""
    if m.platform is None:
        return
    expected = Platform.of(m.device, m.host)
    same = (m.platform.kind, m.platform.arch) == (expected.kind, expected.arch)
    if not same or (expected.known and m.platform.key != expected.key):
        yield (
            f"platform: {_shown(m.platform.key)} is not of this device and host (expected"
            f" {expected.key})"
        )


def _bounds(m: Measurement) -> Iterator[str]:
    times, host = m.latency_ms, m.host
    limits: dict[str, tuple[float, float]] = {
        "latency_ms.max": (times.max, _LONGEST_MS),
        "latency_ms.std": (times.std, _LONGEST_MS),
        "init_ms": (m.init_ms, _LONGEST_MS),
        "first_ms": (m.first_ms, _LONGEST_MS),
        "peak_memory_mb": (m.peak_memory_mb, _MOST_MB),
        "host.memory_gb": (host.memory_gb, _MOST_MB),
        "runs": (m.runs, _MOST_RUNS),
        "rounds": (m.rounds, _MOST_ROUNDS),
        "warmup": (m.warmup, _MOST_RUNS),
        "threads": (m.threads, _MOST_THREADS),
        "host.cores": (host.cores, _MOST_NODES),
        "nodes_total": (m.nodes_total, _MOST_NODES),
        "nodes_delegated": (m.nodes_delegated, m.nodes_total),
        "partitions": (m.partitions, _MOST_NODES),
    }
    yield from (
        f"{key}: {value:g} is more than {limit:g}"
        for key, (value, limit) in limits.items()
        if not value <= limit
    )


def _order(times: Latency) -> Iterator[str]:
    slack = 1 + 1e-6
    names = ("min", "p5", "median", "p95", "p99", "max")
    for low, high in pairwise(names):
        if getattr(times, low) > getattr(times, high) * slack:
            yield f"latency_ms.{low}: {getattr(times, low):g} is more than latency_ms.{high}"
    if not times.min <= times.mean * slack or not times.mean <= times.max * slack:
        yield f"latency_ms.mean: {times.mean:g} lies outside the extremes"


def _interval(name: str, ratio: Ratio) -> Iterator[str]:
    low, high = ratio.ci95
    if not 0 < low <= ratio.value <= high:
        yield f"{name}.ci95: [{low:g}, {high:g}] does not hold {ratio.value:g}"
    if not 1 / _FARTHEST <= ratio.value <= _FARTHEST:
        yield f"{name}.value: {ratio.value:g} is no ratio of two latencies"


def _texts(m: Measurement) -> Iterator[str]:
    texts = {
        "runtime": m.runtime,
        "runtime_version": m.runtime_version,
        "delegate": m.delegate,
        "sparse_reason": m.sparse_reason,
        "baseline.name": m.baseline.name,
        "platform": m.on.key,
        "host.cpu": m.host.cpu,
        "host.arch": m.host.arch,
        "host.os": m.host.os,
        "host.governor": m.host.governor,
        "host.virtual": m.host.virtual,
        **{f"noise_causes.{index}": cause for index, cause in enumerate(m.noise_causes)},
        **{f"host.features.{index}": feature for index, feature in enumerate(m.host.features)},
    }
    yield from (
        f"{key}: {len(text)} characters, at most {_LONGEST_TEXT}"
        for key, text in texts.items()
        if len(text) > _LONGEST_TEXT
    )
    lists = {"noise_causes": m.noise_causes, "host.features": m.host.features}
    yield from (
        f"{key}: {len(items)} entries, at most {_MOST_LINES}"
        for key, items in lists.items()
        if len(items) > _MOST_LINES
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= len(PROTOCOLS[0]) * 4 else f"{text[:48]}…")
