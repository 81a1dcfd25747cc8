"""Devices, one file each: places where a file's latency can be measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from zoo_registry.model.plugins import Kind
from zoo_registry.model.record import Host


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to measure, and the golden vectors that show it computes what it should."""

    file: Path
    golden: Path
    atol: float


@dataclass(frozen=True, slots=True)
class Ready:
    """What loading a file took and gave. Milliseconds; memory in MB is what loading and running added to the process.

    Attributes:
        pinned: whether it runs on cores of its own choosing only.
    """

    init_ms: float
    first_ms: float
    delegate: str
    nodes_delegated: int
    nodes_total: int
    partitions: int
    pinned: bool


class Contender(Protocol):
    """One file, loaded afresh in a process of its own. Golden outputs are checked before anything is timed."""

    @property
    def ready(self) -> Ready:
        """Load the file, check its golden outputs, and say what that took; the same answer from then on.

        Raises:
            MeasureFailed: the file cannot be loaded, or computes something else.
        """

    def run(self, count: int) -> Sequence[float]:
        """Run `count` inferences; seconds each.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """

    def peak_memory_mb(self) -> float:
        """How far loading and running raised the memory of the process at its highest, so far."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process, whatever it does."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How to run: `device` is the full name with what stands behind the colon, such as `android:R5CT…`."""

    device: str
    threads: int
    timeout_s: float = field(default=120.0)


class Device(Protocol):
    """A place to measure. The class docstring says what it needs (`zoo list devices`)."""

    name: str
    runtime: str

    def version(self) -> str:
        """Version of the runtime."""

    def host(self) -> Host:
        """Describe the machine that computes."""

    def prepare(self, subject: Subject, setting: Setting) -> Contender:
        """Give a contender, not started yet.

        Raises:
            Unsupported: the device cannot run as the setting asks.
        """


DEVICES: Kind[Device] = Kind("device", __name__)
