"""How latency is measured, and what may be concluded from it.

Pure: plans, statistics, verdicts; no clock and no process in here.

Name: `interleaved/v2`. In each of R rounds every runner (the files, the float baseline, the
baseline once more) runs in a fresh process; processes load one after the other, warm up until
steady, then take turns in random order, in blocks, until each has N timed runs; a turn begins with
a millisecond, or two runs, that do not count. The third runner is the A/A control: two processes of
one and the same file, whose ratio shows what this machine could tell apart in that session.

A ratio compares the lower tenths (10th percentiles) over all runs of all rounds, not the medians:
what disturbs a run (another process, a cold cache, a busy sibling core, a hypervisor) only ever
makes it longer, so the runs that nobody disturbed are the short ones (Chen and Revels, "Robust
benchmarking in noisy environments", 2016, go as far as the minimum, which one lucky run decides).
Up to nine tenths of both files' runs may be disturbed without moving it. With one and a half cores
of two busy with other things, the baseline against itself stayed within 1.1 % of 1 in 19 of 20
sessions by lower tenths, within 6 % to 12 % by medians (`benchmarks/aa.py`). Latencies are still
quoted as medians: that is what a user of the file meets. Intervals are 95 %, by bootstrap over
rounds and over runs inside rounds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from zoo_registry.model.measurement import Host, Latency, Ratio
from zoo_registry.model.structure import Xnnpack

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NAME = "interleaved/v2"
BLOCKS = 5
"""Turns of each runner in a round: drift of the machine meets all of them alike."""

RESAMPLES = 1000
UNDISTURBED = 10
"""Percentile that stands for the runs nobody disturbed."""

LEAST_FLOOR = 1.02
"""Two files whose ratio lies nearer to 1 are never told apart.

One A/A session in twenty may reach that on an idle machine.
"""

Verdict = Literal["faster", "slower", "within noise"]
Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a session is too noisy to be quoted without saying so.

    Attributes:
        others: cores kept busy by other processes, on average.
        stolen: share of time that the hypervisor gave to others.
        aa: how far the A/A ratio may be from 1.
        spread: how far p95 may be above the median, as a factor.
        drift: how far the medians of rounds may lie apart, largest by smallest, for one and the
            same file.
    """

    others: float = 0.25
    stolen: float = 0.02
    aa: float = 0.05
    spread: float = 2.0
    drift: float = 1.25


@dataclass(frozen=True, slots=True)
class Turn:
    """Timed runs of one runner, one after the other."""

    runner: str
    count: int


def turns(
    runners: Sequence[str], *, runs: int, seed: int, blocks: int = BLOCKS
) -> tuple[Turn, ...]:
    """Plan one round: `blocks` passes over all runners, each pass in an order of its own.

    Each runner gets `runs` runs in all.

    Equal arguments give equal plans.
    """
    random = Random(seed)  # noqa: S311  an order, not a secret
    blocks = min(blocks, runs)
    sizes = [runs // blocks + (block < runs % blocks) for block in range(blocks)]
    return tuple(
        Turn(name, size) for size in sizes for name in random.sample(list(runners), len(runners))
    )


def loading_order(runners: Sequence[str], *, seed: int) -> tuple[str, ...]:
    """Order in which the runners of a round load and warm up."""
    # an order, not a secret
    return tuple(Random(f"load {seed}").sample(list(runners), len(runners)))  # noqa: S311


def steady(times: Sequence[float], *, window: int, tolerance: float = 0.05) -> bool:
    """Whether warming up may end.

    The medians of the last two windows of runs differ by no more than `tolerance`.
    """
    if len(times) < 2 * window:
        return False
    before, now = median(times[-2 * window : -window]), median(times[-window:])
    return abs(now - before) <= tolerance * before


def summarize(rounds: Rounds) -> Latency:
    """Reduce all runs of all rounds (seconds) to milliseconds.

    These are median, mean, percentiles (linear interpolation), extremes and spread.
    """
    import numpy as np

    times = np.concatenate([np.asarray(one, np.float64) for one in rounds]) * 1e3
    p5, p50, p95, p99 = (float(value) for value in np.percentile(times, [5, 50, 95, 99]))
    return Latency(
        median=p50,
        mean=float(times.mean()),
        p5=p5,
        p95=p95,
        p99=p99,
        min=float(times.min()),
        max=float(times.max()),
        std=float(times.std()),
    )


def ratio(candidate: Rounds, baseline: Rounds, *, seed: int = 0) -> Ratio:
    """Divide the lower tenth of the candidate by that of the baseline.

    The 95 % interval is by bootstrap (percentiles of `RESAMPLES` resamples).

    Each resample draws rounds with replacement (the same rounds for both: they ran together), then
    runs inside each drawn round. The interval is widened to the point estimate where resampling
    just misses it.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for a, b in zip(candidate, baseline, strict=True)
    ]
    value = _ratio_of_tenths(pairs)
    drawn = [_ratio_of_tenths(_resample(pairs, random)) for _ in range(RESAMPLES)]
    low, high = (float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))
    return Ratio(value=value, ci95=(min(low, value), max(high, value)))


def _resample(
    pairs: "Sequence[tuple[Array, Array]]", random: "np.random.Generator"
) -> "list[tuple[Array, Array]]":
    rounds = random.integers(0, len(pairs), len(pairs))
    return [
        (_redraw(pairs[index][0], random), _redraw(pairs[index][1], random)) for index in rounds
    ]


def _redraw(values: "Array", random: "np.random.Generator") -> "Array":
    drawn: Array = values[random.integers(0, len(values), len(values))]
    return drawn


def _ratio_of_tenths(pairs: "Sequence[tuple[Array, Array]]") -> float:
    import numpy as np

    ours, theirs = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    return float(np.percentile(ours, UNDISTURBED) / np.percentile(theirs, UNDISTURBED))


def verdict(found: Ratio, control: Ratio) -> Verdict:
    """Say what the ratio means.

    A difference counts only when its whole interval lies beyond what the A/A control reached.

    Symmetric: swapping the two files (1/ratio) swaps faster and slower.
    """
    reach = noise_floor(control)
    if found.ci95[1] < 1 / reach:
        return "faster"
    return "slower" if found.ci95[0] > reach else "within noise"


def noise_floor(control: Ratio) -> float:
    """Say how far from 1, as a factor, chance can take a ratio.

    This is as far as two processes of one file were apart, and at least `LEAST_FLOOR`.
    """
    return max(control.value, 1 / control.value, LEAST_FLOOR)


@dataclass(frozen=True, slots=True)
class Session:
    """What was timed in one session (rounds of seconds).

    It also holds how busy the machine was meanwhile (see `host.Load`).
    """

    candidate: Rounds
    baseline: Rounds
    others: float = 0.0
    stolen: float = 0.0


def noise(session: Session, control: Ratio, limits: Limits | None = None) -> tuple[str, ...]:
    """List what made the session noisy, each with the value found and its limit.

    The list is empty when it was quiet.
    """
    allowed = limits or Limits()
    found = []
    if session.others > allowed.others:
        found.append(
            f"load: other processes kept {session.others:.2f} cores busy (limit {allowed.others:g})"
        )
    if session.stolen > allowed.stolen:
        found.append(
            f"steal: {session.stolen:.1%} of the time went to other machines (limit"
            f" {allowed.stolen:.0%})"
        )
    if abs(math.log(control.value)) > math.log1p(allowed.aa):
        found.append(
            f"A/A off: the baseline against itself gave {control.value:.3f} (limit 1 ±"
            f" {allowed.aa:g})"
        )
    spread = summarize(session.candidate)
    if spread.p95 > allowed.spread * spread.median:
        found.append(
            f"wide spread: p95 is {spread.p95 / spread.median:.2f} times the median (limit"
            f" {allowed.spread:g})"
        )
    medians = [median(one) for one in session.baseline]
    if max(medians) > allowed.drift * min(medians):
        found.append(
            f"drift: the baseline's rounds differ by a factor of {max(medians) / min(medians):.2f}"
            f" (limit {allowed.drift:g})"
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Whether sparse kernels should run on the machine that computes, and why."""

    sparse: bool
    reason: str


def predict(
    structure: Xnnpack, machine: Host, *, here: bool, kernels: str = "xnnpack"
) -> Prediction:
    """Bring together what the structure promises, the machine, and who computes.

    `here` says whether the machine is one of `structure.cpus`.
    """
    if here or not structure.predicted_sparse:
        return Prediction(here, structure.reason)
    if kernels != "xnnpack":
        return Prediction(False, f"the {kernels} kernels compute, and only XNNPACK has sparse ones")
    if machine.arch == "x86_64" and any(feature.startswith("avx") for feature in machine.features):
        return Prediction(False, "XNNPACK runs no sparse kernels on x86 with AVX")
    return Prediction(
        False,
        f"XNNPACK's sparse kernels are known on {', '.join(structure.cpus)}, not on {machine.arch}",
    )


@dataclass(frozen=True, slots=True)
class SparsePath:
    """What became of the predicted sparse path, and on what evidence."""

    state: Literal["none", "predicted", "confirmed", "contradicted"]
    reason: str


SPARSE_KERNEL, DENSE_KERNEL = "SPMM", "GEMM"
"""What the names of XNNPACK's operators hold.

SPMM is sparse matrix by dense matrix. GEMM is dense by dense, and so is IGEMM for larger windows.
"""


def confirm(
    prediction: Prediction,
    against_dense: Ratio | None,
    control: Ratio,
    *,
    kernels: Sequence[str],
    noisy: bool,
) -> SparsePath:
    """Hold a predicted sparse path against evidence.

    Evidence is the names of kernels that ran, else the ratio to the same graph with dense weights.

    Names decide where the runtime tells them. A ratio confirms when its whole interval is faster
    than the A/A control could be by chance, and contradicts only in a quiet session, when its whole
    interval is as clearly slower: times alone cannot tell a sparse kernel that gains nothing (small
    networks) from one that did not run, so an interval in between decides nothing and stays
    `predicted`.
    """
    if not prediction.sparse:
        return SparsePath("none", prediction.reason)
    ran = [name for name in kernels if SPARSE_KERNEL in name.upper()]
    if ran:
        return SparsePath("confirmed", f"{len(ran)} of its operators ran sparse kernels ({ran[0]})")
    if any(DENSE_KERNEL in name.upper() for name in kernels):
        return SparsePath(
            "contradicted", f"its operators ran dense kernels only, though {prediction.reason}"
        )
    if against_dense is None:
        return SparsePath(
            "predicted", f"{prediction.reason}; there is no dense twin to compare with"
        )
    return _against_twin(prediction, against_dense, noise_floor(control), noisy=noisy)


def _against_twin(prediction: Prediction, found: Ratio, floor: float, *, noisy: bool) -> SparsePath:
    low, high = found.ci95
    told = (
        f"{found.value:.2f} [{low:.2f}, {high:.2f}] of the time of the same graph with dense"
        " weights"
    )
    if high < 1 / floor:
        return SparsePath("confirmed", told)
    if low > floor and not noisy:
        return SparsePath("contradicted", f"{told}, though {prediction.reason}")
    why = "the session was noisy" if noisy else "no difference that could be told from chance"
    return SparsePath("predicted", f"{told}: {why}")
