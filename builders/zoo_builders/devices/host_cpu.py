"""`host-cpu`: this machine's processor, LiteRT with XNNPACK, one pinned process for each file and round."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import IO, Any, Self

from zoo_builders import agent, host, litert
from zoo_builders.devices import DEVICES, Contender, Found, OperatorTime, Ready, Setting, Subject
from zoo_builders.host import Load
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.record import Host

_LAST_WORDS = 400


class HostCpu:
    """This machine's processor. Needs nothing but LiteRT; the numbers are those of this machine alone."""

    name = "host-cpu"
    runtime = litert.RUNTIME

    def found(self) -> Sequence[Found]:
        """Give this machine; LiteRT may be missing."""
        machine = host.describe()
        what = f"{machine.cpu}, {machine.cores} cores"
        if find_spec("ai_edge_litert") is None:
            return (Found(self.name, what, missing="LiteRT (ai-edge-litert)", hint="pip install 'edgezoo[build]'"),)
        return (Found(self.name, what),)

    def connect(self, setting: Setting) -> "Machine":
        """Give this machine, of which a session uses the last `threads` cores this process may use.

        Raises:
            Unsupported: fewer cores than threads.
        """
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
        if len(cores) < setting.threads:
            raise Unsupported(f"{setting.threads} threads on {len(cores)} cores", hint="lower benchmark.threads in the manifest")
        return Machine(setting, cores[-setting.threads :])


class Machine:
    """This machine for one session; children are started by its contenders."""

    def __init__(self, setting: Setting, cores: Sequence[int]) -> None:
        self._setting, self._cores, self._since = setting, cores, host.Clock.look()

    @property
    def host(self) -> Host:
        """This machine."""
        return host.describe()

    @property
    def version(self) -> str:
        """Version of LiteRT."""
        return litert.version()

    def busy(self) -> Load:
        """How busy other processes kept it since connecting."""
        return host.Clock.look().since(self._since)

    def prepare(self, subject: Subject) -> Contender:
        """Give a child process that will run `subject`."""
        return Child(subject, self._setting, self._cores)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """There is nothing to disconnect."""


class Child:
    """One agent process; started on `__enter__`, loaded by the first look at `ready`, ended on `__exit__`."""

    def __init__(self, subject: Subject, setting: Setting, cores: Sequence[int]) -> None:
        self._subject, self._setting, self._cores = subject, setting, list(cores)
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._unread = b""
        self._ready: Ready | None = None

    def __enter__(self) -> Self:
        """Start the process; it imports its libraries while others start."""
        self._words = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", agent.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Kill the process and collect it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._words is not None:
            self._words.close()

    @property
    def ready(self) -> Ready:
        """Load the file, check the golden outputs, and say what that took.

        Raises:
            MeasureFailed: the file cannot be loaded, or computes something else.
        """
        if self._ready is None:
            self._answer()
            subject = self._subject
            order = {"file": str(subject.file), "golden": str(subject.golden), "atol": subject.atol}
            self._ready = Ready(**self._ask("load", **order, threads=self._setting.threads, cores=self._cores))
        return self._ready

    def run(self, count: int) -> Sequence[float]:
        """Time `count` inferences, seconds each.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """
        seconds: list[float] = self._ask("run", count=count)["seconds"]
        return seconds

    def peak_memory_mb(self) -> float:
        """Ask the process.

        Raises:
            MeasureFailed: it hung or died.
        """
        return float(self._ask("memory")["peak_memory_mb"])

    def profile(self, count: int) -> Sequence[OperatorTime]:
        """Give nothing: LiteRT's Python interpreter does not tell."""
        del count
        return ()

    def _ask(self, what: str, **order: Any) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise MeasureFailed("the measuring process was not started")
        try:
            process.stdin.write(json.dumps({"do": what, **order}).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._died() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """Read one line, for as long as the setting allows."""
        deadline = time.monotonic() + self._setting.timeout_s
        while b"\n" not in self._unread:
            self._unread += self._more(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise MeasureFailed(f"{self._subject.file.name}: {answer['error']}")
        return answer

    def _more(self, deadline: float) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise MeasureFailed("the measuring process was not started")
        stream = self._process.stdout.fileno()
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise MeasureFailed(f"{self._subject.file.name}: no answer within {self._setting.timeout_s:g} s; the process was ended")
        piece = os.read(stream, 1 << 20)
        if not piece:
            raise self._died()
        return piece

    def _died(self) -> MeasureFailed:
        code, words = None, ""
        if self._process is not None and self._words is not None:
            code = self._process.wait(timeout=self._setting.timeout_s)
            self._words.seek(0)
            words = self._words.read()[-_LAST_WORDS:].decode("utf-8", "replace").strip()
        return MeasureFailed(f"{self._subject.file.name}: the measuring process ended with code {code}: {words or 'without a word'}")


DEVICES.add(HostCpu.name, HostCpu())
