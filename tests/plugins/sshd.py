"""A real OpenSSH server on loopback, with its own keys, run as whoever runs the tests.

And a wire to it that can be cut.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
AGENT = f"{sys.executable} -m zoo_builders.devices.agent.child"


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server; `bin` holds an `ssh` that reads this server's configuration instead of
    the user's.
    """

    folder: Path
    port: int
    pid: int

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def device(self) -> str:
        return f"ssh:127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True
    )


def _write(folder: Path, port: int) -> None:
    for name in ("host", "mine", "other"):
        _key(folder / name)
    shutil.copy(folder / "mine.pub", folder / "authorized_keys")
    key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"zoo-test {key}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile"
        f" none\nAuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication"
        " no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin"
        " yes\nMaxSessions 20\n"
    )
    (folder / "config").write_text(
        f"Host *\n  HostKeyAlias zoo-test\n  UserKnownHostsFile {folder}/known_hosts\n "
        f" GlobalKnownHostsFile none\n  IdentityFile {folder}/mine\n  IdentitiesOnly yes\n "
        " IdentityAgent none\n  StrictHostKeyChecking yes\n"
    )
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n'
    )
    (folder / "bin" / "ssh").chmod(0o755)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Start one; skipped where OpenSSH's server is not installed, but not in CI."""
    if SERVER is None or shutil.which("ssh") is None:
        if os.environ.get("CI"):
            pytest.fail("openssh-server is part of CI: apt install openssh-server")
        pytest.skip("needs OpenSSH's server: apt install openssh-server")
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    _write(folder, port)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [SERVER, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log
        ) as server,
    ):
        _await(port, folder / "log")
        yield Sshd(folder, port, server.pid)
        server.terminate()


def _await(port: int, log: Path) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"sshd did not start: {log.read_text()}")


@pytest.fixture
def ssh_here(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """Have `ssh` reach the server with its key, and find the agent there."""
    monkeypatch.setenv("PATH", f"{sshd.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("ZOO_SSH_AGENT", AGENT)
    return sshd


class Wire:
    """A loopback port that leads to another, until it is cut.

    By hand, or after so many bytes went up.
    """

    def __init__(self, target: int, cut_after: int | None = None) -> None:
        self._target, self._left = target, cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open += [near, far]
            threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        try:
            while data := source.recv(1 << 14):
                sink.sendall(data)
                if up and self._left is not None:
                    self._left -= len(data)
                    if self._left <= 0:
                        self.cut()
                        return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
