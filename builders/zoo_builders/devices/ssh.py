"""`ssh:<host>`: another machine over OpenSSH, such as a Raspberry Pi or a server.

It runs LiteRT with XNNPACK by the agent of `zoo`.

One shared connection a session: its first channel is the keeper (an agent that describes the
machine and keeps the files in a private folder until the connection ends), and every runner is an
agent process of its own, as on `host-cpu`.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from typing_extensions import override

from zoo_builders.devices import DEVICES, Device, Found, Load, Place, Setting, Subject, host
from zoo_builders.devices.agent import child
from zoo_builders.devices.agent.client import Conversation, Ended
from zoo_builders.devices.agent.runner import AgentRunner, load_order
from zoo_builders.devices.ssh_target import Target, explain
from zoo_builders.tflite import litert
from zoo_client.settings import Settings
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.files import digest_file
from zoo_registry.model.record import Host

_LONGEST_SOCKET = 80
"""ssh refuses longer paths of its socket: the system takes some 104 letters, and ssh adds 17."""

_GOODBYE_S = 2.0


class Ssh(Device):
    """Another machine over OpenSSH.

    It needs `ssh` here, a key it accepts, and `pip install 'edgezoo[bench]'` there
    (`ZOO_SSH_AGENT`).
    """

    name = "ssh"
    runtime = litert.RUNTIME
    kernels = ("xnnpack", "builtin", "reference")

    @override
    def found(self) -> Sequence[Found]:
        missing, hint = (
            ("OpenSSH's client (ssh)", "apt install openssh-client")
            if shutil.which("ssh") is None
            else (
                "its name: any machine that ssh reaches",
                "zoo bench FILE --device ssh:me@raspberrypi.local",
            )
        )
        return (Found("ssh:<host>", missing=missing, hint=hint),)

    @override
    def connect(self, setting: Setting) -> "Remote":
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


class Remote(Place):
    """A connected machine; `reach` before anything else, `leave` at the end."""

    def __init__(self, setting: Setting, target: Target, binary: str, command: str) -> None:
        self._setting, self._target, self._binary, self._command = setting, target, binary, command
        self._folder = Path(tempfile.mkdtemp(prefix="zoo-ssh-"))
        self._keeper = self._talk(str(target.host), master=True)
        self._about: dict[str, Any] = {}
        self._cores: list[int] = []
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
        self._cores = host.fastest(
            self._about["cores"], self._setting.threads, f" of {self._target.host}"
        )

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

    @override
    def leave(self) -> None:
        self._keeper.part()  # the keeper removes the files there, and its end is the connection's
        self._keeper.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    @override
    def host(self) -> Host:
        return Host.model_validate(self._about["host"])

    @property
    @override
    def known_as(self) -> str:
        return f"ssh:{host.slug(self.host.cpu)}"

    @property
    @override
    def version(self) -> str:
        return str(self._about["runtime_version"])

    @override
    def busy(self) -> Load:
        return Load(**self._keeper.ask("busy", own_s=self._spent_s))

    @override
    def prepare(self, subject: Subject) -> "RemoteRunner":
        talk = self._talk(subject.file.name, master=False)
        return RemoteRunner(talk, lambda: self._order(subject), self._note_spent)

    def _order(self, subject: Subject) -> dict[str, Any]:
        """Send the files, once a session, and say where they lie there."""
        there = {"file": self._keep(subject.file), "golden": self._keep(subject.golden)}
        return load_order(subject, self._setting, cores=self._cores) | there

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


class RemoteRunner(AgentRunner):
    """An agent there, which tells at its end the CPU time it took.

    The session then does not count itself as load.
    """

    def __init__(
        self,
        talk: Conversation,
        order: Callable[[], Mapping[str, Any]],
        note: Callable[[float], None],
    ) -> None:
        super().__init__(talk, order)
        self._note = note

    def __exit__(self, *raised: object) -> None:
        """Ask what it took, let it end by itself, or else end the channel.

        The agent notices and ends.
        """
        self._talk.timeout_s = min(self._talk.timeout_s, _GOODBYE_S)
        if not any(raised):
            with suppress(MeasureFailed, KeyError):
                self._note(float(self._talk.ask("spent")["cpu_s"]))
        self._talk.part(within_s=_GOODBYE_S)
        super().__exit__(*raised)


DEVICES.add(Ssh.name, Ssh())
