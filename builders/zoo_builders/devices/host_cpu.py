"""`host-cpu`: this machine's processor, LiteRT with XNNPACK.

One pinned process for each file and round.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from zoo_builders.devices import DEVICES, Found, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation
from zoo_builders.devices.agent.runner import AgentContender, Where
from zoo_builders.devices.host import Load
from zoo_builders.tflite import litert
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.record import Host


class HostCpu:
    """This machine's processor.

    Needs nothing but LiteRT; the numbers are those of this machine alone.
    """

    name = "host-cpu"
    runtime = litert.RUNTIME
    kernels: tuple[litert.Kernels, ...] = ("xnnpack", "builtin", "reference")

    def found(self) -> Sequence[Found]:
        """Give this machine; LiteRT may be missing."""
        machine = host.describe()
        what = f"{machine.cpu}, {machine.cores} cores"
        if find_spec("ai_edge_litert") is None:
            return (
                Found(
                    self.name,
                    what,
                    missing="LiteRT (ai-edge-litert)",
                    hint="pip install 'edgezoo[bench]'",
                ),
            )
        return (Found(self.name, what),)

    def connect(self, setting: Setting) -> "Machine":
        """Give this machine.

        A session uses the last (fastest) `threads` of the cores that this process may use.

        Raises:
            Unsupported: fewer cores than threads.
        """
        cores = host.usable_cores()
        if len(cores) < setting.threads:
            raise Unsupported(
                f"{setting.threads} threads on {len(cores)} cores",
                hint="lower benchmark.threads in the manifest",
            )
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

    def prepare(self, subject: Subject) -> AgentContender:
        """Give a child process that will run `subject`."""
        talk = Conversation(
            (sys.executable, "-m", child.__name__), subject.file.name, self._setting.timeout_s
        )
        return AgentContender(subject, talk, self._where, self._options())

    def _options(self) -> dict[str, Any]:
        return {"threads": self._setting.threads, "kernels": self._setting.kernels}

    def _where(self, subject: Subject) -> Where:
        return Where(str(subject.file), str(subject.golden), self._cores)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to disconnect."""


DEVICES.add(HostCpu.name, HostCpu())
