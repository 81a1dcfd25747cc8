"""A process and all that descends from it, as Linux tells in /proc (see proc(5)).

Elsewhere nothing is told, and nothing is found.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _TIMES, _STARTED = 1, slice(11, 15), 19
"""Where /proc/PID/stat says them, counted from the state: parent.

User and system time, of itself and of children that ended; start.
"""


def cpu_seconds(root: int) -> float:
    """What a process, all that descend from it, and those of them that ended took of processors.

    0 where the system does not tell.
    """
    ticks = sum(int(value) for fields in _family(root).values() for value in fields[_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def family(root: int) -> dict[int, str]:
    """List a process and all that descend from it, each with the moment it started.

    Which tells it from a later one of the same number.
    """
    return {pid: fields[_STARTED] for pid, fields in _family(root).items()}


def end(known: Mapping[int, str]) -> None:
    """Kill those of a family that still live, whether or not they listen."""
    for pid, fields in _processes():
        if known.get(pid) == fields[_STARTED]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def threads(root: int, name: str) -> set[int]:
    """List the threads of a process and of its descendants whose name begins so.

    The system keeps 15 letters of a name.
    """
    found = set[int]()
    for pid in _family(root):
        for task in _PROC.glob(f"{pid}/task/*/comm"):
            with suppress(OSError):
                if task.read_text(encoding="utf-8", errors="replace").startswith(name):
                    found.add(int(task.parent.name))
    return found


def pin(tasks: set[int], cores: Sequence[int]) -> bool:
    """Keep threads on `cores`; whether there were any, and all of them are."""
    if not tasks or not cores or not hasattr(os, "sched_setaffinity"):
        return False
    with suppress(OSError):
        for task in tasks:
            os.sched_setaffinity(task, cores)
        return True
    return False


def _family(root: int) -> dict[int, list[str]]:
    known = dict(_processes())
    found, waiting = dict[int, list[str]](), [root]
    while waiting:
        one = waiting.pop()
        if one in known and one not in found:
            found[one] = known[one]
            waiting += [pid for pid, fields in known.items() if int(fields[_PARENT]) == one]
    return found


def _processes() -> Iterator[tuple[int, list[str]]]:
    for entry in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            yield (
                int(entry.parent.name),
                entry.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split(),
            )
