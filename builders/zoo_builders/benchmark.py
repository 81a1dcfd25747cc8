"""Stage `benchmark`: latency of one file on one device, interleaved with its float baseline, by the protocol of `protocol`.

    measurements.json   a list with one measurement (see `zoo_registry.model.record.Measurement`)

A float baseline measures itself: its verdict is `baseline`, its ratio that of the A/A control.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from zoo_builders import golden, host, protocol
from zoo_builders.devices import DEVICES, Contender, Device, Place, Ready, Setting, Subject
from zoo_builders.inspect import inspect
from zoo_builders.stage import Job
from zoo_registry.model.digest import Digest
from zoo_registry.model.files import digest_file, write_bytes
from zoo_registry.model.record import Baseline, Host, Measurement, Ratio

FILE, BASELINE, CONTROL, DENSE = "file", "baseline", "control", "dense"
MODEL = "model.tflite"
_SEED_DIGITS = 8
_MAX_WARMUP_FACTOR = 40
_LONGEST_WARMUP_S = 3.0


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a benchmark stage is asked to do."""

    device: str
    threads: int
    runs: int
    rounds: int
    warmup: int
    seed: int


@dataclass(slots=True)
class _Timed:
    """What one contender gave so far: seconds by round, what loading took by round, memory at its highest."""

    rounds: list[list[float]] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def run(job: Job) -> None:
    """Write `measurements.json`: params `device`, `threads`, `runs`, `rounds`, `warmup`; inputs `file`, `baseline` and their goldens.

    Raises:
        MeasureFailed: the device cannot run the file, its outputs are not the golden ones, or its process hung or died.
        Unsupported: the device cannot run as asked.
    """
    bench = _Bench.of(job)
    with bench.place:
        measurement = bench.measure(job.progress)
    plain = [measurement.model_dump(mode="json")]
    write_bytes(job.out / "measurements.json", (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


@dataclass(slots=True)
class _Bench:
    """One session: a file and its baseline on one device."""

    settings: _Settings
    device: Device
    place: Place
    machine: Host
    sha256: Digest
    baseline_sha256: Digest
    predicted: bool
    subjects: Mapping[str, Subject]
    timed: Mapping[str, _Timed]

    @classmethod
    def of(cls, job: Job) -> Self:
        """Gather what the stage's job says."""
        numbers = {name: int(job.params[name]) for name in ("threads", "runs", "rounds", "warmup")}
        sha256 = digest_file(job.inputs["file"] / MODEL)
        settings = _Settings(device=str(job.params["device"]), seed=int(sha256[:_SEED_DIGITS], 16), **numbers)
        device = DEVICES.get(settings.device.partition(":")[0])
        place = device.connect(Setting(settings.device, settings.threads))
        machine = place.host
        predicted = host.xnnpack_cpu(machine) in inspect((job.inputs["file"] / MODEL).read_bytes()).xnnpack.cpus
        subjects = _subjects(job, with_twin=predicted)
        return cls(
            settings=settings, device=device, place=place, machine=machine, sha256=sha256, predicted=predicted, subjects=subjects,
            baseline_sha256=digest_file(job.inputs["baseline"] / MODEL), timed={name: _Timed() for name in subjects},
        )  # fmt: skip

    def measure(self, progress: Callable[[int, int, str], None]) -> Measurement:
        """Run all rounds, watching how busy the machine is, and conclude."""
        started, total = datetime.now(UTC), self.settings.rounds
        for index in range(total):
            progress(index, total, f"{self.settings.device}, {self.settings.threads} thread(s)")
            self._round(self.settings.seed + index)
        progress(total, total, self.settings.device)
        return self._conclude(self.place.busy(), started)

    def _round(self, seed: int) -> None:
        """Start all contenders, load and warm up one after the other, then let them take turns."""
        with ExitStack() as stack:
            running = {name: stack.enter_context(self.place.prepare(subject)) for name, subject in self.subjects.items()}
            for name in protocol.loading_order(tuple(running), seed=seed):
                self.timed[name].ready.append(running[name].ready)
                _warm_up(running[name], self.settings.warmup)
                self.timed[name].rounds.append([])
            for turn in protocol.turns(tuple(running), runs=self.settings.runs, seed=seed):
                self.timed[turn.contender].rounds[-1] += running[turn.contender].run(turn.count)
            for name, contender in running.items():
                self.timed[name].memory.append(contender.peak_memory_mb())

    def _ratio(self, name: str, by: str) -> Ratio:
        return protocol.ratio(self.timed[name].rounds, self.timed[by].rounds, seed=self.settings.seed)

    def _conclude(self, load: host.Load, when: datetime) -> Measurement:
        aa, itself = self._ratio(CONTROL, BASELINE), self.sha256 == self.baseline_sha256
        found = aa if itself else self._ratio(FILE, BASELINE)
        rounds = {name: timed.rounds for name, timed in self.timed.items()}
        causes = protocol.noise(protocol.Session(rounds[FILE], rounds[BASELINE], load.others, load.stolen), aa)
        path = protocol.confirm(self.predicted, self._ratio(FILE, DENSE) if DENSE in self.timed else None)
        return Measurement.model_validate(
            self._conditions() | {
                "latency_ms": protocol.summarize(rounds[FILE]), "ratio": found, "aa_ratio": aa, "noisy": bool(causes),
                "noise_causes": causes, "verdict": "baseline" if itself else protocol.verdict(found, aa), "sparse_path": path, "when": when,
            }
        )  # fmt: skip

    def _conditions(self) -> dict[str, Any]:
        """All of a measurement that is not a time of its runs."""
        own, settings = self.timed[FILE], self.settings
        first = own.ready[0]
        return {
            "file_sha256": self.sha256, "device": settings.device, "runtime": self.device.runtime, "runtime_version": self.place.version,
            "delegate": first.delegate, "nodes_delegated": first.nodes_delegated, "nodes_total": first.nodes_total,
            "partitions": first.partitions, "threads": settings.threads, "pinned": all(ready.pinned for ready in own.ready),
            "warmup": settings.warmup, "runs": settings.runs, "rounds": settings.rounds, "peak_memory_mb": max(own.memory),
            "init_ms": _middle([ready.init_ms for ready in own.ready]), "first_ms": _middle([ready.first_ms for ready in own.ready]),
            "baseline": Baseline(name="float32", sha256=self.baseline_sha256), "output_check": "passed", "host": self.machine,
            "protocol": protocol.NAME,
        }  # fmt: skip


def _subjects(job: Job, *, with_twin: bool) -> dict[str, Subject]:
    """Name the contenders; a dense twin joins if asked for and the convert stage kept one."""
    own = _subject(job.inputs["file"] / MODEL, job.inputs["golden"])
    baseline = _subject(job.inputs["baseline"] / MODEL, job.inputs["baseline_golden"])
    found = {FILE: own, BASELINE: baseline, CONTROL: baseline}
    twin = job.inputs["file"] / "dense.tflite"
    return found | ({DENSE: Subject(twin, own.golden, own.atol)} if with_twin and twin.exists() else {})


def _subject(file: Path, evaluated: Path) -> Subject:
    return Subject(file, evaluated / "golden.npz", golden.load(evaluated).atol)


def _warm_up(contender: Contender, least: int) -> None:
    """Run until the times are steady: at least `least` runs, at most some seconds or many times as many."""
    times = list(contender.run(least))
    while len(times) < _MAX_WARMUP_FACTOR * least and sum(times) < _LONGEST_WARMUP_S and not protocol.steady(times, window=least):
        times += contender.run(least)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
