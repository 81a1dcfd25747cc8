"""Families of processes: counted, pinned, and ended even where nobody listens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from zoo_builders.devices.browser import processes

PATIENCE_S = 30
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Start a process that waits and has a child that computes; give their numbers."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    yield parent.pid, child
    processes.end(processes.family(parent.pid))
    parent.communicate()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_descendants_compute_counts(pair: tuple[int, int]) -> None:
    parent, child = pair
    assert {one.pid for one in processes.family(parent)} == {parent, child}
    before, ends = processes.cpu_seconds(parent), time.monotonic() + PATIENCE_S
    while processes.cpu_seconds(parent) <= before:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert processes.cpu_seconds(2**30) == 0, "nobody"


def test_one_that_hears_nothing_is_ended_too(pair: tuple[int, int]) -> None:
    parent, child = pair
    known = processes.family(parent)
    os.kill(child, signal.SIGSTOP)
    processes.end(known)
    ends = time.monotonic() + PATIENCE_S
    while lives(parent) or lives(child):
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_threads_are_found_by_name_and_pinned(pair: tuple[int, int]) -> None:
    parent, child = pair
    name = Path(f"/proc/{child}/comm").read_text().strip()
    assert child in processes.threads(parent, name)
    core = min(os.sched_getaffinity(0))
    assert processes.pin({child}, [core])
    assert os.sched_getaffinity(child) == {core}
    assert not processes.pin(set(), [core])
    assert not processes.pin({2**30}, [core]), "it ended meanwhile"
