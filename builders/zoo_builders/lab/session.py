"""A session in the latency lab.

Many files run on one place, interleaved with one float baseline, by the rules of `protocol`.

    candidates, baseline, order ─► measure ─► one outcome a candidate

An outcome is a measurement, or why there is none.

In a round run, each in a process of its own: the baseline, the baseline once more (the A/A
control), every candidate, and beside a candidate that this place's XNNPACK should run sparse its
dense twin. A candidate that fails leaves the session with its typed failure and the others go on;
one that is the baseline itself is measured by the control. Without a baseline no ratio can be had:
then nobody gets a number, and each failure says so.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median_high
from typing import Any

from zoo_builders.devices import DEVICES, Device, Load, Place, Ready, Runner, Setting, Subject, host
from zoo_builders.lab import protocol
from zoo_builders.lab.candidates import Candidate, Failure, Order, Outcome
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.measurement import MOST_PROFILED, Baseline, Measurement, OperatorTime, Ratio
from zoo_registry.model.platform import Platform

BASELINE, CONTROL, FILE, TWIN = "baseline", "control", "file", "dense twin of"
PROFILED_RUNS = 20
_SEED_DIGITS = 8
_MAX_WARMUP_FACTOR = 40
_LONGEST_WARMUP_S = 3.0

Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class _Timed:
    """What one runner gave so far.

    It has seconds by round, what loading took by round, memory at its highest, and its profile.
    """

    subject: Subject
    rounds: list[list[float]] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    profile: tuple[OperatorTime, ...] = ()
    failure: MeasureFailed | None = None


class _NoBaselineError(Exception):
    """The baseline failed: the session is over."""


def measure(
    candidates: Sequence[Candidate],
    baseline: Candidate,
    order: Order,
    progress: Progress = lambda *_: None,
) -> tuple[Outcome, ...]:
    """Run one session; outcomes in the order of the candidates.

    Raises:
        UnknownPlugin: no device is called so.
        Unsupported: the device cannot run as asked.
        MeasureFailed: (kind `device`) it does not answer, or is lost on the way.
    """
    device = DEVICES.get(order.device.partition(":")[0])
    if not device.measures:
        raise Unsupported(
            f"{device.name} gives no latency, only evidence",
            hint=f"zoo bench FILE --device {device.name}",
        )
    if order.kernels not in device.kernels:
        raise Unsupported(
            f"{device.name} runs {', '.join(device.kernels)} only, not {order.kernels}",
            hint="leave --kernels out",
        )
    with device.connect(
        Setting(order.device, order.threads, order.timeout_s, order.kernels)
    ) as place:
        return _Session(order, device, place, candidates, baseline).run(progress)


class _Session:
    """One session: runners by name, what they gave, and what it means."""

    def __init__(
        self,
        order: Order,
        device: Device,
        place: Place,
        candidates: Sequence[Candidate],
        baseline: Candidate,
    ) -> None:
        self._order, self._device, self._place, self._baseline = order, device, place, baseline
        self._candidates, self._host, self._steps = tuple(candidates), place.host, 0
        if len({one.name for one in candidates}) < len(self._candidates):
            raise ValueError("two candidates have the same name")
        seen = Digest.of(
            "".join(
                (*sorted(one.sha256 for one in (baseline, *candidates)), str(order.seed))
            ).encode()
        )
        self._seed = int(seen[:_SEED_DIGITS], 16)
        self._timed = {BASELINE: _Timed(baseline.subject), CONTROL: _Timed(baseline.subject)}
        for one in self._candidates:
            self._timed |= self._runners(one)

    def _runners(self, one: Candidate) -> dict[str, _Timed]:
        """Name those that run for a candidate.

        These are itself, unless it is the baseline, and its dense twin where sparse kernels should
        run.
        """
        if self._itself(one):
            return {}
        found = {_file(one): _Timed(one.subject)}
        if self._predicted(one) and one.dense is not None:
            found[_twin(one)] = _Timed(replace(one.subject, file=one.dense))
        return found

    def _predicted(self, one: Candidate) -> bool:
        return self._order.kernels == "xnnpack" and host.xnnpack_cpu(self._host) in one.xnnpack.cpus

    def _alive(self) -> list[str]:
        """Runners that still run: those that did not fail; a twin ends with its file."""
        return [
            name
            for name, timed in self._timed.items()
            if timed.failure is None and not self._widowed(name)
        ]

    def _widowed(self, name: str) -> bool:
        return any(
            name == _twin(one) and self._timed[_file(one)].failure is not None
            for one in self._candidates
        )

    def _own(self, one: Candidate) -> _Timed:
        """What was timed of a candidate: of the baseline, if it is that."""
        return self._timed.get(_file(one), self._timed[BASELINE])

    def run(self, progress: Progress) -> tuple[Outcome, ...]:
        """Run all rounds, watching how busy the machine is, and conclude."""
        started = datetime.now(UTC)
        try:
            for index in range(self._order.rounds):
                self._round(index, progress)
        except _NoBaselineError:
            return tuple(self._without_baseline(one) for one in self._candidates)
        load, aa = self._place.busy(), self._ratio(CONTROL, BASELINE)
        return tuple(self._conclude(one, load, aa, started) for one in self._candidates)

    def _round(self, index: int, progress: Progress) -> None:
        """Start all runners, load and warm up one after the other, then let them take turns."""
        seed, last = self._seed + index, index == self._order.rounds - 1
        if not self._wanted():
            return
        with ExitStack() as stack:
            running: dict[str, Runner] = {}
            for name in self._alive():
                with self._blaming(name):
                    running[name] = stack.enter_context(
                        self._place.prepare(self._timed[name].subject)
                    )
            for name in protocol.loading_order(tuple(running), seed=seed):
                self._tell(progress, index, name)
                self._load(name, running)
            for turn in protocol.turns(
                [name for name in running if name in self._alive()],
                runs=self._order.runs,
                seed=seed,
            ):
                self._tell(progress, index, turn.runner)
                self._turn(turn, running)
            self._last_words(running, profile=last)

    def _wanted(self) -> bool:
        """Whether anybody is left to measure."""
        return any(self._own(one).failure is None for one in self._candidates)

    def _tell(self, progress: Progress, index: int, name: str) -> None:
        total = self._order.rounds * len(self._timed) * (1 + min(protocol.BLOCKS, self._order.runs))
        self._steps = min(total, self._steps + 1)
        progress(
            self._steps,
            total,
            f"{self._order.device}, {self._order.threads} thread(s), round {index + 1}: {name}",
        )

    def _load(self, name: str, running: dict[str, Runner]) -> None:
        timed = self._timed[name]
        with self._blaming(name):
            timed.ready.append(running[name].ready)
            _warm_up(running[name], self._order.warmup)
            timed.rounds.append([])

    def _turn(self, turn: protocol.Turn, running: dict[str, Runner]) -> None:
        timed = self._timed[turn.runner]
        if timed.failure is None and not self._widowed(turn.runner):
            with self._blaming(turn.runner):
                timed.rounds[-1] += running[turn.runner].run(turn.count)

    def _last_words(self, running: dict[str, Runner], *, profile: bool) -> None:
        """Ask for memory, and in the last round for the profile.

        It slows runs down, so nothing may be timed after it.
        """
        told = [id(self._own(one)) for one in self._candidates]
        for name in [name for name in running if name in self._alive()]:
            timed = self._timed[name]
            with self._blaming(name):
                timed.memory.append(running[name].peak_memory_mb())
                if profile and id(timed) in told:
                    timed.profile = tuple(running[name].profile(PROFILED_RUNS))

    @contextmanager
    def _blaming(self, name: str) -> Iterator[None]:
        """Take the runner out that fails in this block.

        A session that loses its device or its baseline is over.
        """
        try:
            yield
        except MeasureFailed as error:
            if error.kind == "device":
                raise
            self._timed[name].failure = error
            if name in {BASELINE, CONTROL}:
                raise _NoBaselineError from error

    def _without_baseline(self, one: Candidate) -> Outcome:
        """Say why there is no number.

        It is the file's own failure where it had one, else that of the baseline.
        """
        own, error = (
            self._own(one).failure,
            self._timed[BASELINE].failure or self._timed[CONTROL].failure,
        )
        if own is not None or error is None:
            return Outcome(
                one, failure=Failure.of(own or MeasureFailed("the float baseline gave nothing"))
            )
        prefix = f"no ratio without the float baseline {self._baseline.name}: "
        return Outcome(one, failure=Failure.of(error, "" if self._itself(one) else prefix))

    def _itself(self, one: Candidate) -> bool:
        return one.sha256 == self._baseline.sha256

    def _ratio(self, name: str, by: str) -> Ratio:
        return protocol.ratio(self._timed[name].rounds, self._timed[by].rounds, seed=self._seed)

    def _conclude(self, one: Candidate, load: Load, aa: Ratio, when: datetime) -> Outcome:
        itself, own = self._itself(one), self._own(one)
        if own.failure is not None:
            return Outcome(one, failure=Failure.of(own.failure))
        found = aa if itself else self._ratio(_file(one), BASELINE)
        causes = (
            protocol.noise(
                protocol.Session(
                    own.rounds, self._timed[BASELINE].rounds, load.others, load.stolen
                ),
                aa,
            )
            + load.causes
        )
        twin = self._timed.get(_twin(one))
        against = (
            self._ratio(_file(one), _twin(one))
            if twin is not None and twin.failure is None
            else None
        )
        path = protocol.confirm(
            self._prediction(one),
            against,
            aa,
            kernels=[step.kind for step in own.profile],
            noisy=bool(causes),
        )
        measurement = Measurement.model_validate(
            self._conditions(one, own)
            | {
                "latency_ms": protocol.summarize(own.rounds),
                "ratio": found,
                "aa_ratio": aa,
                "noisy": bool(causes),
                "when": when,
                "noise_causes": causes,
                "verdict": "baseline" if itself else protocol.verdict(found, aa),
                "sparse_path": path.state,
                "sparse_reason": path.reason,
                "profile": sorted(own.profile, key=lambda step: -step.ms)[:MOST_PROFILED],
            }
        )
        return Outcome(one, measurement, against_dense=against)

    def _prediction(self, one: Candidate) -> protocol.Prediction:
        return protocol.predict(
            one.xnnpack, self._host, here=self._predicted(one), kernels=self._order.kernels
        )

    def _conditions(self, one: Candidate, own: _Timed) -> dict[str, Any]:
        """All of a measurement that is not a time of its runs."""
        order, first = self._order, own.ready[0]
        return {
            "file_sha256": one.sha256,
            "device": self._place.known_as or order.device,
            "runtime": self._device.runtime,
            "runtime_version": self._place.version,
            "delegate": first.delegate,
            "nodes_delegated": first.nodes_delegated,
            "nodes_total": first.nodes_total,
            "partitions": first.partitions,
            "threads": order.threads,
            "pinned": all(ready.pinned for ready in own.ready),
            "warmup": order.warmup,
            "runs": order.runs,
            "rounds": order.rounds,
            "peak_memory_mb": max(own.memory),
            "init_ms": median_high([ready.init_ms for ready in own.ready]),
            "first_ms": median_high([ready.first_ms for ready in own.ready]),
            "baseline": Baseline(name=self._baseline.name, sha256=self._baseline.sha256),
            "output_check": "passed",
            "platform": Platform.of(order.device, self._host),
            "host": self._host,
            "kernels": order.kernels,
            "protocol": protocol.NAME,
        }


def _file(one: Candidate) -> str:
    return f"{FILE} {one.name}"


def _twin(one: Candidate) -> str:
    return f"{TWIN} {one.name}"


def _warm_up(runner: Runner, least: int) -> None:
    """Run until the times are steady.

    There are at least `least` runs, and at most some seconds or many times as many runs.
    """
    if runner.warms_itself:
        return
    times = list(runner.run(least))
    while (
        len(times) < _MAX_WARMUP_FACTOR * least
        and sum(times) < _LONGEST_WARMUP_S
        and not protocol.steady(times, window=least)
    ):
        times += runner.run(least)
