"""An arm64 machine without one.

QEMU's user mode, Debian's arm64 Python, and LiteRT's arm64 wheel, in one folder of the cache.

    <cache>/tools/emulated-arm64/
        root/     a Python with the C libraries it needs, unpacked from packages of this machine's
                  own sources; nothing is installed
        site/     LiteRT, numpy and flatbuffers for arm64, of the versions installed here
        ready     {"python": path below root, "litert": version}; written last

QEMU itself is of the system (`qemu-aarch64` in PATH), version 10 or newer: 7.2 crashes in LiteRT's
kernels.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import zoo_builders
import zoo_client
import zoo_registry
from zoo_client.settings import Settings
from zoo_registry.model.errors import Unreachable, Unsupported
from zoo_registry.model.files import write_bytes

OLDEST_QEMU = 10
CPU = "cortex-a72"
INSTALL = "zoo devices install emulated-arm64"
INSTALL_QEMU = "apt install qemu-user   # on Debian 12: apt install -t bookworm-backports qemu-user"

_BINARY = "qemu-aarch64"
_DEBS = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "libgcc-s1")
_WHEELS = ("ai-edge-litert", "numpy", "flatbuffers")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64", "any")
_PATIENCE_S = 900.0
_LAST_WORDS = 400

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Emulator:
    """What is needed to run Python with LiteRT on an emulated arm64 processor."""

    qemu: str
    qemu_version: str
    folder: Path
    python: str
    litert: str

    @classmethod
    def find(cls, settings: Settings) -> Self:
        """Find all parts.

        Raises:
            Unsupported: one is missing; the hint brings it.
        """
        qemu, qemu_version = find_qemu()
        folder = where(settings)
        try:
            about = json.loads((folder / "ready").read_bytes())
            return cls(qemu, qemu_version, folder, str(about["python"]), str(about["litert"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unsupported(
                f"an arm64 Python with LiteRT is not in {folder}", hint=INSTALL
            ) from error

    def command(self, module: str) -> tuple[str, ...]:
        """Give the command that runs a module of ours there."""
        root = self.folder / "root"
        return (
            self.qemu,
            "-L",
            str(root),
            "-cpu",
            CPU,
            str(root / self.python),
            "-B",
            "-m",
            module,
        )

    def environment(self) -> Mapping[str, str]:
        """Give the environment it runs in: its own packages and ours, nothing of this machine's."""
        ours = {
            str(Path(package.__path__[0]).parent)
            for package in (zoo_builders, zoo_client, zoo_registry)
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "LD_"))
        }
        return {**kept, "PYTHONPATH": os.pathsep.join([str(self.folder / "site"), *sorted(ours)])}


def where(settings: Settings) -> Path:
    """Name the folder of its parts."""
    return settings.cache / "tools" / "emulated-arm64"


def find_qemu() -> tuple[str, str]:
    """Find QEMU and its version.

    Raises:
        Unsupported: it is not there, or too old.
    """
    qemu = shutil.which(_BINARY)
    if qemu is None:
        raise Unsupported(f"QEMU's user mode ({_BINARY}) is not installed", hint=INSTALL_QEMU)
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)[\d.]*", said)
    if found is None or int(found[1]) < OLDEST_QEMU:
        what = found[0] if found else "of an unknown version"
        raise Unsupported(
            f"QEMU {what} crashes in LiteRT's kernels: {OLDEST_QEMU} or newer is needed",
            hint=INSTALL_QEMU,
        )
    return qemu, found[0].removeprefix("version ")


def install(settings: Settings, tell: Tell) -> Path:
    """Bring Python and LiteRT for arm64, with this machine's own apt and pip; gives the folder.

    Raises:
        Unsupported: no QEMU, no apt, or no pip.
        Unreachable: apt or pip could not fetch something; with its last words.
    """
    find_qemu()
    for program, hint in (
        ("apt-get", "a Debian or Ubuntu machine; see docs/latency.md"),
        ("dpkg-deb", "apt install dpkg"),
    ):
        if shutil.which(program) is None:
            raise Unsupported(f"{program} is not here", hint=hint)
    target = where(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".emulated-", dir=target.parent) as folder:
        fresh = Path(folder) / "fresh"
        _bring_python(fresh / "root", Path(folder), tell)
        python = _python_in(fresh / "root")
        _bring_wheels(fresh / "site", python, tell)
        write_bytes(
            fresh / "ready",
            json.dumps({"python": python, "litert": version("ai-edge-litert")}).encode(),
        )
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
    return target


def _bring_python(root: Path, work: Path, tell: Tell) -> None:
    """Unpack Python and what it links to.

    Apt keeps its books in `work`, so that this machine's stay as they are.
    """
    state, cache = work / "state", work / "cache"
    for needed in (state / "lists" / "partial", cache / "archives" / "partial", root):
        needed.mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": str(state),
        "Dir::State::status": str(state / "status"),
        "Dir::Cache": str(cache),
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    apt = [
        "apt-get",
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
    ]
    tell("the lists of packages for arm64")
    _run([*apt, "-qq", "update"])
    tell(f"packages for arm64: {', '.join(_DEBS)}")
    _run([*apt, "-qq", "-y", "--no-install-recommends", "--download-only", "install", *_DEBS])
    for package in sorted((cache / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)])


def _python_in(root: Path) -> str:
    found = sorted(
        path
        for path in (root / "usr" / "bin").glob("python3.*")
        if re.fullmatch(r"python3\.\d+", path.name)
    )
    if not found:
        raise Unreachable("the packages for arm64 brought no Python", hint=INSTALL)
    return str(found[-1].relative_to(root))


def _bring_wheels(site: Path, python: str, tell: Tell) -> None:
    number = Path(python).name.removeprefix("python")
    wanted = [f"{name}=={_own_version(name)}" for name in _WHEELS]
    tell(f"wheels for arm64: {', '.join(wanted)}")
    platforms = [part for name in _PLATFORMS for part in ("--platform", name)]
    choice = [
        "--only-binary=:all:",
        "--no-deps",
        "--python-version",
        number,
        "--implementation",
        "cp",
        *platforms,
    ]
    _run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site), *choice, *wanted]
    )


def _own_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise Unsupported(
            f"{name} is not installed here", hint="pip install 'edgezoo[build]'"
        ) from error


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"{command[0]} did not end well: {error}", hint=INSTALL) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-_LAST_WORDS:]
        raise Unreachable(
            f"{Path(command[0]).name} ended with code {done.returncode}: {words}", hint=INSTALL
        )
