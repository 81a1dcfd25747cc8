"""`host-cpu`: this machine's processor, LiteRT with XNNPACK.

One pinned process for each file and round.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from typing_extensions import override

from zoo_builders.devices import DEVICES, Device, Found, Load, Place, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation
from zoo_builders.devices.agent.runner import AgentRunner, load_order
from zoo_builders.tflite import litert
from zoo_client import machine
from zoo_registry.model.platform import Platform
from zoo_registry.model.record import Host


class HostCpu(Device):
    """This machine's processor.

    Needs nothing but LiteRT; the numbers are those of this machine alone.
    """

    name = "host-cpu"
    runtime = litert.RUNTIME
    kernels = ("xnnpack", "builtin", "reference")

    @override
    def found(self) -> Sequence[Found]:
        here = machine.describe()
        what = f"{Platform.of(self.name, here).told}, {here.cores} cores"
        if find_spec("ai_edge_litert") is None:
            lacks, hint = "LiteRT (ai-edge-litert)", "pip install 'edgezoo[bench]'"
            return (Found(self.name, what, lacks, hint),)
        return (Found(self.name, what),)

    @override
    def connect(self, setting: Setting) -> "Machine":
        return Machine(setting, host.fastest_cores(setting.threads))


class Machine(Place):
    """This machine for one session; children are started by its runners."""

    def __init__(self, setting: Setting, cores: Sequence[int]) -> None:
        self._setting, self._cores, self._since = setting, cores, host.Clock.look()

    @property
    @override
    def host(self) -> Host:
        return machine.describe()

    @property
    @override
    def version(self) -> str:
        return litert.version()

    @override
    def busy(self) -> Load:
        return host.Clock.look().since(self._since)

    @override
    def prepare(self, subject: Subject) -> AgentRunner:
        talk = Conversation(
            (sys.executable, "-m", child.__name__), subject.file.name, self._setting.timeout_s
        )
        return AgentRunner(talk, lambda: self._order(subject))

    def _order(self, subject: Subject) -> dict[str, Any]:
        return load_order(subject, self._setting, cores=self._cores)


DEVICES.add(HostCpu.name, HostCpu())
