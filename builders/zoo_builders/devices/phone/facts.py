"""What an Android phone says of itself, read from the output of one shell line.

Processor, cores, heat, power. Pure.

Names nobody: no serial number, no build fingerprint, no account.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo_client.machine import FEATURES, described
from zoo_registry.model.record import Host

MARK = "--zoo--"
_CPU = "/sys/devices/system/cpu"
QUESTIONS: Mapping[str, str] = {
    "properties": "getprop",
    "cpuinfo": "cat /proc/cpuinfo",
    "meminfo": "cat /proc/meminfo",
    "cores": (
        f"for c in {_CPU}/cpu[0-9]*; do echo $c $(cat $c/online 2>/dev/null || echo 1) $(cat"
        " $c/cpufreq/cpuinfo_max_freq 2>/dev/null || echo 0) $(cat $c/cpufreq/scaling_max_freq"
        " 2>/dev/null || echo 0) $(cat $c/cpufreq/scaling_governor 2>/dev/null || echo -); done"
    ),
    "tools": "for t in taskset timeout sha256sum; do command -v $t >/dev/null && echo $t; done",
}
STATE: Mapping[str, str] = {
    "thermal": "dumpsys thermalservice",
    "battery": "dumpsys battery",
    "saver": "settings get global low_power",
    "stat": "cat /proc/stat",
    "cores": QUESTIONS["cores"],
}

_ARCH = {
    "arm64-v8a": "arm64",
    "armeabi-v7a": "arm",
    "armeabi": "arm",
    "x86_64": "x86_64",
    "x86": "x86",
    "riscv64": "riscv64",
}
_PROPERTY = re.compile(r"\[([^\]]+)\]: \[([^\]]*)\]")
_CORE = re.compile(rf"{_CPU}/cpu(\d+) (\d+) (\d+) (\d+) (\S+)")
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_HOT_BATTERY_C = 40.0
_LOW_BATTERY = 20


@dataclass(frozen=True, slots=True)
class Core:
    """A core: clocks in kHz, 0 where the system does not tell.

    `allowed_khz` is what it may reach now.
    """

    index: int
    highest_khz: int
    allowed_khz: int
    governor: str


def ask(questions: Mapping[str, str]) -> str:
    """Spell questions as one line of shell; `answers` takes its output apart.

    A question that fails is answered by nothing.
    """
    return "; ".join(f"echo {MARK}{name}; ({line}) 2>/dev/null" for name, line in questions.items())


def answers(output: str) -> dict[str, str]:
    """Take apart what `ask`'s line gave: the answers by name, as printed."""
    found: dict[str, str] = {}
    for part in output.replace("\r\n", "\n").split(MARK)[1:]:
        name, _, text = part.partition("\n")
        found[name.strip()] = text
    return found


def properties(text: str) -> dict[str, str]:
    """Read `getprop`."""
    return dict(_PROPERTY.findall(text))


def cores(text: str) -> list[Core]:
    """Read the cores that are switched on, the fastest last."""
    found = [
        Core(int(index), int(highest), int(allowed), governor)
        for index, on, highest, allowed, governor in _CORE.findall(text)
        if int(on)
    ]
    return sorted(found, key=lambda core: (core.highest_khz, core.index))


def abi(said: Mapping[str, str]) -> str:
    """Name the phone's first ABI, such as `arm64-v8a`; empty when it does not say."""
    return properties(said.get("properties", "")).get("ro.product.cpu.abi", "")


def describe(said: Mapping[str, str], chosen: Sequence[Core]) -> Host:
    """Describe the phone; the governor is that of the cores which will run."""
    known_as, info = properties(said.get("properties", "")), said.get("cpuinfo", "")
    flags = set(
        " ".join(re.findall(r"^(?:Features|flags)\s*:\s*(.*)$", info, re.MULTILINE)[:1]).split()
    )
    memory = re.search(r"MemTotal:\s+(\d+) kB", said.get("meminfo", ""))
    known: dict[str, Any] = {
        "cpu": _chip(known_as),
        "arch": _ARCH.get(abi(said), abi(said) or "unknown"),
        "cores": len(cores(said.get("cores", ""))) or 1,
        "features": tuple(feature for feature in FEATURES if feature in flags),
        "memory_gb": round(int(memory[1]) * 1024 / 1e9, 1) if memory else 0.0,
        "os": f"Android {known_as.get('ro.build.version.release', '')}".strip(),
        "governor": ", ".join(sorted({core.governor for core in chosen} - {"-"})),
        "virtual": (
            "emulator"
            if "1" in (known_as.get("ro.kernel.qemu"), known_as.get("ro.boot.qemu"))
            else ""
        ),
    }
    return described(known)


def _chip(known_as: Mapping[str, str]) -> str:
    """Name chip and phone: `Qualcomm SM8550 (Xiaomi 13)`; older systems only tell the board."""
    chip = " ".join(
        filter(None, (known_as.get("ro.soc.manufacturer", ""), known_as.get("ro.soc.model", "")))
    )
    chip = (
        chip
        or known_as.get("ro.board.platform", "")
        or known_as.get("ro.hardware", "")
        or "unknown"
    )
    phone = " ".join(
        filter(
            None,
            (known_as.get("ro.product.manufacturer", ""), known_as.get("ro.product.model", "")),
        )
    )
    return f"{chip} ({phone})" if phone else chip


def causes(said: Mapping[str, str], chosen: Sequence[int]) -> tuple[str, ...]:
    """List why what is measured now is not what the phone can do.

    Heat, capped clocks, saving power.
    """
    return tuple(
        filter(
            None,
            (
                _thermal(said.get("thermal", "")),
                _capped(said.get("cores", ""), chosen),
                *_power(said),
            ),
        )
    )


def _thermal(text: str) -> str:
    found = re.search(r"Thermal Status:\s*(\d+)", text)
    status = int(found[1]) if found else 0
    if not status:
        return ""
    return (
        f"heat: the phone throttles (thermal status {status},"
        f" {_THERMAL[min(status, len(_THERMAL) - 1)]})"
    )


def _capped(text: str, chosen: Sequence[int]) -> str:
    for core in cores(text):
        if core.index in chosen and 0 < core.allowed_khz < core.highest_khz:
            return (
                f"clock: core {core.index} may reach {core.allowed_khz // 1000} of its"
                f" {core.highest_khz // 1000} MHz"
            )
    return ""


def _power(said: Mapping[str, str]) -> list[str]:
    battery, found = said.get("battery", ""), []
    if said.get("saver", "").strip() == "1":
        found.append("power: battery saver is on")
    level = re.search(r"^\s*level:\s*(\d+)", battery, re.MULTILINE)
    if level and int(level[1]) < _LOW_BATTERY:
        found.append(f"power: the battery is at {level[1]} %")
    heat = re.search(r"^\s*temperature:\s*(\d+)", battery, re.MULTILINE)
    if heat and int(heat[1]) / 10 >= _HOT_BATTERY_C:
        found.append(f"heat: the battery has {int(heat[1]) / 10:g} °C (limit {_HOT_BATTERY_C:g})")
    return found


def mask(chosen: Sequence[int]) -> str:
    """Spell cores as `taskset` on Android takes them: hexadecimal."""
    return format(sum(1 << index for index in chosen), "x")


def spent_s(text: str) -> float:
    """Read the shell's `times`: seconds that it and its ended children took."""
    return sum(
        int(minutes) * 60 + float(seconds)
        for minutes, seconds in re.findall(r"(\d+)m\s*([\d.]+)s", text)
    )
