"""A connected phone, for one session.

What it is, how busy and how hot, and Google's `benchmark_model` run on its fastest cores.

Everything goes to one folder of random name in /data/local/tmp, which is removed at the end.
"""

import secrets
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from zoo_builders.devices import Load, Place, Setting, Subject, host
from zoo_builders.devices.host import Clock
from zoo_builders.devices.phone import benchmark_model, facts
from zoo_builders.devices.phone import tool as tool_phone
from zoo_builders.devices.phone.adb import Adb, Said
from zoo_builders.devices.phone.runner import PhoneRunner
from zoo_client.settings import Settings
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.files import digest_file
from zoo_registry.model.record import Host

QUESTION_S = 30.0
"""How long a phone may think about a question that needs no computing."""

_TEMPORARY = "/data/local/tmp"
_GRACE_S = 10.0
_TIMED_OUT = (124, 143)
"""What `timeout` ends with when it ended a program.

It is its own code, or on older phones that of SIGTERM.
"""


class Handset(Place):
    """A connected phone; `reach` before anything else, `leave` at the end."""

    def __init__(self, setting: Setting, adb: Adb) -> None:
        self._setting, self._adb = setting, adb
        self._folder = f"{_TEMPORARY}/edgezoo-{secrets.token_hex(8)}"
        self._said: dict[str, str] = {}
        self._chosen: list[facts.Core] = []
        self._kept: dict[str, str] = {}
        self._tool: tool_phone.Tool | None = None
        self._since = Clock.of("", 0.0)
        self._spent_s = 0.0

    def reach(self, settings: Settings) -> None:
        """See what the phone is, choose its cores, and send it the tool.

        Raises:
            Unsupported: as `Android.connect`.
            DigestMismatch: as `Android.connect`.
            MeasureFailed: as `Android.connect`.
        """
        if "shell_v2" not in self._adb.features():
            raise Unsupported(
                f"android:{self._adb.serial} is older than Android 7, and tells no exit codes",
                hint="use a newer phone",
            )
        self._said = self._ask(facts.QUESTIONS)
        self._chosen = host.fastest(
            facts.cores(self._said.get("cores", "")), self._setting.threads, " of the phone"
        )
        self._tool = tool_phone.find(settings, facts.abi(self._said))
        if self._shell(f"mkdir -m 700 {self._folder}").code:
            raise MeasureFailed(
                f"android:{self._adb.serial}: {_TEMPORARY} cannot be written",
                kind="device",
                hint="adb shell df /data",
            )
        self._shell(f"chmod 700 {self.keep(self._tool.file)}")
        self._since = self._clock(self._state())

    @override
    def leave(self) -> None:
        with suppress(MeasureFailed):  # as far as it still answers
            self._shell(f"rm -rf {self._folder}")

    @property
    @override
    def host(self) -> Host:
        return facts.describe(self._said, self._chosen)

    @property
    @override
    def known_as(self) -> str:
        about = facts.properties(self._said.get("properties", ""))
        return f"android:{host.slug(about.get('ro.product.model', ''))}"

    @property
    @override
    def version(self) -> str:
        """The tool tells no version: its digest names it."""
        return (
            f"benchmark_model sha256:{self._tool.sha256[:12]}" if self._tool else "benchmark_model"
        )

    @override
    def busy(self) -> Load:
        state = self._state()
        load = self._clock(state).since(self._since, cores=self.host.cores)
        return Load(
            load.others, load.stolen, facts.causes(state, [core.index for core in self._chosen])
        )

    @override
    def prepare(self, subject: Subject) -> PhoneRunner:
        return PhoneRunner(subject, self, self._setting)

    def keep(self, file: Path) -> str:
        """Send `file` to the phone under its digest, once, and see that it arrived.

        Give its path there.

        Raises:
            MeasureFailed: (kind `load`) it is not here; (kind `device`) it did not arrive as it
                left.
        """
        if not file.is_file():
            raise MeasureFailed(f"no such file: {file}", kind="load")
        sha256 = digest_file(file)
        if sha256 not in self._kept:
            target = f"{self._folder}/{sha256}"
            self._adb.push(file, target, self._setting.timeout_s)
            self._arrived(file.name, target, sha256)
            self._kept[sha256] = target
        return self._kept[sha256]

    def _arrived(self, name: str, target: str, sha256: str) -> None:
        if not self._has("sha256sum"):
            return
        found = self._shell(f"sha256sum {target}").out.partition(" ")[0].strip()
        if found != sha256:
            raise MeasureFailed(
                f"{name} arrived on the phone as sha256:{found or 'nothing'}, expected"
                f" sha256:{sha256}",
                kind="device",
            )

    def measure(self, lines: Sequence[Sequence[str]]) -> str:
        """Run the tool once for each of `lines` (its arguments), pinned, one after the other.

        Give all it printed.

        Raises:
            MeasureFailed: it crashed, failed, hung or was lost; kinds as in `MEASURE_FAILURES`.
        """
        command = "; ".join(f"{self._prefix()}{shlex.join(line)} 2>&1 || exit $?" for line in lines)
        said = self._shell(
            f"cd {self._folder}; {command}; echo {facts.MARK}; times",
            self._setting.timeout_s + _GRACE_S,
        )
        output, _, times = said.text.partition(facts.MARK)
        self._spent_s += facts.spent_s(times)
        if said.code in _TIMED_OUT and self._has("timeout"):
            raise MeasureFailed(
                f"no answer within {self._setting.timeout_s:g} s; the process was ended",
                kind="hang",
            )
        if said.code:
            raise benchmark_model.failure(said.code, said.text)
        return output

    @property
    def pinned(self) -> bool:
        """Whether the phone can keep the tool on the chosen cores."""
        return bool(self._chosen) and self._has("taskset")

    def _has(self, tool: str) -> bool:
        return tool in self._said.get("tools", "").split()

    def _prefix(self) -> str:
        tool = f"./{self._tool.sha256} " if self._tool else ""
        pin = f"taskset {facts.mask([core.index for core in self._chosen])} " if self.pinned else ""
        limit = f"timeout {self._setting.timeout_s:g} " if self._has("timeout") else ""
        return f"{limit}{pin}{tool}"

    def path(self, name: str) -> str:
        """Name a file in the session's folder."""
        return f"{self._folder}/{name}"

    def fetch(self, name: str) -> bytes:
        """Read a file that the tool wrote, and remove it there.

        Raises:
            MeasureFailed: (kind `runtime`) it is not there.
        """
        with tempfile.TemporaryDirectory(prefix="zoo-android-") as folder:
            here = Path(folder) / name
            try:
                self._adb.pull(self.path(name), here, self._setting.timeout_s)
            except MeasureFailed as error:
                raise MeasureFailed(
                    f"benchmark_model wrote no {name}: {error.message}",
                    kind="runtime",
                    hint=tool_phone.WHICH,
                ) from error
            self._shell(f"rm -f {self.path(name)}")
            return here.read_bytes()

    def _shell(self, command: str, timeout_s: float = QUESTION_S) -> Said:
        return self._adb.shell(command, timeout_s)

    def _state(self) -> dict[str, str]:
        return self._ask(facts.STATE)

    def _ask(self, questions: Mapping[str, str]) -> dict[str, str]:
        said = self._shell(facts.ask(questions))
        found = facts.answers(said.out)
        if found.keys() != questions.keys():
            last = said.text.strip()[-80:] or "nothing"
            raise MeasureFailed(
                f"android:{self._adb.serial} did not answer all questions; it said: {last}",
                kind="device",
                hint="adb shell id",
            )
        return found

    def _clock(self, state: dict[str, str]) -> Clock:
        return Clock.of(state.get("stat", ""), self._spent_s)
