"""Whom `ssh:…` names, and the command that reaches it over plain OpenSSH. Pure.

    ssh:pi   ssh:me@pi   ssh:me@pi:2222   ssh:me@[fe80::1]:2222

What stands there is given to `ssh` as options of its own and after `--`: nothing in a name can
become an option or a command. Aliases, keys, jump hosts and ports of ~/.ssh/config hold, as with
`ssh` itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from zoo_builders.devices.agent.client import Ended
from zoo_registry.model.errors import MeasureFailed, Unsupported, ZooError

_TARGET = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.\\-]*)@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_HIGHEST_PORT = 65535
_CONNECT_S = 15
_NOT_FOUND, _SSH_ITSELF = 127, 255

_OPTIONS = {
    "BatchMode": "yes",  # never ask: a session runs unattended
    "ConnectTimeout": str(_CONNECT_S),
    "ServerAliveInterval": "5",  # a cable that was pulled is noticed within 15 s
    "ServerAliveCountMax": "3",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A machine as OpenSSH names it; empty fields are left to ~/.ssh/config."""

    host: str
    user: str = ""
    port: int = 0

    @classmethod
    def parse(cls, device: str) -> Self:
        """Read `ssh:[user@]host[:port]`.

        Raises:
            Unsupported: it is none.
        """
        text = device.partition(":")[2]
        found = _TARGET.fullmatch(text)
        if found is None or int(found["port"] or 1) not in range(1, _HIGHEST_PORT + 1):
            what = f"{text!r} is no machine" if text else "no machine is named"
            raise Unsupported(
                f"{what}: expected ssh:[user@]host[:port]",
                hint="zoo bench FILE --device ssh:me@raspberrypi.local",
            )
        return cls(found["name"] or found["v6"], found["user"] or "", int(found["port"] or 0))

    @property
    def typed(self) -> str:
        """Spell it as one types it after `ssh`."""
        port = f"-p {self.port} " if self.port else ""
        return f"{port}{self.user}@{self.host}" if self.user else f"{port}{self.host}"

    def command(
        self, binary: str, remote: str, control: Path | None, *, master: bool
    ) -> tuple[str, ...]:
        """Give the command that runs `remote` there.

        Args:
            binary: path of `ssh`.
            remote: what the shell there is to run.
            control: socket of the shared connection; None = a connection of its own.
            master: whether this one makes the shared connection, or rides along.
        """
        options = dict(_OPTIONS)
        if control is not None:
            options |= {
                "ControlPath": str(control),
                "ControlMaster": "yes" if master else "no",
                "ControlPersist": "no",
            }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return (binary, "-T", *flags, *port, *user, "--", self.host, remote)


def explain(target: Target, remote: str, ended: Ended, otherwise: MeasureFailed) -> ZooError:
    """Say why there is no agent at the other end.

    The known reasons of OpenSSH and of the shell there, each with what to type.
    """
    where, words = f"ssh {target.typed}", ended.words
    if ended.code == _SSH_ITSELF:
        return MeasureFailed(
            f"{where} failed: {_last_line(words)}", kind="device", hint=_what_to_do(target, words)
        )
    if ended.code == _NOT_FOUND or "No module named" in words:
        return Unsupported(
            f"`{remote}` cannot be run on {target.host}: {_last_line(words)}",
            hint=(
                f"ssh {target.typed} \"python3 -m pip install 'edgezoo[bench]'\"   # or name its"
                " place: export ZOO_SSH_AGENT='/home/me/venv/bin/zoo bench --agent'"
            ),
        )
    return MeasureFailed(
        f"{where}: {otherwise.message}",
        kind="device",
        hint=f"ssh {target.typed} '{remote}' </dev/null   # must greet and end",
    )


def _what_to_do(target: Target, words: str) -> str:
    known: Sequence[tuple[str, str]] = (
        (
            "Host key verification failed",
            f"ssh {target.typed} true   # compare the key it shows, then answer yes once",
        ),
        (
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            f"ssh-keygen -R {target.host}   # only if you know why the key changed",
        ),
        (
            "Permission denied",
            f"ssh-copy-id {target.typed}   # sessions run unattended, with a key and no password",
        ),
    )
    return next(
        (hint for sign, hint in reversed(known) if sign in words), f"ssh -v {target.typed} true"
    )


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "without a word"
