"""The machine that this program runs on, described as measurements describe theirs.

Cheap, and nothing that names a person or a place.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo_registry.model.canonical import digest_of
from zoo_registry.model.measurement import Host
from zoo_registry.model.platform import Platform

FEATURES = (
    "sse4_1",
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_int8",
    "neon",
    "asimd",
    "asimddp",
    "asimdhp",
    "fphp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "sme",
    "sme2",
    "v",
)
"""Instruction sets that choose between kernels; a CPU's other flags do not matter here."""

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_ARM = {"aarch64": "arm64", "armv7l": "arm", "armv8l": "arm", "amd64": "x86_64"}


_CLOCKS = "cpu*/cpufreq/cpuinfo_max_freq"
_SYSTEM = Path("/sys/devices/system/cpu")
_ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd44": "Cortex-X1",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
"""`CPU part` of Arm's own cores → name; the Linux kernel's `arch/arm64/include/asm/cputype.h`."""

_MAC_FLAGS = {
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx1_0": "avx",
    "hw.optional.fma": "fma",
    "hw.optional.sse4_1": "sse4_1",
}
"""Key of macOS's `sysctl` → flag as Linux spells it."""


def here() -> Platform:
    """Say which class of machine this is; `known` is False where the system does not tell."""
    return Platform.of("host-cpu", describe())


def describe() -> Host:
    """Describe this machine. Fields that the system does not tell are empty."""
    info = _cpu_info()
    flags = flags_of(info)
    known: dict[str, Any] = {
        "cpu": (
            _model(info)
            or _board()
            or info.get("hardware")
            or _ARM_CORES.get(info.get("cpu part", ""))
            or platform.processor()
            or "unknown"
        ),
        "arch": _ARM.get(platform.machine().lower(), platform.machine().lower()),
        "cores": os.cpu_count() or 1,
        "features": tuple(feature for feature in FEATURES if feature in flags),
        "memory_gb": _memory_gb(),
        "os": f"{platform.system()} {platform.release().split('-')[0]}".strip(),
        "governor": _read(_GOVERNOR),
        "virtual": _virtual(flags),
    }
    clock = _clock_ghz(info, flags)
    return described(known | {"clock_ghz": clock} if clock else known)


def _model(info: Mapping[str, str]) -> str:
    """Give the model's name; `ARMv7 Processor rev 3 (v7l)` is none."""
    name = info.get("model name", "")
    return "" if name.startswith("ARMv") else name


def flags_of(info: Mapping[str, str]) -> set[str]:
    """List the instruction sets that a processor's description names, as Linux spells them.

    Of RISC-V the letters of `rv64imafdcv` are the flags.
    """
    letters = re.match(r"rv\d+([a-z]+)", info.get("isa", ""))
    return {*(info.get("flags") or info.get("features") or "").split(), *(letters or ["", ""])[1]}


def _clock_ghz(info: Mapping[str, str], flags: set[str]) -> float:
    """Give the highest clock of the fastest core; 0 where it is not told, or changes all the time.

    A virtual machine tells the clock that it counts time by.
    """
    highest = [int(text) for path in _SYSTEM.glob(_CLOCKS) if (text := _read(path)).isdecimal()]
    if highest:
        return round(max(highest) / 1e6, 1)
    steady = "hypervisor" in flags and "aperfmperf" not in flags
    with suppress(ValueError):
        return round(float(info.get("cpu mhz", "")) / 1e3, 1) if steady else 0.0
    return 0.0


def described(known: Mapping[str, Any]) -> Host:
    """Make a host of what is known of it; its fingerprint is over just that."""
    plain = {**known, "features": list(known["features"])}
    return Host.model_validate({**known, "fingerprint": digest_of(plain)})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cpu_info() -> dict[str, str]:
    """Read how the system describes the last of its cores: of unlike ones, a fast one."""
    if platform.system() == "Darwin":
        return mac_info(_sysctl())
    return cpu_info(_read(Path("/proc/cpuinfo")))


def cpu_info(text: str) -> dict[str, str]:
    """Read /proc/cpuinfo: the last core, and what is said of all of them, in lower case."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


def mac_info(text: str) -> dict[str, str]:
    """Read `sysctl machdep.cpu hw.optional` as if it were /proc/cpuinfo."""
    said = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = [flag for key, flag in _MAC_FLAGS.items() if said.get(key) == "1"]
    return {"model name": said.get("machdep.cpu.brand_string", ""), "flags": " ".join(flags)}


def _sysctl() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        return done.stdout
    return ""


def _board() -> str:
    """Name the board, where the kernel is told of it: `Raspberry Pi 4 Model B Rev 1.4`."""
    return _read(Path("/proc/device-tree/model")).rstrip("\0")


def _memory_gb() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (OSError, ValueError):
        return 0.0


def _virtual(flags: set[str]) -> str:
    """Say what the machine runs inside, as far as it shows."""
    if Path("/.dockerenv").exists() or "container" in os.environ:
        return "container"
    if "hypervisor" in flags:
        return _read(Path("/sys/class/dmi/id/sys_vendor")) or "virtual machine"
    return ""
