"""Devices, one file each: ways to reach a place where a file's latency can be measured.

A device only connects, loads files and runs them; rounds, order, warming up, statistics and
verdicts are `protocol`'s and `lab`'s.

    Device ─ connect(setting) ─► Place ─ prepare(subject) ─► Contender ─ ready, run(count) ─►
    seconds
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from zoo_builders.tflite.litert import Kernels
from zoo_registry.model.plugins import Kind

if TYPE_CHECKING:
    from zoo_builders.devices.host import Load
    from zoo_registry.model.record import Host, OperatorTime


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to measure, and the golden vectors that show it computes what it should."""

    file: Path
    golden: Path
    atol: float


@dataclass(frozen=True, slots=True)
class Ready:
    """What loading a file took and gave.

    Milliseconds; memory in MB is what loading and running added to the process.

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
    """One file, loaded afresh in a process of its own.

    Golden outputs are checked before anything is timed.
    """

    @property
    def ready(self) -> Ready:
        """Load the file, check its golden outputs, and say what that took.

        The same answer from then on.

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

    def profile(self, count: int) -> "Sequence[OperatorTime]":
        """Say where the time of a run goes, from `count` runs.

        Empty where the runtime does not tell. Not for timing: it slows runs down.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, whatever it does."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How to run: `device` is the full name with what stands behind the colon.

    Such as `android:R5CT…`; `kernels` as in `litert`.

    A device that can run other kernels than XNNPACK's says so in a class attribute `kernels`;
    others are never asked for them.
    """

    device: str
    threads: int
    timeout_s: float = field(default=120.0)
    kernels: Kernels = "xnnpack"


@dataclass(frozen=True, slots=True)
class Found:
    """A line of `zoo devices`.

    A place that this machine can measure on, or could if something were there.

    Attributes:
        device: full name, as `--device` takes it; `android:<serial>` where none is connected.
        what: the processor or the browser behind it; empty where it is not known.
        missing: what is not there; empty when it can measure now.
        hint: the command that brings what is missing.
    """

    device: str
    what: str = ""
    missing: str = ""
    hint: str = ""


class Place(Protocol):
    """A connected device, for one session."""

    @property
    def host(self) -> "Host":
        """The machine that computes."""

    @property
    def version(self) -> str:
        """Version of the runtime there."""

    def busy(self) -> "Load":
        """How busy that machine was with other things since connecting.

        Zeros where it does not tell.
        """

    def prepare(self, subject: Subject) -> Contender:
        """Give a contender, not started yet."""

    def __enter__(self) -> Self:
        """Give itself: it is connected already."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect, and remove what was left on the other side."""


class Device(Protocol):
    """A way to measure. The class docstring says what it needs (`zoo list devices`)."""

    name: str
    runtime: str

    def found(self) -> Sequence[Found]:
        """List the places it reaches from here, without starting anything that lasts.

        One line with what is missing where there is none.
        """

    def connect(self, setting: Setting) -> Place:
        """Reach the place that the setting names.

        Raises:
            Unsupported: it cannot run as the setting asks, or something is not installed here; the
                hint says what brings it.
            MeasureFailed: (kind `device`) it does not answer.
        """


def kernels_of(device: Device) -> tuple[Kernels, ...]:
    """List who may compute on a device.

    `xnnpack` alone, unless its class says otherwise in `kernels`.
    """
    found: tuple[Kernels, ...] = getattr(device, "kernels", ("xnnpack",))
    return found


def takes(device: Device, dtype: str) -> bool:
    """Whether files with this type at their inputs and outputs can run there.

    Any, unless its class lists those it takes in `interface`.
    """
    listed: frozenset[str] | None = getattr(device, "interface", None)
    return listed is None or dtype in listed


def measures(device: Device) -> bool:
    """Whether it gives latencies: all do, unless their class says otherwise in `measures`.

    Others show `evidence`.
    """
    found: bool = getattr(device, "measures", True)
    return found


def warms_itself(contender: Contender) -> bool:
    """Whether every `run` warms up by itself, because it starts a process.

    Then there is nothing to warm up for it.
    """
    found: bool = getattr(contender, "warms_itself", False)
    return found


def known_as(place: Place, device: str) -> str:
    """Say how a measurement names the device.

    As it was asked for, unless that names somebody's own (a serial number, a user).

    Such places say in an attribute `known_as` what they are to others, such as `android:pixel-8`.
    """
    found: str = getattr(place, "known_as", device)
    return found


DEVICES: Kind[Device] = Kind("device", "devices", __name__, like=Device)
