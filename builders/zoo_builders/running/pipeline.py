"""Running what is missing: stages in order, each in its own process, results into the cache.

TensorFlow stages are forked from a server that has imported TensorFlow once (about five seconds
saved a stage), and where it runs, so are the others (half a second). Measurements are always
spawned afresh, so that none shares a process with a framework. One stage runs at a time: training
uses every core anyhow, and a measurement must be alone.
"""

import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from zoo_builders.planning.plan import Plan
from zoo_builders.running import crash
from zoo_builders.running.stage_cache import StageCache, quiet
from zoo_builders.running.worker import Order, main
from zoo_builders.stage import Stage, StageKind
from zoo_builders.stages import ENTRY
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import from_problem

TENSORFLOW_KINDS: frozenset[StageKind] = frozenset({"base", "technique", "convert"})
TRAINED_KINDS: frozenset[StageKind] = frozenset({"base", "technique"})
_PRELOAD = (
    "zoo_builders.keras_models.preload",
    *(module for kind, module in ENTRY.items() if kind != "benchmark"),
)
_GRACE_S = 5.0

Progress = Callable[[Stage, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a set of plans.

    Attributes:
        made: stages that ran now, with seconds.
        failed: fingerprint of a stage → why it has no result; stages that depend on it are listed
            with the same error.
    """

    made: tuple[tuple[Stage, float], ...]
    failed: Mapping[Digest, Exception]

    def error_of(self, plan: Plan) -> Exception | None:
        """Why this variant cannot be described; None when all its stages have results."""
        return next(
            (
                self.failed[stage.fingerprint]
                for stage in plan.stages
                if stage.fingerprint in self.failed
            ),
            None,
        )


def ordered(plans: Iterable[Plan]) -> tuple[Stage, ...]:
    """All stages of several plans, each once, each after what it reads, measurements last."""
    stages: dict[Digest, Stage] = {}
    for plan in plans:
        for stage in plan.stages:
            stages.setdefault(stage.fingerprint, stage)
    return tuple(sorted(stages.values(), key=lambda stage: stage.kind == "benchmark"))


def missing(plans: Iterable[Plan], cache: StageCache) -> tuple[Stage, ...]:
    """Stages without a result that something asked for depends on, in the order they will run."""
    return tuple(stage for stage in ordered(plans) if not cache.has(stage.fingerprint))


@dataclass(slots=True)
class Pipeline:
    """Runs stages.

    Attributes:
        cache: where results are kept.
        logs: folder for the output of stages.
        progress: called with (stage, done, total, note) while one runs.
        announce: called with (stage, seconds or None): before a stage starts, and after it ended
            well.
        said: called with (stage, text) when a stage has something to tell, such as that it goes on
            from a checkpoint.
        summaries: folder for TensorBoard's event files, one folder below it a training; None writes
            none.
    """

    cache: StageCache
    logs: Path
    progress: Progress = lambda *_: None
    announce: Callable[[Stage, float | None], None] = lambda *_: None
    said: Callable[[Stage, str], None] = lambda *_: None
    summaries: Path | None = None
    _warm: bool = False
    _made: list[tuple[Stage, float]] = field(default_factory=list)

    def run(self, plans: Sequence[Plan]) -> Outcome:
        """Run every missing stage.

        A stage that fails takes those that read it with it; the others go on.

        Raises:
            KeyboardInterrupt: Ctrl-C; the running stage is stopped and leaves nothing, finished
                ones are kept.
        """
        failed: dict[Digest, Exception] = {}
        todo = missing(plans, self.cache)
        self._warm = any(stage.kind in TENSORFLOW_KINDS for stage in todo)
        for stage in todo:
            lost = next(
                (failed[source] for source in stage.inputs.values() if source in failed), None
            )
            if lost is not None:
                failed[stage.fingerprint] = lost
                continue
            try:
                self.make(stage)
            # kept and told at the end; the other variants go on
            except Exception as error:  # noqa: BLE001
                failed[stage.fingerprint] = error
        return Outcome(tuple(self._made), failed)

    def make(self, stage: Stage) -> Path:
        """Give the result of one stage whose inputs are in the cache, running it if need be.

        Raises:
            BuildFailed: the process died, or the disk is full; with the cause and what to do.
            ZooError: whatever the stage itself raised.
        """
        with crash.telling(self.cache.root), self.cache.making(stage.fingerprint):
            if self.cache.has(stage.fingerprint):
                return self.cache.folder(stage.fingerprint)
            with (
                quiet(self.cache.root, measuring=stage.kind == "benchmark"),
                self.cache.workspace(stage.fingerprint) as out,
            ):
                self.announce(stage, None)
                started, clock = datetime.now(UTC), time.monotonic()
                self._work(stage, out)
                seconds = time.monotonic() - clock
                folder = self.cache.keep(
                    stage, out, started=started, duration_s=seconds, host=socket.gethostname()
                )
        self._made.append((stage, seconds))
        self.announce(stage, seconds)
        return folder

    def _work(self, stage: Stage, out: Path) -> None:
        order = Order(
            kind=stage.kind,
            params=stage.params,
            files={role: Path(file.path) for role, file in stage.files.items()},
            inputs={role: self.cache.folder(source) for role, source in stage.inputs.items()},
            out=out,
            log=self.logs / f"{stage.kind}-{stage.fingerprint.short}.log",
            scratch=self.cache.scratch(stage.fingerprint),
            tensorboard=self.summaries
            and self.summaries / f"{stage.name}-{stage.fingerprint.short}",
        )
        kills = crash.kills_for_memory()
        with ExitStack() as stack:
            process, pipe = _start(order, stack, warm=self._warm)
            try:
                end = self._listen(stage, pipe)
                process.join(_GRACE_S)
            finally:
                _stop(process)
        if end is None:
            now = crash.kills_for_memory()
            killed = None if kills is None or now is None else now > kills
            raise crash.died(stage, process.exitcode, order.log, killed_for_memory=killed)
        if end[0] == "error":
            raise _told(stage, end, order.log)

    def _listen(self, stage: Stage, pipe: Connection) -> tuple[Any, ...] | None:
        """Follow a stage to its last message; None when it ends without one."""
        while True:
            try:
                message: tuple[Any, ...] = pipe.recv()
            except (EOFError, OSError):
                return None
            if message[0] == "progress":
                self.progress(stage, *message[1:])
            elif message[0] == "said":
                self.said(stage, *message[1:])
            else:
                return message


def _context(kind: StageKind, *, warm: bool) -> Any:
    """Fork server with TensorFlow inside where the platform has one and this build needs it.

    A fresh interpreter for everything else, and always for a measurement.
    """
    forked = kind in TENSORFLOW_KINDS or (warm and kind != "benchmark")
    if forked and "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOAD))
        return context
    return multiprocessing.get_context("spawn")


def _start(order: Order, stack: ExitStack, *, warm: bool) -> tuple[Any, Connection]:
    context = _context(order.kind, warm=warm)
    ours, theirs = context.Pipe(duplex=False)
    lifeline_theirs, lifeline_ours = context.Pipe(duplex=False)
    for end in (ours, lifeline_ours):
        stack.callback(end.close)
    process = context.Process(
        target=main, args=(order, theirs, lifeline_theirs), name=f"zoo-{order.kind}"
    )
    with _plain_main():
        process.start()
    theirs.close()
    lifeline_theirs.close()
    return process, ours


@contextmanager
def _plain_main() -> Iterator[None]:
    """Hide the main module while a process starts.

    Its children would import the whole command line again for nothing.
    """
    told = vars(sys.modules["__main__"])
    names = [name for name in ("__spec__", "__file__") if name in told]
    hidden: dict[str, Any] = {name: told.pop(name) for name in names}
    told["__spec__"] = None
    try:
        yield
    finally:
        told.update(hidden)


def _stop(process: Any) -> None:
    if process.is_alive():
        process.terminate()
        process.join(_GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _told(stage: Stage, end: tuple[Any, ...], log: Path) -> Exception:
    _, slug, message, hint = end
    return from_problem(slug, f"stage {stage.name!r}: {message}", hint or f"less {log}")
