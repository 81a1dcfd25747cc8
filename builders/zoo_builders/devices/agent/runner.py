"""A runner whose file is run by an agent (see `child`), wherever that agent is.

Devices say how to start it and where the file lies.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from typing_extensions import override

from zoo_builders.devices import Ready, Runner, Setting, Subject
from zoo_builders.devices.agent.client import Conversation


def load_order(subject: Subject, setting: Setting, *, cores: Sequence[int] = ()) -> dict[str, Any]:
    """Spell the order to load a file (see `child`) that lies where the agent sees it as we do.

    Args:
        subject: the file and its golden vectors.
        setting: threads and kernels.
        cores: where the agent may run; empty: anywhere.
    """
    return {
        "file": str(subject.file),
        "golden": str(subject.golden),
        "atol": subject.atol,
        "rule": subject.rule.plain() if subject.rule else None,
        "cores": list(cores),
        "threads": setting.threads,
        "kernels": setting.kernels,
    }


class AgentRunner(Runner):
    """One agent process: started on `__enter__`, loaded by the first look at `ready`.

    Ended on `__exit__`.

    Args:
        talk: the conversation with the agent's process, not started yet.
        order: gives the order to load; asked for once, so a device may carry the files there first.
    """

    def __init__(self, talk: Conversation, order: Callable[[], Mapping[str, Any]]) -> None:
        self._talk, self._order = talk, order
        self._ready: Ready | None = None

    def __enter__(self) -> Self:
        self._talk.__enter__()  # it imports its libraries while others start
        return self

    def __exit__(self, *raised: object) -> None:
        self._talk.__exit__()

    @property
    @override
    def ready(self) -> Ready:
        if self._ready is None:
            self._talk.answer()
            self._ready = Ready(**self._talk.ask("load", **self._order()))
        return self._ready

    @override
    def run(self, count: int) -> Sequence[float]:
        seconds: list[float] = self._talk.ask("run", count=count)["seconds"]
        return seconds

    @override
    def peak_memory_mb(self) -> float:
        return float(self._talk.ask("memory")["peak_memory_mb"])
