"""`zoo bench`: what is asked for becomes files with golden vectors and float baselines.

These become sessions, sessions become results.

    REF    the published file, pulled into the cache and verified; its record's golden vectors; the
           float release of its family
    FILE   the file as it lies there; vectors of its own (see `own_golden`); the first file asked
           for as the baseline

A baseline that is named (`--against`) serves all. Whatever is written on the way lies in one
folder, which the caller removes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoo_builders.devices import Subject
from zoo_builders.lab import golden_for_strangers
from zoo_builders.lab.candidates import Candidate, Failure, Order, Outcome
from zoo_builders.lab.session import Progress, measure
from zoo_builders.tflite import agreement, agreement_limits, dense_twin, flatbuffer, golden_file
from zoo_builders.tflite.tflite_file import BadFile
from zoo_client.cache import Cache
from zoo_client.pull import find
from zoo_client.remotes.base import Remote
from zoo_registry.model.errors import (
    DigestMismatch,
    MeasureFailed,
    NotFound,
    Unsupported,
    WrongUse,
    Yanked,
    ZooError,
)
from zoo_registry.model.measurement import Measurement
from zoo_registry.model.record import Golden
from zoo_registry.model.ref import Ref
from zoo_registry.stores.layout import Release

FLOAT = "fp32"
MOST_AT_ONCE = 8
"""Files of one session; each has a process of its own while it runs.

More files become more sessions, each with its baseline.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A file that can be measured, or why it cannot.

    Attributes:
        name: how it was asked for, as shown.
        candidate: None when it failed before any session.
        release: what was published of it; None of a bare file.
        own_golden: whether its golden vectors are of its own making, not those of a record.
    """

    name: str
    candidate: Candidate | None
    release: Release | None = None
    golden_for_strangers: bool = False
    failure: Failure | None = None

    @property
    def short(self) -> str:
        """The artifact's name without its version, as measurements call their baseline.

        A bare file is called as it was asked for.
        """
        return self.release.record.name if self.release else self.name

    def published(self, device: str, threads: int, on: str = "") -> Measurement | None:
        """Give the published measurement on a device of that kind, with as many threads.

        One of the platform `on` (a key) comes first: others do not compare.
        """
        if self.release is None:
            return None
        rows = (*self.release.record.measurements, *self.release.added)
        found = [
            m
            for m in rows
            if m.device.partition(":")[0] == device.partition(":")[0] and m.threads == threads
        ]
        return min(found, key=lambda m: m.on.key != on, default=None)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file in one session.

    Attributes:
        baseline: the file its ratio is to.
        submitted: whether the measurement was added to what is published.
        refused: why it was not, though that was asked for.
    """

    asked: Asked
    order: Order
    baseline: Asked
    outcome: Outcome | None = None
    failure: Failure | None = None
    submitted: bool = False
    refused: ZooError | None = None

    @property
    def measurement(self) -> Measurement | None:
        """The number, if there is one."""
        return self.outcome.measurement if self.outcome else None


@dataclass(slots=True)
class Desk:
    """Turns words into files.

    `folder` takes what is written on the way; `connect` opens the remote when it is first needed.
    """

    folder: Path
    cache: Cache
    connect: Callable[[], Remote]
    timeout_s: float = 120.0
    _remote: Remote | None = None
    _known: dict[str, Asked] = field(default_factory=dict)

    @property
    def remote(self) -> Remote:
        """The remote, opened once."""
        self._remote = self._remote or self.connect()
        return self._remote

    def ask(self, word: str) -> Asked:
        """Bring the file that `word` names, with golden vectors.

        A file that cannot run keeps its failure.

        Raises:
            NotFound, Yanked, DigestMismatch, Unreachable: as pulling it.
            WrongUse: there is no such file, and it is no ref.
        """
        if word not in self._known:
            path = Path(word)
            self._known[word] = self._file(path) if path.is_file() else self._release(_ref(word))
        return self._known[word]

    def baseline(self, asked: Asked, first: Asked) -> Asked:
        """Bring the float baseline of a file.

        It is the float release of its family; for bare files it is the first one asked for.

        Raises:
            NotFound: the float release is not published; the hint names the way out.
        """
        if asked.release is None:
            return first if first.release is None else asked
        record = asked.release.record
        if (
            record.variant == FLOAT
            or record.fidelity is None
            or record.fidelity.versus_sha256 == record.file.sha256
        ):
            return asked
        ref = Ref(f"{record.model}-{FLOAT}", record.version, record.fidelity.versus_sha256)
        key = f"{ref.name}@{ref.selector}"
        try:
            return self.ask(f"{key}#sha256:{ref.digest}")
        except (NotFound, Yanked, DigestMismatch) as error:
            hint = f"zoo bench {asked.name} --against REF|FILE   # another baseline"
            told = (
                f"the float baseline of {asked.name} is {key} (sha256:{ref.digest}), which is not"
                f" published: {error.message}"
            )
            raise NotFound(told, hint=hint) from error

    def _release(self, ref: Ref) -> Asked:
        release = find(self.remote, ref)
        record = release.record
        file = self.cache.fill(
            record.file.sha256,
            record.file.size,
            lambda start: self.remote.fetch(record.file.sha256, start=start),
        ).path
        self.cache.keep_record(release.record_bytes)
        golden = record.golden
        if golden is None:
            return replace(self._file(file, release.ref), release=release)
        vectors = self.cache.fill(
            golden.sha256, golden.size, lambda start: self.remote.fetch(golden.sha256, start=start)
        ).path
        subject = Subject(file, vectors, golden.atol, _rule(golden, file, vectors))
        return Asked(release.ref, self._candidate(release.ref, subject), release)

    def _file(self, path: Path, name: str = "") -> Asked:
        shown = name or str(path)
        vectors = self.folder / f"golden-{len(self._known)}.npz"
        try:
            subject = golden_for_strangers.make(path, vectors, timeout_s=self.timeout_s)
        except MeasureFailed as error:
            return Asked(shown, None, golden_for_strangers=True, failure=Failure.of(error))
        return Asked(shown, self._candidate(shown, subject), golden_for_strangers=True)

    def _candidate(self, name: str, subject: Subject) -> Candidate:
        """Look into the file, and write its dense twin beside it where it is stored sparse."""
        try:
            twin = dense_twin.densify(subject.file.read_bytes())
        except BadFile:
            twin = None  # the runtime will say what is wrong with it
        path = self.folder / f"dense-{len(self._known)}.tflite"
        if twin is not None:
            path.write_bytes(twin)
        return Candidate.of(name, subject, None if twin is None else path)


def _rule(golden: Golden, file: Path, vectors: Path) -> agreement.Rule | None:
    """Give the rule of a record, or, where an older program wrote it, the one of its file.

    None where file or vectors cannot be read: the runtime will say what is wrong with them.
    """
    if golden.rule is not None:
        return agreement.Rule.of(golden.rule.model_dump())
    try:
        _, outputs = golden_file.read(vectors)
        return agreement_limits.rule(flatbuffer.read(file.read_bytes()), outputs)
    except (BadFile, MeasureFailed):
        return None


def _ref(word: str) -> Ref:
    if "/" in word or word.endswith(".tflite"):
        raise WrongUse(f"there is no file {word}", hint="zoo bench REF|FILE")
    return Ref.parse(word)


@dataclass(frozen=True, slots=True)
class Session:
    """Files that are measured together against one baseline."""

    order: Order
    baseline: Asked
    files: tuple[Asked, ...]

    def run(self, progress: Progress) -> tuple[Result, ...]:
        """Measure; a device that cannot do it is a failure of each file."""
        running = [asked for asked in self.files if asked.candidate is not None]
        found = {
            asked.name: result
            for asked, result in zip(running, self._measured(running, progress), strict=True)
        }
        return tuple(
            found.get(asked.name) or self._failed(asked, asked.failure) for asked in self.files
        )

    def _measured(self, running: Sequence[Asked], progress: Progress) -> Sequence[Result]:
        """Give a result of each file that can be run at all."""
        if self.baseline.candidate is None:
            why = self.baseline.failure or Failure("load", "it cannot be read")
            told = replace(
                why,
                message=f"no ratio without the float baseline {self.baseline.name}: {why.message}",
            )
            return [self._failed(asked, told) for asked in running]
        if not running:
            return []
        try:
            baseline = replace(self.baseline.candidate, name=self.baseline.short)
            outcomes = measure(
                [asked.candidate for asked in running if asked.candidate],
                baseline,
                self.order,
                progress,
            )
        except (Unsupported, MeasureFailed) as error:
            return [
                self._failed(asked, Failure("device", error.message, error.hint))
                for asked in running
            ]
        pairs = zip(running, outcomes, strict=True)
        return [
            Result(asked, self.order, self.baseline, outcome, outcome.failure)
            for asked, outcome in pairs
        ]

    def _failed(self, asked: Asked, failure: Failure | None) -> Result:
        return Result(asked, self.order, self.baseline, failure=failure)


def sessions(
    files: Sequence[Asked], baselines: Sequence[Asked], orders: Sequence[Order]
) -> Iterator[Session]:
    """Plan the sessions: by order, then by baseline, at most `MOST_AT_ONCE` files each.

    One file has one baseline.
    """
    by_baseline: dict[str, tuple[Asked, list[Asked]]] = {}
    for asked, baseline in zip(files, baselines, strict=True):
        by_baseline.setdefault(baseline.name, (baseline, []))[1].append(asked)
    for order in orders:
        for baseline, group in by_baseline.values():
            for start in range(0, len(group), MOST_AT_ONCE):
                yield Session(order, baseline, tuple(group[start : start + MOST_AT_ONCE]))


def submit(remote: Remote, results: Sequence[Result]) -> tuple[Result, ...]:
    """Add every measurement of a published file to it.

    One that the other side refuses does not keep back the others.

    A device that its place gives no name for others keeps what stands behind the colon (an address,
    a user) to itself.
    """
    return tuple(_submitted(remote, result) for result in results)


def _submitted(remote: Remote, result: Result) -> Result:
    if result.asked.release is None or result.measurement is None:
        return result
    record = result.asked.release.record
    try:
        remote.add_measurement(
            record.name, record.version, _for_others(result.measurement, result.order)
        )
    except ZooError as error:
        return replace(result, refused=error)
    return replace(result, submitted=True)


def _for_others(measurement: Measurement, order: Order) -> Measurement:
    asked = measurement.device == order.device
    return (
        measurement.model_copy(update={"device": order.device.partition(":")[0]})
        if asked
        else measurement
    )
