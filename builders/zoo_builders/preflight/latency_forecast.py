"""Whether a recipe can shorten latency, on each class of machine, with the reason in words.

Pure: rules, not measurements.

The rules are what was measured with XNNPACK on the zoo's networks, class by class (docs/results.md,
docs/latency.md), and what its sources say; a build measures its own file. Where nobody measured a
class the word is `unknown`: what holds on one says nothing of another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from zoo_builders.techniques.quantize.engines import MINIMUM_DYNAMIC
from zoo_registry.model.platform import Platform

Family = Literal["avx512-vnni", "avx2", "arm", "wasm"]
Word = Literal["faster", "same", "slower", "unknown"]
Stored = Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4", "other"]

FAMILIES: Mapping[Family, str] = {
    "avx512-vnni": "x86 AVX-512 VNNI",
    "avx2": "x86 AVX2",
    "arm": "ARM",
    "wasm": "browsers (WASM)",
}
"""Class of machine → how people call it. The x86 ones are those that were measured."""

_X86 = frozenset({"avx512-vnni", "avx2"})

SMALL = 1_000_000
"""Multiplications of one inference below which integers may cost as much as they save.

With AVX-512 VNNI the two of the zoo's networks below it, of 0.1 million and 4 to 8 microseconds,
measured 0.89 and 0.96 of float32 in int8 and one 0.78 in dynamic; those above it (from 2.7 million
on) 0.31 to 0.64 in int8. With AVX2 alone the smallest measured 2.15 in int8.
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What an inference takes.

    Attributes:
        macs: its multiplications.
        depthwise: weights of the largest depthwise kernel; 0 where there is none.
    """

    macs: int
    depthwise: int = 0


@dataclass(frozen=True, slots=True)
class Chance:
    """What to expect of one variant on one family of devices, relative to the float32 file."""

    family: Family
    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class Here:
    """This machine: its class among those of `FAMILIES`, or None; and its name."""

    family: Family | None
    told: str = ""

    @classmethod
    def of(cls, platform: Platform) -> "Here":
        """Find the class of a platform; one that is none of the measured ones is no class."""
        if platform.arch in {"arm64", "arm"}:
            return cls("arm", platform.told)
        measured = {"avx512-vnni": "avx512-vnni", "avx2": "avx2"}
        isa = measured.get(platform.isa) if platform.arch == "x86-64" else None
        return cls(cast("Family | None", isa), platform.told)

    @property
    def lacking(self) -> str:
        """Say that nobody measured this class; empty where somebody did."""
        return (
            ""
            if self.family
            else f"this machine: {self.told} is of a class that nobody measured; zoo bench tells"
            " what is true here"
        )


def chances(
    stored: Stored, *, opens: bool, share: float, shut: str, work: Work, fewer: float = 0.0
) -> tuple[Chance, ...]:
    """Judge one variant on every family.

    Args:
        stored: how weights and activations are stored.
        opens: XNNPACK's structure rules hold, and there are zeros enough in 1x1 kernels.
        share: share of zeros in those kernels.
        shut: why the sparse path stays shut, when it does.
        work: what an inference takes in float.
        fewer: share of the float network's weights that the rewritten one no longer has.
    """
    integer = stored not in {"float32", "float16"}
    said = (
        (
            _integer(family, stored, work)
            if integer
            else _float(family, stored, opens=opens, share=share, shut=shut)
        )
        for family in FAMILIES
    )
    return tuple(
        _smaller(chance, fewer) if fewer > 0 and chance.word == "same" else chance
        for chance in said
    )


def _smaller(chance: Chance, fewer: float) -> Chance:
    why = (
        f"{fewer:.0%} fewer weights to multiply with, but more operators: wide layers gain, narrow"
        " ones lose; measure it"
    )
    return Chance(chance.family, "unknown", why)


def _float(family: Family, stored: Stored, *, opens: bool, share: float, shut: str) -> Chance:
    if opens and family in _X86:
        return Chance(
            family,
            "same",
            "XNNPACK runs no sparse kernels on x86 with AVX: dense ones are quicker there",
        )
    if opens:
        return Chance(
            family,
            "faster",
            f"XNNPACK's sparse kernels: {share:.0%} zeros in the 1x1 convolutions, more than 2/3"
            " are needed",
        )
    if share:
        return Chance(family, "same", f"zeros shrink the file only: {shut}")
    if stored == "float16":
        return Chance(
            family, "same", "float16 weights are widened to float32 when the file is loaded"
        )
    return Chance(family, "same", "computed as the float32 file is")


def _integer(family: Family, stored: Stored, work: Work) -> Chance:
    if stored == "int16x8":
        return Chance(
            family,
            "slower",
            "int16 activations run on reference kernels, which nobody made fast: measured 28 to 34"
            " times float32",
        )
    if stored == "int4":
        return Chance(
            family,
            "unknown",
            "four-bit kernels exist for dense layers only, and differ by runtime: measure it",
        )
    if stored == "other":
        return Chance(family, "unknown", "no rule for this way of storing weights: measure it")
    if work.macs < SMALL:
        why = (
            f"an inference of {work.macs:,} multiplications is over in microseconds, of which"
            " converting numbers takes its share"
        )
        return Chance(family, "unknown", f"{why}: {_SMALL[family]}; measure it")
    if stored == "int8":
        return Chance(family, *_INT8[family])
    return Chance(
        family, *(_DYNAMIC_DEPTHWISE if work.depthwise >= MINIMUM_DYNAMIC else _DYNAMIC)[family]
    )


_SMALL: Mapping[Family, str] = {
    "avx512-vnni": "networks this small were measured at 0.78 to 0.96 of float32",
    "avx2": "one this small was measured at 2.15 times float32 in int8",
    "arm": "nobody measured networks this small there",
    "wasm": "nobody measured networks this small there",
}
_WITHOUT_KERNEL = "XNNPACK has no depthwise kernels for 8-bit weights beside float activations"
_WITHOUT_DOT = "AVX2 has no 8-bit dot product, so XNNPACK widens int8 to 16 bits"
_DYNAMIC_DEPTHWISE: Mapping[Family, tuple[Word, str]] = {
    "avx512-vnni": ("slower", f"{_WITHOUT_KERNEL}: measured at 1.8 to 2.5 times float32"),
    "avx2": ("slower", f"{_WITHOUT_KERNEL}: measured at 1.3 to 2.1 times float32"),
    "arm": (
        "unknown",
        (
            f"{_WITHOUT_KERNEL}, which costs much on x86 and in browsers; nobody measured ARM:"
            " measure it"
        ),
    ),
    "wasm": ("slower", f"{_WITHOUT_KERNEL}: measured at 3.1 to 4.7 times float32"),
}
_DYNAMIC: Mapping[Family, tuple[Word, str]] = {
    "avx512-vnni": (
        "faster",
        (
            "8-bit kernels whose activations are quantized as they come: ResNet8 was measured at"
            " 0.33 of float32"
        ),
    ),
    "avx2": ("same", f"{_WITHOUT_DOT}: ResNet8 was measured at 1.05 times float32"),
    "arm": (
        "unknown",
        (
            "8-bit kernels whose activations are quantized as they come help where there are 8-bit"
            " dot products; nobody measured ARM: measure it"
        ),
    ),
    "wasm": (
        "unknown",
        (
            "8-bit kernels whose activations are quantized as they come help where there are 8-bit"
            " dot products; nobody measured browsers: measure it"
        ),
    ),
}
_INT8: Mapping[Family, tuple[Word, str]] = {
    "avx512-vnni": (
        "faster",
        "int8 kernels with 8-bit dot products: measured at 0.31 to 0.64 of float32",
    ),
    "avx2": ("slower", f"{_WITHOUT_DOT}: measured at 1.0 to 2.2 times float32"),
    "arm": (
        "unknown",
        (
            "int8 kernels with dot products (dotprod, i8mm) are published at about half of float32"
            " on phones; nobody measured ARM for this zoo: measure it"
        ),
    ),
    "wasm": ("unknown", "browsers lack int8 dot products; LiteRT.js takes interface: float only"),
}
"""Family → word and reason, of networks that are not small."""
