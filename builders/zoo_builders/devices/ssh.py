"""`ssh:<host>`: another machine over OpenSSH, such as a Raspberry Pi or a server.

LiteRT with XNNPACK there, run by the agent of `zoo`.

One shared connection a session: its first channel is the keeper (an agent that describes the
    machine and keeps the files in a private
folder until the connection ends), and every contender is an agent process of its own, as on
`host-cpu`.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoo_builders.devices import DEVICES, Found, Setting, Subject
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation, Ended
from zoo_builders.devices.agent.runner import AgentContender, Where
from zoo_builders.devices.host import Load, slug
from zoo_builders.devices.ssh_target import Target, explain
from zoo_builders.tflite import litert
from zoo_client.settings import Settings
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.files import digest_file
from zoo_registry.model.record import Host

_LONGEST_SOCKET = 80
"""ssh refuses longer paths of its socket (the system takes some 104 characters.

And ssh adds 17).
"""

_GOODBYE_S = 2.0


class Ssh:
    """Another machine over OpenSSH.

    Needs `ssh` here, a key it accepts, and `pip install 'edgezoo[bench]'` there (`ZOO_SSH_AGENT`).
    """

    name = "ssh"
    runtime = litert.RUNTIME
    kernels: tuple[litert.Kernels, ...] = ("xnnpack", "builtin", "reference")

    def found(self) -> Sequence[Found]:
        """Give one line: machines are named by hand, and none is looked for."""
        if shutil.which("ssh") is None:
            return (
                Found(
                    "ssh:<host>",
                    missing="OpenSSH's client (ssh)",
                    hint="apt install openssh-client",
                ),
            )
        return (
            Found(
                "ssh:<host>",
                missing="its name: any machine that ssh reaches",
                hint="zoo bench FILE --device ssh:me@raspberrypi.local",
            ),
        )

    def connect(self, setting: Setting) -> "Remote":
        """Reach the machine and have it described.

        A session uses its last (fastest) `threads` cores.

        Raises:
            Unsupported: no machine is named, `ssh` is not here, the agent is not there or of
                another version, or too few cores.
            MeasureFailed: (kind `device`) it cannot be reached or does not let us in.
        """
        target, binary = Target.parse(setting.device), shutil.which("ssh")
        if binary is None:
            raise Unsupported(
                "OpenSSH's client (ssh) is not installed here", hint="apt install openssh-client"
            )
        remote = Remote(setting, target, binary, Settings.read().ssh_agent)
        try:
            remote.reach()
        except BaseException:
            remote.leave()
            raise
        return remote


class Remote:
    """A connected machine; `reach` before anything else, `leave` at the end."""

    def __init__(self, setting: Setting, target: Target, binary: str, command: str) -> None:
        self._setting, self._target, self._binary, self._command = setting, target, binary, command
        self._folder = Path(tempfile.mkdtemp(prefix="zoo-ssh-"))
        self._keeper = self._talk(str(target.host), master=True)
        self._about: dict[str, Any] = {}
        self._kept: dict[str, str] = {}
        self._spent_s = 0.0

    def reach(self) -> None:
        """Start the keeper, see that it understands us, and have the machine described.

        Raises:
            Unsupported: as `Ssh.connect`.
            MeasureFailed: as `Ssh.connect`.
        """
        self._keeper.__enter__()
        try:
            greeting = self._keeper.answer()
        except MeasureFailed as error:
            ended = self._keeper.ended() if error.kind == "died" else Ended(None, "")
            raise explain(self._target, self._command, ended, error) from error
        self._see_version(greeting)
        self._about = self._keeper.ask("host")
        if len(self._about["cores"]) < self._setting.threads:
            message = (
                f"{self._setting.threads} threads on {len(self._about['cores'])} cores of"
                f" {self._target.host}"
            )
            raise Unsupported(message, hint="ask for fewer threads")

    def _see_version(self, greeting: dict[str, Any]) -> None:
        from importlib.metadata import version

        if greeting.get("agent") != child.AGENT:
            here, there = version("edgezoo"), greeting.get("edgezoo", "an unknown version")
            message = (
                f"edgezoo {there} on {self._target.host} speaks agent {greeting.get('agent', 1)},"
                f" edgezoo {here} here {child.AGENT}"
            )
            raise Unsupported(
                message,
                hint=(
                    f'ssh {self._target.typed} "python3 -m pip install --upgrade'
                    f" 'edgezoo[bench]=={here}'\""
                ),
            )

    def leave(self) -> None:
        """End the keeper, which removes the files there, and with it the connection."""
        self._keeper.part()
        self._keeper.__exit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def host(self) -> Host:
        """That machine, as it describes itself."""
        return Host.model_validate(self._about["host"])

    @property
    def known_as(self) -> str:
        """What it is to others: its processor or board.

        Whose it is and how it is reached is nobody's business.
        """
        return f"ssh:{slug(self.host.cpu)}"

    @property
    def version(self) -> str:
        """Version of LiteRT there."""
        return str(self._about["runtime_version"])

    def busy(self) -> Load:
        """How busy that machine was with other things since connecting.

        The agents of this session do not count.

        Raises:
            MeasureFailed: the connection is lost.
        """
        return Load(**self._keeper.ask("busy", own_s=self._spent_s))

    def prepare(self, subject: Subject) -> "RemoteContender":
        """Give an agent there that will run `subject`.

        Its files go there when it is loaded, once a session.
        """
        options = {"threads": self._setting.threads, "kernels": self._setting.kernels}
        return RemoteContender(
            subject,
            self._talk(subject.file.name, master=False),
            self._where,
            options,
            self._note_spent,
        )

    def _where(self, subject: Subject) -> Where:
        cores = self._about["cores"][-self._setting.threads :]
        return Where(self._keep(subject.file), self._keep(subject.golden), cores)

    def _keep(self, file: Path) -> str:
        try:
            sha256 = digest_file(file)
        except OSError as error:
            raise MeasureFailed(f"{file} cannot be read: {error.strerror}", kind="load") from error
        if sha256 not in self._kept:
            self._kept[sha256] = self._keeper.hand_over(file, sha256)
        return self._kept[sha256]

    def _note_spent(self, seconds: float) -> None:
        self._spent_s += seconds

    def _talk(self, about: str, *, master: bool) -> Conversation:
        socket = self._folder / "c"
        control = socket if len(os.fspath(socket)) < _LONGEST_SOCKET else None
        command = self._target.command(self._binary, self._command, control, master=master)
        return Conversation(command, about, self._setting.timeout_s)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave."""
        self.leave()


class RemoteContender(AgentContender):
    """An agent there; at its end it tells the CPU time it took.

    So that the session does not count itself as load.
    """

    def __init__(
        self, subject: Subject, talk: Conversation, where: Any, options: dict[str, Any], note: Any
    ) -> None:
        super().__init__(subject, talk, where, options)
        self._note = note

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ask what it took, let it end by itself, or else end the channel.

        The agent notices and ends.
        """
        self._talk.timeout_s = min(self._talk.timeout_s, _GOODBYE_S)
        if error is None:
            with suppress(MeasureFailed, KeyError):
                self._note(float(self._talk.ask("spent")["cpu_s"]))
        self._talk.part(within_s=_GOODBYE_S)
        super().__exit__(kind, error, trace)


DEVICES.add(Ssh.name, Ssh())
