"""One release as a listing shows it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from pydantic import Field

from zoo_registry.model import platform
from zoo_registry.model.dataset import DataSet, Score, labels_of, scores
from zoo_registry.model.digest import Digest
from zoo_registry.model.part import Value
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.timing import Timing, Yardstick, together

__all__ = ["Summary", "Timing", "settle"]


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
    yardsticks: tuple[Yardstick, ...] = Field(
        default=(), description="quiet times of the float file, where its release says them"
    )
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
        fitting = self._of(self.standings, device, threads, on)
        return min(fitting, key=lambda t: (t.noisy, t.median_ms), default=None)

    @property
    def standings(self) -> tuple[Timing, ...]:
        """What the sessions say together, one timing for each device, thread count and platform."""
        return together(self.timings, self.yardsticks)

    def timings_of(
        self, device: str | None, threads: int | None, on: str | None = None
    ) -> tuple[Timing, ...]:
        """List the sessions of that device, thread count and platform, in a row of its own."""
        return self._of(self.timings, device, threads, on)

    def _of(
        self, timings: Sequence[Timing], device: str | None, threads: int | None, on: str | None
    ) -> tuple[Timing, ...]:
        return tuple(
            t
            for t in timings
            if self.platform in ("", t.platform)
            and device in (None, t.device)
            and threads in (None, t.threads)
            and (on is None or platform.matches(t.platform, on))
        )


def settle(items: Iterable[Summary]) -> tuple[Summary, ...]:
    """Give each artifact the quiet times of the float file that its ratios are to.

    `items` are all releases of their models. On a place where the float file has no quiet session,
    an artifact's own medians stay.
    """
    known = tuple(items)
    quiet: dict[tuple[str, int, str, str], list[float]] = {}
    for item in known:
        for one in item.timings:
            if not one.noisy and one.baseline_sha256 == item.file_sha256:
                quiet.setdefault((*one.place, item.file_sha256), []).append(one.median_ms)
    return tuple(_settled(item, quiet) for item in known)


def _settled(item: Summary, quiet: Mapping[tuple[str, int, str, str], list[float]]) -> Summary:
    keys = dict.fromkeys((*one.place, one.baseline_sha256) for one in item.timings)
    made = tuple(
        Yardstick(device=device, threads=threads, platform=on, sha256=sha, ms=median(quiet[key]))
        for key in keys
        if key in quiet
        for device, threads, on, sha in (key,)
    )
    return item if made == item.yardsticks else item.model_copy(update={"yardsticks": made})
