"""The machine a measurement is made on: its cores, and how busy it is.

What it is says `zoo_client.machine`. Standard library only, and cheap.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from zoo_builders.devices import Load
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.record import Host

T = TypeVar("T")


def fastest_cores(threads: int, where: str = "") -> list[int]:
    """Choose the `threads` fastest of the cores this process may use, as `usable_cores` has them.

    Raises:
        Unsupported: there are fewer.
    """
    return fastest(usable_cores(), threads, where)


def fastest(cores: Sequence[T], threads: int, where: str = "") -> list[T]:
    """Choose the last `threads` of cores that stand in the order of their speed.

    Raises:
        Unsupported: there are fewer; `where` says of what (` of pi`).
    """
    if max(len(cores), 1) < threads:
        raise Unsupported(
            f"{threads} threads on {len(cores)} cores{where}", hint="ask for fewer threads"
        )
    return list(cores[-threads:])


def usable_cores() -> list[int]:
    """List the cores this process may use, the fastest last.

    Their highest clock says which is fast, where the system tells it.
    """
    cores = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )
    return sorted(cores, key=_highest_clock)


def _highest_clock(core: int) -> int:
    text = _read(Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq"))
    return int(text) if text.isdecimal() else 0


def slug(name: str) -> str:
    """Spell a name of a machine so that it can stand in a device's name.

    `Raspberry Pi 4` is `raspberry-pi-4`.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"


def xnnpack_cpu(host: Host) -> str:
    """Name the CPU family as `xnnpack.CPUS` does; x86 stays x86_64.

    LiteRT's WebAssembly builds all use SIMD.
    """
    if host.arch.startswith("wasm"):
        return "wasm-simd"
    return "riscv" if host.arch.startswith("riscv") else host.arch


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Clock:
    """One look at the system's counters, in ticks; zeros where the system has none."""

    busy: int
    stolen: int
    total: int
    own: float

    @classmethod
    def look(cls) -> "Clock":
        """Read the counters now."""
        times = os.times()
        return cls.of(
            _read(Path("/proc/stat")),
            times.user + times.system + times.children_user + times.children_system,
        )

    @classmethod
    def of(cls, stat: str, own_s: float) -> "Clock":
        """Read counters from the text of /proc/stat; `own_s` are the CPU seconds that are ours."""
        fields: list[int] = []
        with suppress(ValueError, IndexError):
            fields = [int(value) for value in stat.splitlines()[0].split()[1:9]]
        user, nice, system, idle, waiting, irq, softirq, stolen = [*fields, *[0] * 8][:8]
        own = own_s * _ticks()
        return cls(
            user + nice + system + irq + softirq,
            stolen,
            sum((user, nice, system, idle, waiting, irq, softirq, stolen)),
            own,
        )

    def plus_own(self, seconds: float) -> "Clock":
        """Count as this process's own what its companions took."""
        return replace(self, own=self.own + seconds * _ticks())

    def since(self, before: "Clock", cores: int | None = None) -> Load:
        """Say how busy the machine was from `before` to this look; what is ours does not count.

        It has `cores` cores; None: this machine's.
        """
        total = self.total - before.total
        if total <= 0:
            return Load()
        others = max(0.0, (self.busy - before.busy) - (self.own - before.own))
        return Load(
            others / total * (cores or os.cpu_count() or 1), (self.stolen - before.stolen) / total
        )


def _ticks() -> int:
    try:
        return os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return 100
