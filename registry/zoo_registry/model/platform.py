"""The class of machine that a latency belongs to. Pure.

The same file takes other times on another processor, and not by one factor: where the processor
multiplies 8-bit numbers in one step an int8 file is quick, elsewhere it may be slower than float.
So milliseconds are compared within one platform only. A platform is

    kind      how the file is run there: `host-cpu`, `web-wasm`, `android`
    arch      x86-64, arm64, arm, riscv, wasm
    isa       which of XNNPACK's sets of kernels the processor gets: see `X86` and the others
    machine   the processor or the SoC

and is called by its key: `host-cpu/x86-64-avx2/amd-epyc`. The classes are cut where XNNPACK (2026)
chooses other matrix kernels: its `src/configs/hardware-config.c` says what it asks a processor, and
`src/configs/gemm-config.c` (`init_qs8_qc8w_gemm_config`, `init_qd8_f32_qc8w_gemm_config`,
`init_f32_gemm_config`) what it then takes. Arithmetic in float16 is not a class of its own: LiteRT
computes float16 files in float32. Kernels that XNNPACK tunes to one core (Cortex-A53, A55, A75) are
told apart by the machine.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from zoo_registry.model.part import Count, Part

if TYPE_CHECKING:
    from zoo_registry.model.measurement import Host

UNKNOWN = "unknown"
HERE = "here"
"""What people write for the platform of their own machine."""

X86: Sequence[tuple[str, frozenset[str]]] = (
    ("avx512-amx", frozenset({"amx_int8"})),
    ("avx512-vnni", frozenset({"avx512_vnni"})),
    ("avx2-vnni", frozenset({"avx_vnni"})),
    ("avx512", frozenset({"avx512f"})),
    ("avx2", frozenset({"avx2"})),
    ("avx", frozenset({"avx"})),
    ("sse4.1", frozenset({"sse4_1"})),
)
"""Class → the processor's flags (as Linux spells them) that open it, XNNPACK's first choice first.

Less is `sse2`, which every x86-64 has.
"""

ARM: Sequence[tuple[str, frozenset[str]]] = (
    ("sme2", frozenset({"sme2"})),
    ("sme", frozenset({"sme"})),
    ("i8mm", frozenset({"i8mm"})),
    ("dotprod", frozenset({"asimddp"})),
    ("neon", frozenset({"asimd"})),
    ("neon", frozenset({"neon"})),
)
RISCV: Sequence[tuple[str, frozenset[str]]] = (("rvv", frozenset({"v"})),)
WASM: Sequence[tuple[str, frozenset[str]]] = (
    ("relaxed-simd", frozenset({"relaxed_simd"})),
    ("simd", frozenset({"simd"})),
)
"""Class → what the browser has. The processor behind it follows, as XNNPACK's kernels do."""

DOT8: Mapping[str, frozenset[str]] = {
    "x86-64": frozenset({"avx512-amx", "avx512-vnni", "avx2-vnni"}),
    "arm64": frozenset({"sme2", "sme", "i8mm", "dotprod"}),
    "arm": frozenset({"i8mm", "dotprod"}),
}
"""Architecture → classes in which one instruction multiplies 8-bit numbers and adds them up."""

_LADDERS = {"x86-64": X86, "arm64": ARM, "arm": ARM, "riscv": RISCV, "wasm": WASM}
_LEAST = {"x86-64": "sse2", "wasm": "scalar", "riscv": "scalar"}
"""Class of a processor that told its flags, and has none of those above."""

_ARCHES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64", "armv7l": "arm"}
_SAME_PLACE = {"ssh": "host-cpu"}
"""Devices that are another way to the same kind of place."""

_NAMED: Sequence[tuple[str, str, str]] = (
    (r"xeon\D* (?:platinum|gold|silver|bronze) \d1\d\d", "x86-64", "avx512"),
    (r"xeon\D* (?:platinum|gold|silver|bronze) \d[23]\d\d", "x86-64", "avx512-vnni"),
    (r"xeon\D* (?:platinum|gold|silver|bronze) \d[4-6]\d\d", "x86-64", "avx512-amx"),
    (r"epyc 7\w\w[123]", "x86-64", "avx2"),
    (r"epyc [489]\w\w[45]", "x86-64", "avx512-vnni"),
    (r"ryzen .*\b[1-6]\d\d\d", "x86-64", "avx2"),
    (r"ryzen .*\b(?:7[6-9][05]0|9\d\d\d)", "x86-64", "avx512-vnni"),
    (r"core i\d-(?:[4-9]\d\d\d|10\d\d\d)(?!g)", "x86-64", "avx2"),
    (r"core i\d-(?:10\d\dg|11\d\d)", "x86-64", "avx512-vnni"),
    (r"core (?:i\d-1[2-4]\d\d|ultra)", "x86-64", "avx2-vnni"),
    (r"apple m[4-9]", "arm64", "sme2"),
    (r"apple m[23]", "arm64", "i8mm"),
    (r"apple m1", "arm64", "dotprod"),
    (
        r"raspberry pi 5|cortex-(?:a55|a7[5-8]|x1)|neoverse-n1|sm8[123]50|gs[12]01",
        "arm64",
        "dotprod",
    ),
    (r"raspberry pi [34]|cortex-(?:a53|a57|a7[23])|sdm\d\d\d|msm899", "arm64", "neon"),
    (r"cortex-(?:a510|a7[12]\d|x[234])|neoverse-(?:v|n2)|sm8[4-7][57]\d|zuma", "arm64", "i8mm"),
)
"""What a name says where no flags were told: machines whose class is known beyond doubt."""


class Platform(Part):
    """The class of machine of one measurement. Equal keys compare, others do not."""

    kind: str = Field(description="how it is run: host-cpu, web-wasm, android")
    arch: str = Field(description="x86-64, arm64, arm, riscv, wasm, or unknown")
    isa: str = Field(description="instruction sets that decide XNNPACK's kernels; or unknown")
    machine: str = Field(description="the processor or the SoC; a visitor's browser and system")
    cores: Count = 0
    clock_ghz: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="highest clock; 0 where not told"
    )

    @property
    def key(self) -> str:
        """How a query names it: `host-cpu/x86-64-avx2/amd-epyc`."""
        return f"{_slug(self.kind)}/{self.kernels}/{_slug(self.machine)}"

    @property
    def kernels(self) -> str:
        """Architecture and instruction sets: `x86-64-avx2`."""
        return f"{_slug(self.arch)}-{_slug(self.isa)}"

    @property
    def known(self) -> bool:
        """Whether its instruction sets are known."""
        return UNKNOWN not in (self.arch, self.isa)

    @property
    def told(self) -> str:
        """Spell it for people: `AMD EPYC (x86-64 avx2)`."""
        return told(self.key, self.machine)

    @classmethod
    def of(cls, device: str, host: "Host") -> "Platform":
        """Derive the platform from the machine that a measurement was made on.

        The flags of its processor decide; without them its name; else the class is unknown.
        """
        kind, arch = kind_of(device), _ARCHES.get(host.arch.lower(), host.arch.lower())
        arch = "riscv" if arch.startswith("riscv") else arch or UNKNOWN
        return cls(
            kind=kind,
            arch=arch,
            isa=_isa(arch, frozenset(host.features), host.cpu),
            machine=_visitor(host) if host.virtual == "browser" else machine_name(host.cpu),
            cores=host.cores,
            clock_ghz=host.clock_ghz,
        )

    @classmethod
    def guessed(cls, device: str, cpu: str) -> "Platform":
        """Say what the name of a processor alone tells: for summaries of older programs."""
        kind = kind_of(device)
        arch, isa = ("wasm", UNKNOWN) if kind == "web-wasm" else _named(cpu) or (UNKNOWN, UNKNOWN)
        return cls(kind=kind, arch=arch, isa=isa, machine=machine_name(cpu))


def kind_of(device: str) -> str:
    """Give the kind of place behind a device's name: `ssh:pi` runs as `host-cpu` does."""
    kind = device.partition(":")[0]
    return _SAME_PLACE.get(kind, kind)


def _isa(arch: str, features: Collection[str], cpu: str) -> str:
    named = _named(cpu)
    if not features and named and named[0] == arch:
        return named[1]
    found = next((isa for isa, flags in _LADDERS.get(arch, ()) if flags <= set(features)), None)
    isa = found or (_LEAST.get(arch) if features else None) or UNKNOWN
    behind = _behind(features, named, cpu) if arch == "wasm" else ""
    return f"{isa}-{behind}" if behind else isa


def _behind(features: Collection[str], named: tuple[str, str] | None, cpu: str) -> str:
    """Name the processor behind a browser as XNNPACK tells it apart: x86, or not."""
    told_by_page = next((arch for arch in ("x86", "arm") if arch in features), "")
    if told_by_page:
        return told_by_page
    if named or re.search(r"\b(?:intel|amd)\b", cpu, re.IGNORECASE):
        return "arm" if named and named[0] == "arm64" else "x86"
    return ""


def _named(cpu: str) -> tuple[str, str] | None:
    name = machine_name(cpu).lower()
    return next(((arch, isa) for said, arch, isa in _NAMED if re.search(said, name)), None)


def machine_name(cpu: str) -> str:
    """Clean a processor's name of marks, clocks and core counts, so that equal ones are equal.

    `Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz` is `Intel Xeon Platinum 8370C`; of a phone the
    chip stays: `Qualcomm SM8550 (Xiaomi 13)` is `Qualcomm SM8550`.
    """
    plain = re.sub(r"\((?:R|TM|C)\)", " ", cpu, flags=re.IGNORECASE)
    plain = re.sub(r"@.*$|\b\d+-Core\b|\b(?:CPU|Processor)\b|\([^()]*\)", " ", plain)
    plain = re.sub(r"\bw(?:ith|/) Radeon.*$|\bRev \d[\d.]*$", " ", plain)
    return " ".join(plain.split()) or UNKNOWN


def _visitor(host: "Host") -> str:
    """Spell what a browser tells of itself, without versions: `Google Chrome on Windows`."""
    browser = re.sub(r"\s*\d[\d.]*$", "", host.cpu) or UNKNOWN
    return f"{browser} on {host.os}" if host.os else browser


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or UNKNOWN


def told(key: str, machine: str = "") -> str:
    """Spell a platform for people by its key: `AMD EPYC (x86-64 avx2)`."""
    kind, kernels, slug = (*key.split("/"), "", "")[:3]
    arch = next((one for one in _LADDERS if kernels.startswith(f"{one}-")), "")
    isa = kernels.removeprefix(f"{arch}-") if arch else kernels
    known = isa not in {UNKNOWN, f"{UNKNOWN}-{UNKNOWN}"}
    sets = f"{arch} {isa}".strip() if known else f"{arch or UNKNOWN}, class unknown"
    where = "" if kind in {"host-cpu", ""} else f", {kind}"
    if not (machine or slug):
        return f"{sets}{where}" if kernels else key
    return f"{machine or slug} ({sets}{where})"


def matches(key: str, asked: str) -> bool:
    """Whether a platform is the one asked for: its key, or the first parts of it."""
    return key == asked or key.startswith(f"{asked}/")


def nearest(asked: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Order platforms by how like they are to the one asked for.

    The same kernels on another machine come first, then the same architecture, then the rest.
    """
    kind, kernels, _ = (*asked.split("/"), "", "", "")[:3]
    arch = next((one for one in _LADDERS if kernels.startswith(one)), kernels)

    def far(key: str) -> tuple[bool, bool, bool, str]:
        parts = (*key.split("/"), "", "")
        return (parts[0] != kind, parts[1] != kernels, not parts[1].startswith(arch), key)

    return tuple(sorted(set(known), key=far)[:count])


def slow_int8(key: str) -> str:
    """Say why int8 gains little on a platform; empty where its processor multiplies 8-bit numbers.

    Or where it is not known whether it does.
    """
    _, kernels, _ = (*key.split("/"), "", "")[:3]
    for arch, classes in DOT8.items():
        isa = kernels.removeprefix(f"{arch}-")
        if isa not in {kernels, UNKNOWN}:
            return (
                ""
                if isa in classes
                else f"this CPU has no 8-bit dot product ({arch} {isa}): XNNPACK widens int8 to 16"
                " bits, so int8 files gain little or lose"
            )
    return ""


def why_slow(key: str, verdict: str, dtypes: Collection[str]) -> str:
    """Say why a file of 8-bit numbers is not quicker there than float; empty where it is.

    `dtypes` are the types of its tensors.
    """
    eight = bool({"int8", "uint8"} & set(dtypes))
    return slow_int8(key) if eight and verdict in {"slower", "within noise"} else ""


def classes(keys: Iterable[str]) -> frozenset[str]:
    """Give the sets of kernels of platforms: `x86-64-avx2`, whatever the machine."""
    return frozenset(key.split("/")[1] if "/" in key else key for key in keys)
