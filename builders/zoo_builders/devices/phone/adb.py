"""The one door to Android devices.

Google's `adb`, which finds its server by its own variables (ANDROID_ADB_SERVER_PORT and so on).

Every call ends by its deadline, whatever the server or the phone does. The server and the
permission to debug come with `adb` anyway; a library in its place would be a second client of
another age.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoo_registry.model.errors import MeasureFailed, Unsupported

_LAST_WORDS = 400
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]*")
_LINE = re.compile(r"(?P<serial>\S+)\s+(?P<state>no permissions|[a-z]+)(?P<rest>.*)")
_LOST = re.compile(
    r"device (?:'[^']*' )?(?:not found|offline|unauthorized|still authorizing)|no devices|protocol"
    r" fault|connection reset|closed|EOF|"
    r"cannot connect to daemon|failed to (?:read|write)",
    re.IGNORECASE,
)

READY = "device"
WHAT_TO_DO = {
    "unauthorized": (
        "the phone has not allowed this computer",
        "unlock it and accept 'Allow USB debugging?', then: adb devices",
    ),
    "authorizing": (
        "the phone is being asked",
        "unlock it and accept 'Allow USB debugging?', then: adb devices",
    ),
    "offline": ("the phone does not answer", "adb reconnect offline   # or plug it in again"),
    "no permissions": (
        "this user may not use the USB device",
        "apt install android-sdk-platform-tools-common   # then plug in again",
    ),
    "recovery": ("the phone is in recovery", "adb reboot"),
    "bootloader": ("the phone is in its bootloader", "fastboot reboot"),
    "sideload": ("the phone is sideloading", "adb reboot"),
}


@dataclass(frozen=True, slots=True)
class Phone:
    """A line of `adb devices -l`: `state` is `device` when it can be used.

    `model` as the phone says it, empty when it does not.
    """

    serial: str
    state: str
    model: str = ""

    def why_not(self) -> tuple[str, str]:
        """Say why it cannot be used and what to do about it; empty when it can."""
        if self.state == READY:
            return ("", "")
        return WHAT_TO_DO.get(
            self.state, (f"the phone is in the state {self.state!r}", "adb devices -l")
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a command on the phone gave."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams, what was printed before what was complained about."""
        return f"{self.out}\n{self.err}" if self.err else self.out


@dataclass(frozen=True, slots=True)
class Adb:
    """The `adb` at `binary`, for one phone (`serial`) or for none in particular.

    `patience_s` is how long its server may take to answer.
    """

    binary: str
    serial: str = field(default="")
    patience_s: float = 20.0

    @classmethod
    def find(cls, patience_s: float = 20.0) -> "Adb | None":
        """Give the `adb` in PATH; None where there is none."""
        binary = shutil.which("adb")
        return cls(binary, patience_s=patience_s) if binary else None

    def phones(self) -> list[Phone]:
        """List what is connected, in any state. Starts the adb server if none runs.

        Raises:
            MeasureFailed: (kind `device`) the server does not answer, or not as one.
        """
        said = self._run(("devices", "-l"), self.patience_s)
        if said.code:
            raise self._lost("the adb server", said)
        lines = said.out.partition("List of devices attached")[2].splitlines()
        return [_phone(found) for line in lines if (found := _LINE.fullmatch(line.strip()))]

    def of(self, serial: str) -> "Adb":
        """Speak to this phone only.

        Raises:
            Unsupported: no serial number looks like that.
        """
        if not _SERIAL.fullmatch(serial):
            raise Unsupported(f"{serial!r} is no serial number", hint="adb devices")
        return replace(self, serial=serial)

    def features(self) -> set[str]:
        """List what adb and the phone can do together.

        Raises:
            MeasureFailed: (kind `device`) the phone is lost.
        """
        said = self._run(("features",), self.patience_s)
        if said.code:
            raise self._lost(f"android:{self.serial}", said)
        return set(said.out.split())

    def shell(self, command: str, timeout_s: float) -> Said:
        """Run a line of shell on the phone.

        Raises:
            MeasureFailed: (kind `device`) the phone is lost; (kind `hang`) it did not end in time.
        """
        said = self._run(("shell", "-T", "-n", command), timeout_s)
        if (
            said.code
            and not said.out
            and _LOST.search(said.err)
            and said.err.lstrip().startswith(("error:", "adb:", "* "))
        ):
            raise self._lost(f"android:{self.serial}", said)
        return said

    def push(self, file: Path, target: str, timeout_s: float) -> None:
        """Copy a file to the phone.

        Raises:
            MeasureFailed: (kind `load`) the file is not here; (kind `device`) it did not arrive
                whole.
        """
        if not file.is_file():
            raise MeasureFailed(f"no such file: {file}", kind="load")
        said = self._run(("push", str(file), target), timeout_s)
        if said.code:
            raise self._lost(f"android:{self.serial}: {file.name} did not arrive", said)

    def pull(self, source: str, file: Path, timeout_s: float) -> None:
        """Copy a file from the phone.

        Raises:
            MeasureFailed: (kind `device`) it is not there, or did not arrive.
        """
        said = self._run(("pull", source, str(file)), timeout_s)
        if said.code or not file.is_file():
            raise self._lost(
                f"android:{self.serial}: {source.rpartition('/')[2]} cannot be read", said
            )

    def _run(self, arguments: Sequence[str], timeout_s: float) -> Said:
        chosen = ("-s", self.serial) if self.serial else ()
        command = (self.binary, *chosen, *arguments)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MeasureFailed(
                f"adb {arguments[0]}: no answer within {timeout_s:g} s",
                kind="hang",
                hint="adb kill-server; adb devices",
            ) from error
        except OSError as error:
            raise MeasureFailed(
                f"adb cannot be started: {error.strerror}", kind="device"
            ) from error
        return Said(
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"),
        )

    @staticmethod
    def _lost(what: str, said: Said) -> MeasureFailed:
        words = (said.err.strip() or said.out.strip())[
            -_LAST_WORDS:
        ] or f"adb ended with code {said.code}"
        return MeasureFailed(
            f"{what}: {words}", kind="device", hint="adb devices -l   # is it still connected?"
        )


def _phone(found: "re.Match[str]") -> Phone:
    model = re.search(r"\bmodel:(\S+)", found["rest"])
    return Phone(found["serial"], found["state"], model[1].replace("_", " ") if model else "")
