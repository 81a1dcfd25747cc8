"""What a stage is: the unit that is planned, fingerprinted, cached and run in its own process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest

StageKind = Literal[
    "data", "base", "import", "technique", "convert", "inspect", "evaluate", "benchmark"
]
Reproducible = Literal["bitwise", "weights", "metrics"]


class SourceFile(BaseModel):
    """A file of the user that a stage reads.

    Where it lies today is not fingerprinted; what it is, is.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: Digest


class Stage(BaseModel):
    """One step of a plan. Two stages with equal fingerprints give the same result and are run once.

    Attributes:
        kind: what runs it (see ARCHITECTURE.md).
        name: what people read: `base`, `prune`, `convert int8`, …
        params: everything that configures it, plain JSON; for `technique` {technique, params,
            train, seed}, for `convert` {quantize: resolved parameters or null, calibration: split},
            for `inspect` {promises}, for `base` {network, args, train, seed, task, weights}, for
            `data` {source, args, splits, preprocess, max_overlap}, for `evaluate` {task,
            split, calibration}, for `benchmark` {device, threads, runs, rounds, warmup, host}.
        files: role → file of the user.
        inputs: role → fingerprint of the stage whose result it reads.
        code: digest of the source code that decides the result.
        tools: name → version of the libraries that decide the result.
        reproducible: what two runs of it agree on: bytes, weights, or only the metrics within
            noise.
    """

    model_config = ConfigDict(frozen=True)

    kind: StageKind
    name: str
    params: dict[str, Any]
    files: dict[str, SourceFile] = {}
    inputs: dict[str, Digest] = {}
    code: Digest
    tools: dict[str, str]
    reproducible: Reproducible

    @property
    def fingerprint(self) -> Digest:
        """Sha256 over all that can change the result.

        Where a file lies and what the stage is called do not count.
        """
        spelled = self.model_dump(mode="json", exclude={"name", "files", "reproducible"})
        return digest_of(
            spelled | {"files": {role: file.sha256 for role, file in self.files.items()}}
        )


TERMINATED = 143
"""Exit code of a process that SIGTERM ended."""


@dataclass(slots=True)
class Stop:
    """Whether a stage was told to end (SIGTERM).

    One that is `heeded` gets the time to keep what it has; others just end.
    """

    asked: bool = False
    heeded: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A stage about to run.

    `run(job)` of its module reads `inputs` and `files` and writes into the empty folder `out`.

    Attributes:
        progress: told (done, total, note) as often as one likes.
        say: told what a user should read even without a progress bar.
        observe: gives further Keras callbacks for a model about to be trained under a note; they
            must not change it.
        stop: whether the stage was told to end.
    """

    kind: StageKind
    params: Mapping[str, Any]
    files: Mapping[str, Path]
    inputs: Mapping[str, Path]
    out: Path
    progress: Callable[[int, int, str], None]
    scratch: Path | None = None
    """Of this stage's own, keyed by its fingerprint.

    It outlives a killed run and is gone once the stage has a result.
    """
    say: Callable[[str], None] = lambda _: None
    observe: Callable[[Any, str], Sequence[Any]] = lambda *_: ()
    stop: Stop = field(default_factory=Stop)
