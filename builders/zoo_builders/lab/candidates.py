"""What goes into a session of the lab and what comes out: candidates, an order, outcomes."""

from dataclasses import dataclass
from pathlib import Path

from zoo_builders.devices import Subject
from zoo_builders.tflite.inspection import inspect
from zoo_builders.tflite.litert import Kernels
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import MeasureFailed
from zoo_registry.model.files import digest_file
from zoo_registry.model.measurement import Measurement, Ratio
from zoo_registry.model.structure import Xnnpack


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to measure.

    Attributes:
        name: what it is called in messages; unique in a session.
        xnnpack: what its structure promises of the sparse path.
        dense: the same graph with its weights stored dense; None where there is none, or the file
            is dense itself.
    """

    name: str
    subject: Subject
    sha256: Digest
    xnnpack: Xnnpack
    dense: Path | None = None

    @classmethod
    def of(cls, name: str, subject: Subject, dense: Path | None = None) -> "Candidate":
        """Look into the file. One that cannot be read is a candidate too.

        What is wrong with it is the runtime's to say.

        Raises:
            OSError: it is not there.
        """
        try:
            promised = inspect(subject.file.read_bytes()).xnnpack
        except BadFile as error:
            promised = Xnnpack(
                predicted_sparse=False, reason=f"the file cannot be read: {error.message}"
            )
        return cls(name, subject, digest_file(subject.file), promised, dense)


@dataclass(frozen=True, slots=True)
class Order:
    """What a session is asked for: `device` is a full name such as `android:R5CT…`.

    `runs` are those of each file in each round.

    The order of turns follows from the files and from `seed`: sessions that are repeated should not
    all begin alike.
    """

    device: str = "host-cpu"
    threads: int = 1
    runs: int = 50
    rounds: int = 5
    warmup: int = 5
    kernels: Kernels = "xnnpack"
    timeout_s: float = 120.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no latency: a kind of `MEASURE_FAILURES` and the runtime's words."""

    kind: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: MeasureFailed, prefix: str = "") -> "Failure":
        """Keep what an error says."""
        return cls(error.kind, f"{prefix}{error.message}", error.hint)

    def error(self) -> MeasureFailed:
        """Give the error again."""
        return MeasureFailed(self.message, kind=self.kind, hint=self.hint)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one candidate: a measurement, or a failure.

    Attributes:
        against_dense: ratio to its dense twin, where one ran along.
    """

    candidate: Candidate
    measurement: Measurement | None = None
    failure: Failure | None = None
    against_dense: Ratio | None = None
