"""A contender whose file is run by an agent (see `agent`), wherever that agent is.

Devices say how to start it and where the file lies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from zoo_builders.devices import Ready, Subject
from zoo_builders.devices.agent.client import Conversation
from zoo_registry.model.record import OperatorTime


@dataclass(frozen=True, slots=True)
class Where:
    """Where the agent finds the file and its golden vectors, and on which cores it may run."""

    file: str
    golden: str
    cores: Sequence[int]


class AgentContender:
    """One agent process: started on `__enter__`, loaded by the first look at `ready`.

    Ended on `__exit__`.

    Args:
        subject: what is measured.
        talk: the conversation with the agent's process, not started yet.
        where: asked for once, before loading; a device may carry the files there first.
        options: what else the load order says, such as `threads`.
    """

    def __init__(
        self,
        subject: Subject,
        talk: Conversation,
        where: Callable[[Subject], Where],
        options: Mapping[str, Any],
    ) -> None:
        self._subject, self._talk, self._where, self._options = subject, talk, where, dict(options)
        self._ready: Ready | None = None

    def __enter__(self) -> Self:
        """Start the process; it imports its libraries while others start."""
        self._talk.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._talk.__exit__(kind, error, trace)

    @property
    def ready(self) -> Ready:
        """Load the file, check the golden outputs, and say what that took.

        Raises:
            MeasureFailed: the file cannot be loaded, or computes something else.
        """
        if self._ready is None:
            self._talk.answer()
            where = self._where(self._subject)
            order = {
                "file": where.file,
                "golden": where.golden,
                "atol": self._subject.atol,
                "cores": list(where.cores),
            }
            self._ready = Ready(**self._talk.ask("load", **order, **self._options))
        return self._ready

    def run(self, count: int) -> Sequence[float]:
        """Time `count` inferences, seconds each.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """
        seconds: list[float] = self._talk.ask("run", count=count)["seconds"]
        return seconds

    def peak_memory_mb(self) -> float:
        """Ask the process.

        Raises:
            MeasureFailed: it hung or died.
        """
        return float(self._talk.ask("memory")["peak_memory_mb"])

    def profile(self, count: int) -> Sequence[OperatorTime]:
        """Give nothing: LiteRT's Python interpreter does not tell."""
        del count
        return ()
