"""`emulated-arm64`: an arm64 processor emulated by QEMU.

Whether outputs agree there, and whether XNNPACK takes its sparse path.

Never a latency: emulated time says nothing about a processor's. Its contenders refuse to be timed,
    so no measurement can be made of it;
what it shows is `evidence`.
"""

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from zoo_builders.devices import DEVICES, Found, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation
from zoo_builders.devices.agent.runner import AgentContender, Where
from zoo_builders.devices.emulator import CPU, Emulator, install
from zoo_builders.devices.host import Load
from zoo_builders.tflite import litert
from zoo_client.settings import Settings
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.record import Host

NO_LATENCY = "emulated time says nothing about a processor: emulated-arm64 gives no latency"
_SLOWER = 5
"""How much longer than elsewhere an answer may take."""


class EmulatedArm64:
    """An emulated arm64 processor; shows correctness and the sparse path, never a latency.

    Needs QEMU 10 and `zoo devices install`.
    """

    name = "emulated-arm64"
    runtime = litert.RUNTIME
    measures = False

    def found(self) -> Sequence[Found]:
        """Give one line: all there, or the first part that is missing."""
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

    def connect(self, setting: Setting) -> "Emulated":
        """Find its parts.

        Raises:
            Unsupported: one is missing, or fewer cores than threads.
        """
        cores = host.usable_cores()
        if len(cores) < setting.threads:
            raise Unsupported(
                f"{setting.threads} threads on {len(cores)} cores", hint="ask for fewer threads"
            )
        return Emulated(setting, Emulator.find(Settings.read()))

    def install(self, tell: Callable[[str], None]) -> str:
        """Bring Python and LiteRT for arm64, saying what is fetched; gives the folder.

        Raises:
            Unsupported: QEMU, apt or pip is not here.
            Unreachable: something could not be fetched.
        """
        return f"Python and LiteRT for arm64 are now in {install(Settings.read(), tell)}"


class Emulated:
    """The emulator, for one session."""

    def __init__(self, setting: Setting, emulator: Emulator) -> None:
        self._setting, self._emulator = setting, emulator

    @property
    def host(self) -> Host:
        """The processor that is emulated.

        Its features are those that choose kernels on such a core.
        """
        known = {
            "cpu": f"emulated {CPU}",
            "arch": "arm64",
            "cores": os.cpu_count() or 1,
            "features": ("asimd",),
        }
        known |= {"virtual": f"QEMU {self._emulator.qemu_version}", "os": "Linux"}
        return Host.model_validate(
            {**known, "fingerprint": digest_of({**known, "features": ["asimd"]})}
        )

    @property
    def version(self) -> str:
        """Version of LiteRT in there."""
        return self._emulator.litert

    def busy(self) -> Load:
        """Nothing is timed, so nothing disturbs."""
        return Load(0.0, 0.0)

    def prepare(self, subject: Subject) -> "EmulatedContender":
        """Give an emulated process that will run `subject`."""
        command, environment = self._emulator.command(child.__name__), self._emulator.environment()
        talk = Conversation(
            command, subject.file.name, _SLOWER * self._setting.timeout_s, environment
        )
        return EmulatedContender(subject, talk, _where, {"threads": self._setting.threads})

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


def _where(subject: Subject) -> Where:
    return Where(str(subject.file), str(subject.golden), ())


class EmulatedContender(AgentContender):
    """A file in an emulated process: loaded and checked as anywhere, never timed."""

    def run(self, count: int) -> Sequence[float]:
        """Refuse.

        Raises:
            Unsupported: always.
        """
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
