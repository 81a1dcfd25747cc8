"""The inside of a stage's process.

Run one stage, tell the parent how far it is, end when the parent ends.

Over the pipe travel tuples: ("progress", done, total, note) at most ten times a second and ("said",
text) for what a user should read, then one of ("done",) or ("error", slug, message, hint). What the
stage prints goes to its log file.

SIGTERM ends a stage at once, or where it heeds `Job.stop`, as soon as it has kept what the next run
can go on from.
"""

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from zoo_builders.running import crash
from zoo_builders.stage import TERMINATED, Job, StageKind, Stop
from zoo_builders.stages import ENTRY
from zoo_builders.training import tensorboard
from zoo_registry.model.errors import ZooError

_TENTH = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """A stage to run, as it is sent to its process.

    `tensorboard` is the folder for TensorBoard, if it is asked for.
    """

    kind: StageKind
    params: Mapping[str, Any]
    files: Mapping[str, Path]
    inputs: Mapping[str, Path]
    out: Path
    log: Path
    scratch: Path
    tensorboard: Path | None = None


def main(order: Order, pipe: Connection, lifeline: Connection) -> None:
    """Run one stage. `lifeline` is never written to.

    When the parent dies, by whatever cause, it closes and we end.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    try:
        _into_log(order.log)
        faulthandler.enable()  # where native code was when a signal ended it
        importlib.import_module(ENTRY[order.kind]).run(_job(order, pipe))
    # the boundary of the process: everything becomes words for the parent
    except Exception as error:  # noqa: BLE001
        pipe.send(_words(error, order.out.parent))
        with suppress(OSError):  # the log may lie on the disk that is full
            traceback.print_exc()
    else:
        pipe.send(("done",))


def _words(error: Exception, out: Path) -> tuple[str, str, str, str]:
    told = crash.explained(error, out) or error
    if isinstance(told, ZooError):
        return "error", told.slug, told.message, told.hint
    return "error", "build-failed", f"{type(error).__name__}: {error}", ""


def _job(order: Order, pipe: Connection) -> Job:
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: _asked(stop))
    observe = (
        partial(tensorboard.observe, order.tensorboard) if order.tensorboard else lambda *_: ()
    )
    return Job(
        order.kind,
        order.params,
        order.files,
        order.inputs,
        order.out,
        _throttled(pipe),
        order.scratch,
        lambda text: pipe.send(("said", text)),
        observe,
        stop,
    )


def _asked(stop: Stop) -> None:
    stop.asked = True
    if not stop.heeded:
        os._exit(TERMINATED)


def _end_with(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _into_log(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _throttled(pipe: Connection) -> Callable[[int, int, str], None]:
    last = 0.0

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TENTH or done >= total:
            last = now
            pipe.send(("progress", done, total, note))

    return progress
