"""Why a stage has no result where it could not say so itself: the cause, what is kept, what to do.

A full disk and want of memory come as exceptions of many kinds, or as none: the kernel ends the
process. Native code ends it with a signal; Python then writes where it was into the stage's log.
"""

import errno
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo_builders.stage import TERMINATED, Stage
from zoo_registry.model.errors import BuildFailed, Crashed, DiskFull, OutOfMemory, ZooError

KEPT = "finished stages and checkpoints are kept"
_ALMOST_NOTHING = 1 << 20
"""Bytes that no disk is left with by chance: below them, a full disk is the cause."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|\d+ requested and \d+ written"
)
"""What libraries say without the system's number; the last is numpy's."""

_MEMORY_WORDS = ("bad_alloc", "Cannot allocate memory", "OutOfMemory", "out of memory")
_FATAL = "Fatal Python error"
_LAST_WORDS = 12
_NATIVE = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


def explained(error: BaseException, out: Path) -> ZooError | None:
    """Say what an exception means where it is of a full disk or of memory; None of all others.

    `out` is the folder that was written to.
    """
    chain = list(_chain(error))
    if any(_is_full(one) for one in chain):
        return _disk_full(out, str(error))
    if any(isinstance(one, MemoryError) or _wants_memory(one) for one in chain):
        return _out_of_memory(f"{type(error).__name__}: {error}"[:400])
    unforeseen = isinstance(error, OSError) and not isinstance(error, ZooError)
    return _disk_full(out, str(error)) if unforeseen and _left(out) < _ALMOST_NOTHING else None


@contextmanager
def telling(out: Path) -> Iterator[None]:
    """Have a full disk or want of memory around a stage said as such.

    Raises:
        DiskFull: instead of what the system said.
        OutOfMemory: likewise.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        known = explained(error, out)
        if known is None:
            raise
        raise known from error


def died(stage: Stage, code: int | None, log: Path, *, killed_for_memory: bool | None) -> ZooError:
    """Say why a process ended without a word of its own.

    `killed_for_memory`: whether the kernel ended processes for memory meanwhile; None where it
    does not tell.
    """
    name = -code if code is not None and code < 0 else 0
    how = f"signal {name}" if name else f"exit code {code}"
    kind, cause, hint = _cause(name, code, log, killed_for_memory=killed_for_memory)
    words = last_words(log) or "    (nothing)"
    return kind(
        f"stage {stage.name!r} ended without a result ({how}): {cause}; {KEPT}. Its last words:\n"
        f"{words}",
        hint=hint or f"less {log}",
    )


def _cause(
    name: int, code: int | None, log: Path, *, killed_for_memory: bool | None
) -> tuple[type[BuildFailed], str, str]:
    again = "free some memory or lower batch_size, then the same zoo build again   # free -h"
    if name == signal.SIGKILL and killed_for_memory is not False:
        sure = "the kernel ended it" if killed_for_memory else "most likely the kernel ended it"
        return OutOfMemory, f"{sure} for want of memory", again
    if any(word in _tail(log) for word in _MEMORY_WORDS):
        return OutOfMemory, "it ran out of memory", again
    if name in _NATIVE and _left(log.parent) < _ALMOST_NOTHING:
        return DiskFull, "the disk is full", _free(log.parent)
    if name in _NATIVE:
        cause = f"native code of a library ended it ({signal.Signals(name).name})"
        return Crashed, cause, f"less {log}   # where; another dtype or engine may not meet it"
    if name or code == TERMINATED:
        return Crashed, "somebody ended it, not the kernel for memory", ""
    return Crashed, "it ended by itself", ""


def kills_for_memory() -> int | None:
    """Count the processes that the kernel ended for memory since it started; None: it tells none.

    `oom_kill` of /proc/vmstat (proc(5)).
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def last_words(log: Path) -> str:
    """The end of a stage's log, for an error message; of a crash, from where it says where."""
    lines = [line for line in _tail(log).splitlines() if line.strip()]
    fatal = next((at for at, line in enumerate(lines) if line.startswith(_FATAL)), None)
    chosen = lines[-_LAST_WORDS:] if fatal is None else lines[fatal : fatal + _LAST_WORDS]
    return "\n".join(f"    {line[:200]}" for line in chosen)


def _tail(log: Path) -> str:
    with suppress(OSError):
        return log.read_text(encoding="utf-8", errors="replace")[-100_000:]
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _is_full(error: BaseException) -> bool:
    told = isinstance(error, OSError) and error.errno in _FULL
    foreign = not isinstance(error, ZooError)
    return told or (foreign and _FULL_WORDS.search(str(error)) is not None)


def _wants_memory(error: BaseException) -> bool:
    """Whether it is the system's, numpy's or TensorFlow's way to say so."""
    told = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return told or type(error).__name__ == "ResourceExhaustedError"


def _left(folder: Path) -> float:
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return float("inf")


def _disk_full(out: Path, words: str) -> DiskFull:
    return DiskFull(
        f"the disk is full, or a limit on it is reached: {words}; {KEPT}", hint=_free(out)
    )


def _free(out: Path) -> str:
    return f"df -h {out}   # free some space, then type the same zoo build again"


def _out_of_memory(words: str) -> OutOfMemory:
    return OutOfMemory(
        f"it ran out of memory: {words}; {KEPT}",
        hint="free -h   # lower batch_size or the number of examples, then zoo build again",
    )
