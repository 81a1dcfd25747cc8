"""`emulated-arm64`: an arm64 processor emulated by QEMU.

Whether outputs agree there, and whether XNNPACK takes its sparse path.

Never a latency: emulated time says nothing about a processor's. Its runners refuse to be timed, so
no measurement can be made of it; what it shows is `evidence`.
"""

import os
from collections.abc import Callable, Sequence

from typing_extensions import override

from zoo_builders.devices import DEVICES, Device, Found, Place, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation
from zoo_builders.devices.agent.runner import AgentRunner, load_order
from zoo_builders.devices.emulator import CPU, Emulator, install
from zoo_builders.tflite import litert
from zoo_client import machine
from zoo_client.settings import Settings
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.record import Host

NO_LATENCY = "emulated time says nothing about a processor: emulated-arm64 gives no latency"
_SLOWER = 5
"""How much longer than elsewhere an answer may take."""


class EmulatedArm64(Device):
    """An emulated arm64 processor; shows correctness and the sparse path, never a latency.

    Needs QEMU 10 and `zoo devices install`.
    """

    name = "emulated-arm64"
    runtime = litert.RUNTIME
    measures = False

    @override
    def found(self) -> Sequence[Found]:
        try:
            emulator = Emulator.find(Settings.read())
        except Unsupported as error:
            return (Found(self.name, missing=error.message, hint=error.hint),)
        return (
            Found(
                self.name,
                f"{CPU} emulated by QEMU {emulator.qemu_version}, LiteRT {emulator.litert};"
                " evidence, no latency",
            ),
        )

    @override
    def connect(self, setting: Setting) -> "Emulated":
        host.fastest_cores(setting.threads)
        return Emulated(setting, Emulator.find(Settings.read()))

    @override
    def install(self, tell: Callable[[str], None]) -> str:
        return f"Python and LiteRT for arm64 are now in {install(Settings.read(), tell)}"


class Emulated(Place):
    """The emulator, for one session."""

    def __init__(self, setting: Setting, emulator: Emulator) -> None:
        self._setting, self._emulator = setting, emulator

    @property
    @override
    def host(self) -> Host:
        known = {
            "cpu": f"emulated {CPU}",
            "arch": "arm64",
            "cores": os.cpu_count() or 1,
            "features": ("asimd",),  # those that choose kernels on such a core
            "virtual": f"QEMU {self._emulator.qemu_version}",
            "os": "Linux",
        }
        return machine.described(known)

    @property
    @override
    def version(self) -> str:
        return self._emulator.litert

    @override
    def prepare(self, subject: Subject) -> "EmulatedRunner":
        command, environment = self._emulator.command(child.__name__), self._emulator.environment()
        talk = Conversation(
            command, subject.file.name, _SLOWER * self._setting.timeout_s, environment
        )
        return EmulatedRunner(talk, lambda: load_order(subject, self._setting))


class EmulatedRunner(AgentRunner):
    """A file in an emulated process: loaded and checked as anywhere, never timed."""

    @override
    def run(self, count: int) -> Sequence[float]:
        del count
        raise Unsupported(NO_LATENCY, hint="zoo devices   # where latency can be measured")

    def pace(self, count: int) -> Sequence[float]:
        """Give emulated seconds of `count` runs.

        Only to be held against another file's in the same emulator.

        Raises:
            MeasureFailed: the process hung, died, or the runtime reported an error.
        """
        return super().run(count)


DEVICES.add(EmulatedArm64.name, EmulatedArm64())
