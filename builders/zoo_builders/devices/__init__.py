"""Devices, one file each: ways to reach a place where a file's latency can be measured.

A device only connects, loads files and runs them; rounds, order, warming up, statistics and
verdicts are `protocol`'s and `lab`'s.

    Device ─ connect(setting) ─► Place ─ prepare(subject) ─► Runner ─ ready, run(count) ─► seconds
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from zoo_builders.tflite.agreement import Rule
from zoo_builders.tflite.litert import Kernels
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.plugins import Kind

if TYPE_CHECKING:
    from zoo_registry.model.record import Host, OperatorTime


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to measure, and the golden vectors that show it computes what it should.

    Attributes:
        atol: how far any value may be off, where there is no `rule`.
        rule: when outputs agree; None of releases by older programs.
    """

    file: Path
    golden: Path
    atol: float
    rule: Rule | None = None


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


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a machine was between two looks.

    Attributes:
        others: cores kept busy by other processes, on average.
        stolen: share of time that the hypervisor gave to someone else.
        causes: what else keeps the machine from what it can do, each as a sentence: heat, capped
            clocks, saving power.
    """

    others: float = 0.0
    stolen: float = 0.0
    causes: tuple[str, ...] = ()


class Runner(ABC):
    """One file, loaded afresh in a process of its own, from `__enter__` to `__exit__`.

    Golden outputs are checked before anything is timed.
    """

    warms_itself = False
    """Whether every `run` warms up by itself, because it starts a process."""

    @property
    @abstractmethod
    def ready(self) -> Ready:
        """Load the file, check its golden outputs, and say what that took.

        The same answer from then on.

        Raises:
            MeasureFailed: the file cannot be loaded, or computes something else.
        """

    @abstractmethod
    def run(self, count: int) -> Sequence[float]:
        """Run `count` inferences of the first golden example; seconds each.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """

    @abstractmethod
    def peak_memory_mb(self) -> float:
        """How far loading and running raised the memory of the process at its highest, so far.

        Raises:
            MeasureFailed: the process hung or died.
        """

    def profile(self, count: int) -> "Sequence[OperatorTime]":
        """Say where the time of a run goes, from `count` runs.

        Empty where the runtime does not tell. Not for timing: it slows runs down.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """
        del count
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Setting:
    """How to run: `device` is the full name with what stands behind the colon.

    Such as `android:R5CT…`; `kernels` as in `litert`.
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


class Place(ABC):
    """A connected device, for one session; `__exit__` leaves it."""

    @property
    @abstractmethod
    def host(self) -> "Host":
        """The machine that computes."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the runtime there."""

    @property
    def known_as(self) -> str:
        """What a measurement calls the device, such as `android:pixel-8`.

        Empty: as it was asked for. Not so where that names somebody's own (a serial number, a
        user).
        """
        return ""

    def busy(self) -> Load:
        """How busy that machine was with other things since connecting.

        Zeros where it does not tell.

        Raises:
            MeasureFailed: (kind `device`) the connection is lost.
        """
        return Load()

    @abstractmethod
    def prepare(self, subject: Subject) -> Runner:
        """Give a runner, not started yet; files go to the other side when it is loaded."""

    def leave(self) -> None:
        """Disconnect, and remove what was left on the other side."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()


class Device(ABC):
    """A way to measure. The class docstring says what it needs (`zoo list devices`)."""

    name: str
    runtime: str
    kernels: tuple[Kernels, ...] = ("xnnpack",)
    """Who may compute there."""
    interface: frozenset[str] | None = None
    """Types at the inputs and outputs of files that run there; None: any."""
    measures = True
    """Whether it gives latencies; others show evidence (`lab.path_check`)."""

    @abstractmethod
    def found(self) -> Sequence[Found]:
        """List the places it reaches from here, without starting anything that lasts.

        One line with what is missing where there is none.
        """

    @abstractmethod
    def connect(self, setting: Setting) -> Place:
        """Reach the place that the setting names.

        Raises:
            Unsupported: it cannot run as the setting asks, or something is not installed here; the
                hint says what brings it.
            MeasureFailed: (kind `device`) it does not answer.
        """

    def install(self, tell: Callable[[str], None]) -> str:
        """Bring what it needs, telling what is fetched; say where that now is.

        Raises:
            Unsupported: that is a matter of another program; the hint says what it wants.
            Unreachable: something could not be fetched.
        """
        del tell
        wanted = next((line.hint for line in self.found() if line.hint), "zoo devices")
        raise Unsupported(f"{self.name} has nothing that could be installed this way", hint=wanted)


DEVICES: Kind[Device] = Kind("device", "devices", __name__, like=Device)
