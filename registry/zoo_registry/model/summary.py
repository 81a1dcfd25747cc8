"""One release as a listing shows it. Pure."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from zoo_registry.model import platform
from zoo_registry.model.dataset import DataSet, Score, labels_of, scores
from zoo_registry.model.digest import Digest
from zoo_registry.model.part import Value
from zoo_registry.model.record import Measurement, Record


class Timing(Value):
    """One device's latency, as a listing shows it. Milliseconds.

    `platform` is the key of the class of machine, `machine` its processor as people call it: times
    of two platforms are never compared. A summary that an older program wrote has what the name of
    its processor tells, until the catalogue is rebuilt.
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

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_program(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("platform"):
            return given
        on = platform.Platform.guessed(given.get("device", ""), given.get("host_cpu", ""))
        return {**given, "platform": on.key, "machine": on.machine}

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
            runtime=m.runtime,
            runtime_version=m.runtime_version,
            host_cpu=m.host.cpu,
            host_fingerprint=m.host.fingerprint,
            platform=m.on.key,
            machine=m.on.machine,
        )

    @property
    def told(self) -> str:
        """Spell the platform for people: `AMD EPYC (x86-64 avx2)`."""
        return platform.told(self.platform, self.machine)


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
    metrics: dict[str, float] = Field(description="each by its first data set: see `scores`")
    metrics_ci95: dict[str, tuple[float, float]] = Field(default={})
    scores: tuple[Score, ...] = Field(default=(), description="every metric on every data set")
    labels: str = Field(default="", description="what the outputs mean: see `DataSet.labels`")
    timings: tuple[Timing, ...]
    published: str = Field(default="", description="RFC 3339 UTC")
    yanked: bool = False
    aliases: tuple[str, ...] = ()
    platform: str = Field(
        default="", description="in an answer by platform: the one that this row speaks of"
    )

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
            scores=scores(record),
            labels=labels_of(record),
            timings=tuple(Timing.of(m) for m in (*record.measurements, *added)),
            **state,
        )

    @property
    def scored(self) -> tuple[Score, ...]:
        """Metrics with their data sets; of a summary that an older program wrote, as it says."""
        return self.scores or tuple(
            Score(
                metric=name,
                value=value,
                ci95=self.metrics_ci95.get(name),
                dataset=DataSet(name=self.dataset),
            )
            for name, value in self.metrics.items()
        )

    def within(self, dataset: DataSet) -> "Summary":
        """Speak of one data set: its scores come first, and `metrics` are those measured there."""
        here = tuple(one for one in self.scored if one.dataset == dataset)
        return self.model_copy(
            update={
                "dataset": dataset.name,
                "metrics": {one.metric: one.value for one in here},
                "metrics_ci95": {one.metric: one.ci95 for one in here if one.ci95 is not None},
                "scores": (*here, *(one for one in self.scored if one.dataset != dataset)),
            }
        )

    def on(self, key: str) -> "Summary":
        """Speak of one platform: only what was measured there counts from now on."""
        return self.model_copy(update={"platform": key}) if key else self

    def timing(
        self, device: str | None, threads: int | None, on: str | None = None
    ) -> Timing | None:
        """Give the best usable timing of that device, thread count and platform.

        Quiet ones come before noisy ones, then the fastest comes first. `on` is a platform's key
        or the beginning of one.
        """
        fitting = self.timings_of(device, threads, on)
        return min(fitting, key=lambda t: (t.noisy, t.median_ms), default=None)

    def timings_of(
        self, device: str | None, threads: int | None, on: str | None = None
    ) -> tuple[Timing, ...]:
        """List the timings of that device, thread count and platform, in a row of its own."""
        return tuple(
            t
            for t in self.timings
            if self.platform in ("", t.platform)
            and device in (None, t.device)
            and threads in (None, t.threads)
            and (on is None or platform.matches(t.platform, on))
        )
