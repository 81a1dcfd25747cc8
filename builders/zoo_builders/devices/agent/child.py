"""The measuring child: it loads one file and proves that it computes the golden outputs.

Then it times runs when told to.

`python -m zoo_builders.devices.agent.child`, one JSON object a line on stdin, one answer a line on
stdout, beginning with a greeting:

    (nothing)
        → {"awake": true, "agent": AGENT, "edgezoo": version}
    {"do": "load", "file", "golden", "atol", "rule", "threads", "cores", "kernels"}
        → {"init_ms", "first_ms", "delegate", …}
    {"do": "run", "count"}
        → {"seconds": […]}
    {"do": "memory"}
        → {"peak_memory_mb"}

On another machine it also keeps files and speaks of the machine (see `agent_keeper`):

    {"do": "store", "sha256", "size"}, then that many bytes
        → {"file": path there, until stdin ends}
    {"do": "host"}
        → {"host", "cores", "runtime_version"}
    {"do": "busy", "own_s"}
        → {"others", "stolen"}, less `own_s` of its other agents
    {"do": "spent"}
        → {"cpu_s", "pid"} of this agent so far

An error is answered as {"error": message, "kind"}, and ends the child. It imports LiteRT and numpy,
nothing else that weighs.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from zoo_builders.devices.agent import remote_child
from zoo_builders.tflite import agreement, golden_file, litert
from zoo_registry.model.errors import ZooError

AGENT = 2
"""Number of these orders and answers: raised when an older agent would not understand them."""

_LEAD_IN_RUNS, _LEAD_IN_S = 2, 0.001


class Agent:
    """The child's state between two orders."""

    def __init__(self) -> None:
        import numpy as np

        # loaded before the clock and the memory mark
        from ai_edge_litert import interpreter  # noqa: F401

        self._numpy = np
        self._session: litert.Session | None = None
        self._first: list[Any] = []
        self._memory_before = _peak_mb()

    @property
    def loaded(self) -> bool:
        """Whether a file is loaded, and gave its golden outputs."""
        return self._session is not None

    def load(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Pin, load, run the golden examples and compare."""
        pinned = _pin(order["cores"])
        inputs, outputs = golden_file.read(Path(order["golden"]))
        rule = agreement.Rule.of(order["rule"]) if order.get("rule") else None
        started = time.perf_counter()
        session = litert.Session(
            Path(order["file"]),
            threads=int(order["threads"]),
            kernels=order.get("kernels", "xnnpack"),
        )
        loaded = time.perf_counter()
        self._first = [array[0] for array in inputs]
        session.feed(self._first)
        first = time.perf_counter()
        session.invoke()
        ended = time.perf_counter()
        agreement.judge(litert.outputs(session, inputs), outputs, float(order["atol"]), rule)
        self._session, coverage = session, session.coverage()
        delegate = "XNNPACK" if coverage.partitions else "none"
        counted = {
            "nodes_delegated": coverage.delegated,
            "nodes_total": coverage.total,
            "partitions": coverage.partitions,
        }
        return {
            "init_ms": (loaded - started) * 1e3,
            "first_ms": (ended - first) * 1e3,
            "delegate": delegate,
            "pinned": pinned,
            **counted,
        }

    def run(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Time single inferences on the first golden input.

        At the end, check that the output still is made of numbers.

        A turn begins with variables as they are at first, and with a few runs that do not count:
        the caches are still those of whoever ran before.
        """
        if self._session is None:
            raise ValueError("run before load")
        self._session.fresh()
        self._session.feed(self._first)
        invoke, clock = self._session.invoke, time.perf_counter
        _lead_in(invoke)
        marks: list[float] = []
        for _ in range(int(order["count"])):
            started = clock()
            invoke()
            marks.append(clock() - started)
        self._session.fetch()
        return {"seconds": marks}

    def memory(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Say how far the highest memory rose since before loading."""
        del order
        return {"peak_memory_mb": max(0.0, _peak_mb() - self._memory_before)}


def _lead_in(invoke: Callable[[], None]) -> None:
    ends, runs = time.perf_counter() + _LEAD_IN_S, 0
    while runs < _LEAD_IN_RUNS or time.perf_counter() < ends:
        invoke()
        runs += 1


def _pin(cores: list[int]) -> bool:
    if not cores or not hasattr(os, "sched_setaffinity"):
        return False
    with suppress(OSError):
        os.sched_setaffinity(0, cores)
        return True
    return False


def _peak_mb() -> float:
    """Give the highest resident memory so far, in MB.

    It is read from /proc where there is one: getrusage on Linux carries the parent's peak over
    exec.
    """
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )


def main() -> int:
    """Answer orders until stdin ends, then remove what was kept."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the runtime prints must not mix with the answers
    orders = os.fdopen(os.dup(0), "rb")
    with remote_child.Keeper(orders) as keeper:
        keeper.end_when_alone()
        return _serve(orders, answers, keeper)


def _serve(orders: IO[bytes], answers: IO[str], keeper: remote_child.Keeper) -> int:
    try:
        agent = Agent()
    except ImportError as error:
        answers.write(
            json.dumps({"error": f"LiteRT is not installed there: {error}", "kind": "device"})
            + "\n"
        )
        return 1
    known = {"load": agent.load, "run": agent.run, "memory": agent.memory} | keeper.orders()
    answers.write(json.dumps({"awake": True, "agent": AGENT, "edgezoo": _version()}) + "\n")
    for line in orders:
        try:
            order = json.loads(line)
            answer = known[order["do"]](order)
        except (ZooError, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
            answers.write(json.dumps(_failure(error, loaded=agent.loaded)) + "\n")
            return 1
        answers.write(json.dumps(answer) + "\n")
    return 0


def _failure(error: Exception, *, loaded: bool) -> dict[str, str]:
    """Spell an error: the runtime's own with its kind.

    What numpy or the system says before a file is loaded is of that file.
    """
    message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
    return {"error": message, "kind": getattr(error, "kind", "runtime" if loaded else "load")}


def _version() -> str:
    try:
        return version("edgezoo")
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
