"""A file on a phone, run by `benchmark_model`.

Every run is timed by its own clock, one of three in a process of its own (see there).

Golden outputs are written by the tool, fetched, and compared here before anything is timed.
"""

import secrets
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from typing_extensions import override

from zoo_builders.devices import Ready, Runner, Setting, Subject
from zoo_builders.devices.phone import benchmark_model
from zoo_builders.tflite import agreement, golden_file
from zoo_builders.tflite.inspection import inspect
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.errors import MeasureFailed
from zoo_registry.model.record import OperatorTime
from zoo_registry.model.structure import Structure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

T = TypeVar("T")
_LOOK_RUNS = 3


class Bench(Protocol):
    """What a runner asks of the phone it runs on (see `handset`)."""

    @property
    def pinned(self) -> bool:
        """Whether processes stay on the chosen cores."""

    def keep(self, file: Path) -> str:
        """Send a file there, once; give its path there."""

    def path(self, name: str) -> str:
        """Name a file that the tool is to write."""

    def measure(self, lines: Sequence[Sequence[str]]) -> str:
        """Run the tool once for each list of arguments; give all it printed."""

    def fetch(self, name: str) -> bytes:
        """Read a file that the tool wrote."""


class PhoneRunner(Runner):
    """A file on a phone: every run is in a process of the tool."""

    warms_itself = True

    def __init__(self, subject: Subject, bench: Bench, setting: Setting) -> None:
        self._subject, self._bench, self._setting = subject, bench, setting
        self._ready: Ready | None = None
        self._inputs: list[list[benchmark_model.Input]] = []
        self._memory_mb = 0.0

    @property
    @override
    def ready(self) -> Ready:
        if self._ready is None:
            self._ready = self._blamed(self._load)
        return self._ready

    def _load(self) -> Ready:
        """Send the file, have it compute the golden examples, and compare the outputs here.

        This also finds out who takes its operators.
        """
        self._bench.keep(self._subject.file)
        inputs, outputs = golden_file.read(self._subject.golden)
        self._inputs = [
            self._send([array[example] for array in inputs]) for example in range(len(inputs[0]))
        ]
        loads, found = zip(
            *(self._computed(example, outputs) for example in range(len(self._inputs))), strict=True
        )
        agreement.judge(_stacked(found), outputs, self._subject.atol, self._subject.rule)
        self._memory_mb = max(one.memory_mb for one in loads)
        look, total = self._look(_LOOK_RUNS), self._nodes()
        return Ready(
            init_ms=loads[0].init_us / 1e3,
            first_ms=loads[0].first_us / 1e3,
            delegate="XNNPACK" if look.partitions else "none",
            nodes_delegated=benchmark_model.delegate_nodes(total, look),
            nodes_total=total,
            partitions=look.partitions,
            pinned=self._bench.pinned,
        )

    @cached_property
    def _structure(self) -> Structure:
        try:
            return inspect(self._subject.file.read_bytes())
        except BadFile as error:
            raise MeasureFailed(error.message, kind="load", hint=error.hint) from error

    def _nodes(self) -> int:
        return sum(self._structure.operators.values())

    def _send(self, arrays: "Sequence[Array]") -> list[benchmark_model.Input]:
        """Put one example's inputs on the phone, as stored."""
        found = []
        with tempfile.TemporaryDirectory(prefix="zoo-android-") as folder:
            for index, array in enumerate(arrays):
                file = Path(folder) / f"input{index}"
                file.write_bytes(array.tobytes())
                found.append(benchmark_model.Input(array.shape, self._bench.keep(file)))
        return found

    def _computed(
        self, example: int, outputs: "Sequence[Array]"
    ) -> "tuple[benchmark_model.Load, list[Array]]":
        """Run one example, in a run alone where the file keeps state.

        The result is what it took, and its outputs.
        """
        name = f"outputs-{secrets.token_hex(4)}"
        path, flags = self._bench.path(name), self._flags(example)
        said = self._bench.measure([flags + benchmark_model.once(path)])
        if self._structure.state:
            self._bench.measure([flags + benchmark_model.alone(path)])
        found = _arrays(self._bench.fetch(name), [output[example] for output in outputs], example)
        return benchmark_model.load(said), found

    def _flags(self, example: int = 0) -> list[str]:
        return benchmark_model.flags(
            self._bench.keep(self._subject.file), self._setting.threads, self._inputs[example]
        )

    @override
    def run(self, count: int) -> Sequence[float]:
        _ = self.ready
        return self._blamed(lambda: self._timed(count))

    def _timed(self, count: int) -> list[float]:
        flags, found = self._flags(), list[float]()
        found += benchmark_model.times(
            self._bench.measure(
                [flags + benchmark_model.block(size) for size in benchmark_model.blocks(count)]
            )
        )
        if len(found) != count:
            raise MeasureFailed(
                f"benchmark_model timed {len(found)} runs, asked for {count}", kind="device"
            )
        return found

    @override
    def peak_memory_mb(self) -> float:
        return self._memory_mb

    @override
    def profile(self, count: int) -> Sequence[OperatorTime]:
        """Name XNNPACK's own operators with their kernels; `SPMM` is the sparse path."""
        _ = self.ready
        return self._blamed(lambda: self._look(count)).operators

    def _look(self, count: int) -> benchmark_model.Profile:
        name = f"profile-{secrets.token_hex(4)}.csv"
        self._bench.measure(
            [self._flags() + benchmark_model.profiled(count, self._bench.path(name))]
        )
        return benchmark_model.profile(self._bench.fetch(name).decode("utf-8", "replace"))

    def _blamed(self, work: Callable[[], T]) -> T:
        """Put the file's name before what goes wrong with it."""
        try:
            return work()
        except MeasureFailed as error:
            raise MeasureFailed(
                f"{self._subject.file.name}: {error.message}", kind=error.kind, hint=error.hint
            ) from error


def _stacked(found: "Sequence[Sequence[Array]]") -> "tuple[Array, ...]":
    """Turn one list of outputs an example into [examples, …] an output."""
    import numpy as np

    return tuple(np.stack(port) for port in zip(*found, strict=True))


def _arrays(data: bytes, wanted: "Sequence[Array]", example: int) -> "list[Array]":
    """Cut the bytes of all outputs, one behind the other, into arrays like the golden ones.

    Raises:
        MeasureFailed: (kind `wrong-output`) they are fewer or more.
    """
    import numpy as np

    expected = sum(array.nbytes for array in wanted)
    if len(data) != expected:
        raise MeasureFailed(
            f"golden example {example}: {len(data)} bytes of outputs, expected {expected}",
            kind="wrong-output",
        )
    found, start = list["Array"](), 0
    for array in wanted:
        found.append(np.frombuffer(data, array.dtype, array.size, start).reshape(array.shape))
        start += array.nbytes
    return found
