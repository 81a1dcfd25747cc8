"""A phone behind an adb server on loopback that speaks the real protocol (SERVICES.TXT.

SYNC.TXT and shell_protocol.h of Android's adb).

The phone is a folder: its shell is this machine's, with the phone's paths mapped into the folder,
    and its `benchmark_model` is a program
that takes the real one's flags, runs the file by LiteRT here, and prints in the real one's words:
outputs and times are real ones.
"""

import os
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

SERIAL = "R5CT30XYZ"
FEATURES = "shell_v2,cmd"
VERSION = 0x29
"""Of the protocol between adb and its server, 41: adb ends a server of another one."""

_STDOUT, _STDERR, _EXIT = 1, 2, 3
_TOOL = Path(__file__).with_name("benchmark_model.py")
PROPERTIES = {
    "ro.product.cpu.abi": "x86_64",
    "ro.product.manufacturer": "Acme",
    "ro.product.model": "Test Phone 7",
    "ro.soc.manufacturer": "Acme",
    "ro.soc.model": "AC7000",
    "ro.build.version.release": "14",
    "ro.serialno": SERIAL,
}


class Folder:
    """The phone's own side: files, properties, heat, battery; and what a test wants to go wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.properties = dict(PROPERTIES)
        self.thermal, self.level, self.temperature, self.saver, self.cap_khz = 0, 80, 310, "0", 0
        self.cores = dict.fromkeys(sorted(os.sched_getaffinity(0)), 1_800_000)
        self.cores[max(self.cores)] = 2_800_000
        for name in ("tmp", "bin", "cpu"):
            (folder / name).mkdir()
        self.write()

    def write(self) -> None:
        """Put everything into files, as the shell will find it."""
        for name, text in {
            "getprop": "\n".join(f"[{key}]: [{value}]" for key, value in self.properties.items()),
            "thermalservice": f"IsStatusOverride: false\nThermal Status: {self.thermal}\n",
            "battery": (
                f"Current Battery Service state:\n  USB powered: true\n  level: {self.level}\n "
                f" temperature: {self.temperature}\n"
            ),
            "cpuinfo": (
                "processor\t: 0\nFeatures\t: fp asimd aes asimddp asimdhp i8mm\nCPU part\t: 0xd44\n"
            ),
            "meminfo": "MemTotal:        7812345 kB\n",
        }.items():
            (self.folder / name).write_text(text)
        for core, khz in self.cores.items():
            clock = self.folder / "cpu" / f"cpu{core}" / "cpufreq"
            clock.mkdir(parents=True, exist_ok=True)
            (clock / "cpuinfo_max_freq").write_text(f"{khz}\n")
            (clock / "scaling_max_freq").write_text(f"{self.cap_khz or khz}\n")
            (clock / "scaling_governor").write_text("schedutil\n")
        self._command(
            "getprop",
            f'if [ $# = 0 ]; then cat {self.folder}/getprop; else sed -n "s/^\\[$1\\]:'
            f' \\[\\(.*\\)\\]/\\1/p" {self.folder}/getprop; fi',
        )
        self._command("dumpsys", f"cat {self.folder}/$1")
        self._command("settings", f"echo {self.saver}")

    def _command(self, name: str, line: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    @property
    def _places(self) -> dict[str, str]:
        own = {f"/proc/{name}": f"{self.folder}/{name}" for name in ("cpuinfo", "meminfo")}
        return {
            "/data/local/tmp": str(self.folder / "tmp"),
            "/sys/devices/system/cpu": f"{self.folder}/cpu",
            **own,
        }

    def here(self, text: str) -> str:
        """Say the phone's paths as this machine's."""
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def run(self, line: str) -> tuple[int, bytes, bytes]:
        """Run a line of shell as the phone would."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", self.here(line)],
            capture_output=True,
            env={**os.environ, "PATH": path},
            check=False,
        )
        return (
            done.returncode % 256 if done.returncode >= 0 else 128 - done.returncode,
            self._there(done.stdout),
            self._there(done.stderr),
        )

    def _there(self, data: bytes) -> bytes:
        for there, here in self._places.items():
            data = data.replace(here.encode(), there.encode())
        return data

    @property
    def left(self) -> list[Path]:
        """List what sessions left behind."""
        return list((self.folder / "tmp").iterdir())


class Server(socketserver.ThreadingTCPServer):
    """The adb server: `states` of the phones it knows by serial number.

    `fault` what is to go wrong.
    """

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, phone: Folder) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.phone, self.states, self.fault, self.features = phone, {SERIAL: "device"}, "", FEATURES
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def device(self) -> str:
        return f"android:{SERIAL}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away when they like."""


class _Client(socketserver.BaseRequestHandler):
    """One connection of an adb client."""

    server: Server

    def handle(self) -> None:
        transport = False
        while asked := self._request():
            self.server.asked.append(asked)
            if self.server.fault == "silent" and asked != "host:version":
                threading.Event().wait(30)
                return
            if not transport and asked.startswith(("host:transport", "host:tport")):
                transport = self._transport(asked)
            elif not transport:
                self._host(asked)
                return
            else:
                self._service(asked)
                return

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := self.request.recv(size - len(data))):
            data += piece
        if len(data) < size:
            raise ConnectionError
        return data

    def _request(self) -> str:
        return self._exactly(int(self._exactly(4), 16)).decode()

    def _say(self, word: str, text: str | None = None) -> None:
        self.request.sendall(
            word.encode() + (b"" if text is None else f"{len(text.encode()):04x}{text}".encode())
        )

    def _host(self, asked: str) -> None:
        what = re.sub(r"^host-serial:[^:]+:", "host:", asked)
        if self.server.fault == "garbage status" and what.startswith("host:devices"):
            self.request.sendall(b"\xff\xfe\x00\x00zzzz")
        elif self.server.fault == "garbage length" and what.startswith("host:devices"):
            self.request.sendall(b"OKAYzzzz")
        elif self.server.fault == "endless length" and what.startswith("host:devices"):
            self.request.sendall(b"OKAYffff")
        elif what == "host:version":
            self._say("OKAY", f"{VERSION:04x}")
        elif what in {"host:devices", "host:devices-l"}:
            self._say(
                "OKAY",
                "".join(self._line(serial, state) for serial, state in self.server.states.items()),
            )
        elif what in {"host:features", "host:host-features"}:
            self._say("OKAY", self.server.features)
        else:
            self._say("FAIL", f"unknown host service '{asked}'")

    @staticmethod
    def _line(serial: str, state: str) -> str:
        about = (
            " product:test model:Test_Phone_7 device:test transport_id:1"
            if state == "device"
            else " transport_id:1"
        )
        return f"{serial:<22} {state}{about}\n"

    def _transport(self, asked: str) -> bool:
        serial = asked.rpartition(":")[2]
        state = self.server.states.get(serial)
        if state != "device":
            self._say(
                "FAIL", f"device '{serial}' not found" if state is None else f"device {state}"
            )
            return False
        self._say("OKAY")
        if asked.startswith("host:tport"):
            self.request.sendall(struct.pack("<Q", 1))
        return True

    def _service(self, asked: str) -> None:
        kind, _, line = asked.partition(":")
        if kind == "sync":
            self._say("OKAY")
            self._sync()
        elif not kind.startswith("shell,v2"):
            self._say("FAIL", f"unknown service {kind}")
        elif self.server.fault == "shell fails":
            self._say("FAIL", "closed by the phone")
        else:
            self._say("OKAY")
            self._shell(line)

    def _shell(self, line: str) -> None:
        if self.server.fault == "wrong bytes" and line.startswith("sha256sum"):
            _spoil(self.server.phone.here(line).split()[-1])
        code, out, err = self.server.phone.run(line)
        for stream, data in ((_STDOUT, out), (_STDERR, err)):
            for start in range(0, len(data), 1 << 15):
                piece = data[start : start + (1 << 15)]
                self.request.sendall(struct.pack("<BI", stream, len(piece)) + piece)
        self.request.sendall(struct.pack("<BIB", _EXIT, 1, code))

    def _sync(self) -> None:
        while True:
            word, size = struct.unpack("<4sI", self._exactly(8))
            if word == b"QUIT":
                return
            path = self._exactly(size).decode()
            {b"STAT": self._stat, b"SEND": self._receive, b"RECV": self._send}[word](path)

    def _stat(self, path: str) -> None:
        try:
            found = Path(self.server.phone.here(path)).stat()
        except OSError:
            self.request.sendall(b"STAT" + struct.pack("<III", 0, 0, 0))
        else:
            self.request.sendall(
                b"STAT" + struct.pack("<III", found.st_mode, found.st_size, int(found.st_mtime))
            )

    def _receive(self, path: str) -> None:
        name, _, mode = path.rpartition(",")
        data = b""
        while (head := struct.unpack("<4sI", self._exactly(8)))[0] == b"DATA":
            data += self._exactly(head[1])
            if self.server.fault == "gone while pushing":
                self.request.close()
                raise ConnectionError
        if self.server.fault == "push fails":
            message = b"couldn't create file: No space left on device"
            self.request.sendall(b"FAIL" + struct.pack("<I", len(message)) + message)
            return
        target = Path(self.server.phone.here(name))
        target.write_bytes(data)
        target.chmod(int(mode) & 0o777)
        self.request.sendall(b"OKAY" + struct.pack("<I", 0))

    def _send(self, path: str) -> None:
        data = Path(self.server.phone.here(path)).read_bytes()
        for start in range(0, len(data), 1 << 15):
            piece = data[start : start + (1 << 15)]
            self.request.sendall(b"DATA" + struct.pack("<I", len(piece)) + piece)
        self.request.sendall(b"DONE" + struct.pack("<I", 0))


def _spoil(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    data[-1] ^= 1
    Path(path).write_bytes(data)


def write_tool(path: Path, *, inside: Sequence[str] = (), before: str = "") -> Path:
    """Write a `benchmark_model` for the phone.

    Args:
        path: where to.
        inside: what its XNNPACK says of itself in a profile: kinds of operators, such as
            `Convolution (NCHW, F32) SPMM`.
        before: what it does first, a line of Python: to misbehave.
    """
    path.write_text(f"#!{sys.executable}\nINSIDE = {list(inside)!r}\n{before}\n{_TOOL.read_text()}")
    path.chmod(0o755)
    return path


@pytest.fixture
def adb_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An adb server with one phone, and the `adb` of this machine speaking to it.

    Skipped where adb is not installed, but not in CI.
    """
    if shutil.which("adb") is None:
        if os.environ.get("CI"):
            pytest.fail("adb is part of CI: apt install adb")
        pytest.skip("needs adb: apt install adb")
    (tmp_path / "phone").mkdir()
    with Server(Folder(tmp_path / "phone")) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
        yield server
        server.shutdown()


@pytest.fixture
def phone_here(adb_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The phone, and a `benchmark_model` for it."""
    monkeypatch.setenv("ZOO_BENCHMARK_MODEL", str(write_tool(tmp_path / "benchmark_model")))
    return adb_server


def nobody_listens() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
