"""The part of a record that says how fast the file is.

Latency on one device under one protocol, with all its conditions.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from zoo_registry.model.digest import Digest
from zoo_registry.model.part import Count, Finite, Interval, Part, Positive, is_empty
from zoo_registry.model.platform import Platform

XNNPACK = "xnnpack"


MOST_PROFILED = 2000
"""Operators of one profile that are kept: the slowest."""


def _is_xnnpack(value: str) -> bool:
    return value == XNNPACK


class Latency(Part):
    """Milliseconds per inference over all runs of all rounds."""

    median: Positive
    mean: Positive
    p5: Positive
    p95: Positive
    p99: Positive
    min: Positive
    max: Positive
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Baseline(Part):
    """The float file that ran interleaved in the same session."""

    name: str
    sha256: Digest


class Ratio(Part):
    """Lower tenth of this file's times by the baseline's (medians up to protocol interleaved/v1).

    Its 95 % interval is by bootstrap.
    """

    value: Positive
    ci95: Interval


class Host(Part):
    """The machine a measurement was made on. `fingerprint` hashes the rest."""

    cpu: str
    arch: str
    cores: int
    features: tuple[str, ...] = ()
    memory_gb: Finite = 0.0
    os: str = ""
    governor: str = ""
    virtual: str = ""
    clock_ghz: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        exclude_if=is_empty,
        description="highest clock of the fastest core; 0 where not told",
    )
    fingerprint: Digest


class OperatorTime(Part):
    """What one operator took, on average.

    Watched in runs of the whole file, which watching slows down.
    """

    name: str = Field(description="as the runtime calls it")
    kind: str = Field(
        description="kernel or operator type, as the runtime says it; SPMM in it is a sparse kernel"
    )
    ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Measurement(Part):
    """Latency of one file on one device under one protocol. No number without its conditions."""

    file_sha256: Digest
    device: str
    runtime: str
    runtime_version: str
    delegate: str
    nodes_delegated: Count
    nodes_total: Count
    partitions: Count = 0
    kernels: str = Field(
        default=XNNPACK,
        exclude_if=_is_xnnpack,
        description="who computed: xnnpack, or the runtime's own kernels: builtin, reference",
    )
    threads: Annotated[int, Field(ge=1)]
    pinned: bool
    warmup: Count
    runs: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=1)]
    latency_ms: Latency
    init_ms: Positive
    first_ms: Positive
    peak_memory_mb: Annotated[float, Field(ge=0)]
    baseline: Baseline
    ratio: Ratio
    aa_ratio: Ratio
    verdict: Literal["faster", "slower", "within noise", "baseline"]
    noisy: bool
    noise_causes: tuple[str, ...] = ()
    sparse_path: Literal["none", "predicted", "confirmed", "contradicted"] = "none"
    sparse_reason: str = Field(
        default="", exclude_if=is_empty, description="what `sparse_path` rests on, in words"
    )
    output_check: Literal["passed"] = Field(
        description="outputs agreed with the golden vectors before anything was timed"
    )
    profile: tuple[OperatorTime, ...] = Field(
        default=(),
        exclude_if=is_empty,
        max_length=MOST_PROFILED,
        description="where the time goes, where the runtime tells; not part of the latency",
    )
    platform: Platform | None = Field(
        default=None,
        exclude_if=is_empty,
        description="the class of machine; records before it tell theirs by the host",
    )
    host: Host
    protocol: str
    when: datetime

    @property
    def on(self) -> Platform:
        """The platform: as it was written, else as the host tells it."""
        return self.platform or Platform.of(self.device, self.host)


class NotMeasured(Part):
    """A device on which the file has no latency, and why: never a number.

    `kind` is one of `errors.MEASURE_FAILURES`.
    """

    file_sha256: Digest
    device: str
    threads: Annotated[int, Field(ge=1)]
    kind: str
    message: str
    when: datetime
