"""What a file takes on one place: sessions, put together, and what can be told apart. Pure.

A ratio to the float file was measured in turns with it, so what disturbs a machine meets both;
milliseconds of two sessions were not, and differ by how busy the machine was. So files are ranked
by ratios, and the milliseconds of a place are the float file's, in quiet sessions, times the ratio.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Literal

from pydantic import Field, model_validator

from zoo_registry.model import platform
from zoo_registry.model.part import Value
from zoo_registry.model.record import Measurement

LEAST_REACH = 1.02
"""Two files whose ratio lies nearer to 1 are never told apart (`protocol.LEAST_FLOOR`)."""

_SIGMAS = 1.959964
_TINY = 1e-9
BASELINE = "baseline"


class Timing(Value):
    """One device's latency, as a listing shows it. Milliseconds.

    `platform` is the key of the class of machine, `machine` its processor as people call it: times
    of two platforms are never compared. A summary that an older program wrote has what the name of
    its processor tells, until the catalogue is rebuilt.

    The float file has no ratio to itself: it is 1, and what its two processes differed by in the
    session is `aa_ratio`, the control of every ratio there.
    """

    device: str
    threads: int
    median_ms: float
    p95_ms: float
    ratio: float
    ratio_ci95: tuple[float, float]
    verdict: str
    noisy: bool
    sparse_path: str
    runtime: str = ""
    runtime_version: str = ""
    host_cpu: str = ""
    host_fingerprint: str = ""
    platform: str = ""
    machine: str = ""
    protocol: str = ""
    baseline_sha256: str = ""
    aa_ratio: float = 1.0
    sessions: int = Field(default=1, description="how many were put together")

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_program(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if given.get("verdict") == BASELINE and given.get("ratio") != 1:
            given = {"aa_ratio": given.get("ratio"), **given, "ratio": 1.0, "ratio_ci95": (1, 1)}
        if given.get("platform"):
            return given
        on = platform.Platform.guessed(given.get("device", ""), given.get("host_cpu", ""))
        return {**given, "platform": on.key, "machine": on.machine}

    @classmethod
    def of(cls, measurement: Measurement) -> "Timing":
        """Take from a measurement what a listing shows."""
        m = measurement
        alone = m.verdict == BASELINE or m.file_sha256 == m.baseline.sha256
        return cls(
            device=m.device,
            threads=m.threads,
            median_ms=m.latency_ms.median,
            p95_ms=m.latency_ms.p95,
            ratio=1.0 if alone else m.ratio.value,
            ratio_ci95=(1.0, 1.0) if alone else m.ratio.ci95,
            verdict=BASELINE if alone else m.verdict,
            noisy=m.noisy,
            sparse_path=m.sparse_path,
            runtime=m.runtime,
            runtime_version=m.runtime_version,
            host_cpu=m.host.cpu,
            host_fingerprint=m.host.fingerprint,
            platform=m.on.key,
            machine=m.on.machine,
            protocol=m.protocol,
            baseline_sha256=m.baseline.sha256,
            aa_ratio=m.aa_ratio.value,
        )

    @property
    def told(self) -> str:
        """Spell the platform for people: `AMD EPYC (x86-64 avx2)`."""
        return platform.told(self.platform, self.machine)

    @property
    def place(self) -> tuple[str, int, str]:
        """Device, threads and platform: what sessions must share to be put together."""
        return (self.device, self.threads, self.platform)

    @property
    def is_baseline(self) -> bool:
        """Whether this is the float file, which ratios are to."""
        return self.verdict == BASELINE

    @property
    def reach(self) -> float:
        """How far from 1, as a factor, chance can take a ratio here: as far as the control was."""
        return max(self.aa_ratio, 1 / max(self.aa_ratio, _TINY), LEAST_REACH)

    @property
    def ms_ci95(self) -> tuple[float, float]:
        """Milliseconds at both ends of the ratio's interval, as far as the control lets tell."""
        low, high = self.ratio_ci95
        share = self.median_ms / self.ratio / math.sqrt(self.reach)
        return (low * share, high * share * self.reach)


class Yardstick(Value):
    """Quiet milliseconds of a float file on one place: what ratios to it are multiplied by."""

    device: str
    threads: int
    platform: str
    sha256: str
    ms: float


def together(
    sessions: Iterable[Timing], yardsticks: Sequence[Yardstick] = ()
) -> tuple[Timing, ...]:
    """Put the sessions of one file together: one timing for each place, in the order of places."""
    found: dict[tuple[str, int, str], list[Timing]] = {}
    for one in sessions:
        found.setdefault(one.place, []).append(one)
    known = {(y.device, y.threads, y.platform, y.sha256): y.ms for y in yardsticks}
    return tuple(
        _together(those, lambda base, place=place: known.get((*place, base)))
        for place, those in found.items()
    )


def _together(sessions: Sequence[Timing], yardstick: Any) -> Timing:
    """Put sessions on one place together.

    Noisy ones count only where none was quiet, and those of the newest one's protocol and float
    file. Ratios are averaged as logarithms, each weighted by
    its interval and by how far sessions lie apart (random effects: DerSimonian and Laird, 1986), so
    one session keeps its interval and sessions that disagree widen it.
    """
    quiet = [one for one in sessions if not one.noisy] or list(sessions)
    last = quiet[-1]
    used = [one for one in quiet if _compare(one, last)]
    value, ci95 = _mean(used) if len(used) > 1 else (last.ratio, last.ratio_ci95)
    base = yardstick(last.baseline_sha256)
    ms = median(one.median_ms for one in used) if base is None else base * value
    widest = max(used, key=lambda one: one.reach)
    made = last.model_copy(
        update={
            "ratio": value,
            "ratio_ci95": ci95,
            "median_ms": ms,
            "p95_ms": ms * median(one.p95_ms / one.median_ms for one in used),
            "aa_ratio": widest.aa_ratio,
            "sessions": len(used),
        }
    )
    return made if len(used) == 1 else made.model_copy(update={"verdict": _verdict(made)})


def _compare(one: Timing, other: Timing) -> bool:
    """Whether two ratios mean the same: to one float file, by one protocol."""
    return (one.baseline_sha256, one.protocol) == (other.baseline_sha256, other.protocol)


def _mean(used: Sequence[Timing]) -> tuple[float, tuple[float, float]]:
    if all(one.is_baseline for one in used):
        return 1.0, (1.0, 1.0)
    logs = [math.log(one.ratio) for one in used]
    squares = [_variance(one) for one in used]
    weights = [1 / square for square in squares]
    mean = _weighted(logs, weights)
    spread = sum(w * (x - mean) ** 2 for w, x in zip(weights, logs, strict=True))
    scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
    between = max(0.0, (spread - (len(used) - 1)) / max(scale, _TINY))
    weights = [1 / (square + between) for square in squares]
    mean, error = _weighted(logs, weights), math.sqrt(1 / sum(weights))
    return math.exp(mean), (math.exp(mean - _SIGMAS * error), math.exp(mean + _SIGMAS * error))


def _variance(one: Timing) -> float:
    low, high = (max(end, _TINY) for end in one.ratio_ci95)
    return max((math.log(high) - math.log(low)) / (2 * _SIGMAS), 1e-4) ** 2


def _weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)


def _verdict(one: Timing) -> str:
    low, high = one.ratio_ci95
    if one.is_baseline:
        return BASELINE
    if high < 1 / one.reach:
        return "faster"
    return "slower" if low > one.reach else "within noise"


def surely_faster(one: Timing, other: Timing) -> bool:
    """Whether one file's time lies below the other's with its whole interval.

    On one platform only, and by quiet sessions only: noise ranks nothing. Files that were held
    against the same float file compare by ratio, others by milliseconds.
    """
    if one.noisy or other.noisy or one.platform != other.platform:
        return False
    reach = max(one.reach, other.reach)
    if one.baseline_sha256 and one.baseline_sha256 == other.baseline_sha256:
        return one.ratio_ci95[1] * reach < other.ratio_ci95[0]
    high = one.median_ms * one.ratio_ci95[1] / one.ratio
    return high * reach < other.median_ms * other.ratio_ci95[0] / other.ratio


def fastest(timings: Sequence[Timing]) -> Timing:
    """Give the fastest by estimate: by ratio where all are to one float file, else by time."""
    floats = {one.baseline_sha256 for one in timings}
    by_ratio = len(floats) == 1 and floats != {""}
    return min(timings, key=lambda one: one.ratio if by_ratio else one.median_ms)


Standing = Literal["quiet", "noisy", "unmeasured"]


def standing(timing: Timing | None) -> Standing:
    """Say what a timing is good for: ranking, a look, or nothing."""
    if timing is None:
        return "unmeasured"
    return "noisy" if timing.noisy else "quiet"
