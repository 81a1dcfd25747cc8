"""A process and all that descends from it: what it took, its threads, its end.

By psutil, which `edgezoo[bench]` brings; devices are listed without it.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def family(root: int) -> "list[psutil.Process]":
    """List a process and all that descend from it; nothing where there is none."""
    import psutil

    with suppress(psutil.Error):
        first = psutil.Process(root)
        return [first, *first.children(recursive=True)]
    return []


def cpu_seconds(root: int) -> float:
    """What a process, all that descend from it, and those of them that ended took of processors."""
    import psutil

    total = 0.0
    for one in family(root):
        with suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def end(known: "Iterable[psutil.Process]") -> None:
    """Kill those of a family that still live, whether or not they listen.

    A later process of the same number is spared.
    """
    import psutil

    for one in known:
        with suppress(psutil.Error):
            one.kill()


def threads(root: int, name: str) -> set[int]:
    """List the threads of a process and of its descendants whose name begins so.

    The system keeps 15 letters of a name.
    """
    import psutil

    found = set[int]()
    for one in family(root):
        with suppress(psutil.Error):
            for thread in one.threads():
                with suppress(psutil.Error):
                    if psutil.Process(thread.id).name().startswith(name):
                        found.add(thread.id)
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
