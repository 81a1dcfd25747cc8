"""Whether a recipe can shorten latency, on each family of devices, with the reason in words. Pure: rules, not measurements.

The rules are what was measured with XNNPACK on one MobileNetV2 1.0/224 and what its sources say; a build measures its own file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Family = Literal["x86", "arm", "wasm"]
Word = Literal["faster", "same", "slower", "unknown"]
Stored = Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4", "other"]

FAMILIES: Mapping[Family, str] = {"x86": "x86 with AVX", "arm": "ARM", "wasm": "browsers (WASM)"}


@dataclass(frozen=True, slots=True)
class Chance:
    """What to expect of one variant on one family of devices, relative to the float32 file."""

    family: Family
    word: Word
    reason: str


def family_of(arch: str) -> Family:
    """Give the family of a processor as `host` names it."""
    return "arm" if arch.startswith(("arm", "aarch")) else "x86"


def chances(stored: Stored, *, opens: bool, share: float, shut: str, fewer: float = 0.0) -> tuple[Chance, ...]:
    """Judge one variant on every family.

    Args:
        stored: how weights and activations are stored.
        opens: XNNPACK's structure rules hold, and there are zeros enough in 1x1 kernels.
        share: share of zeros in those kernels.
        shut: why the sparse path stays shut, when it does.
        fewer: share of the float network's weights that the rewritten one no longer has.
    """
    said = (_chance(family, stored, opens=opens, share=share, shut=shut) for family in FAMILIES)
    return tuple(_smaller(chance, fewer) if fewer > 0 and chance.word == "same" else chance for chance in said)


def _smaller(chance: Chance, fewer: float) -> Chance:
    why = f"{fewer:.0%} fewer weights to multiply with, but more operators: wide layers gain, narrow ones lose; measure it"
    return Chance(chance.family, "unknown", why)


def _chance(family: Family, stored: Stored, *, opens: bool, share: float, shut: str) -> Chance:
    if stored in {"int8", "int16x8", "dynamic", "int4", "other"}:
        return _integer(family, stored)
    if opens and family == "x86":
        return Chance(family, "same", "XNNPACK runs no sparse kernels on x86 with AVX: dense ones are quicker there")
    if opens:
        return Chance(family, "faster", f"XNNPACK's sparse kernels: {share:.0%} zeros in the 1x1 convolutions, more than 2/3 are needed")
    if share:
        return Chance(family, "same", f"zeros shrink the file only: {shut}")
    if stored == "float16":
        return Chance(family, "same", "float16 weights are widened to float32 when the file is loaded")
    return Chance(family, "same", "computed as the float32 file is")


def _integer(family: Family, stored: Stored) -> Chance:
    if stored == "dynamic":
        return Chance(family, "slower", "activations are quantized anew in every run: measured 2.5 (x86) and 3.1 (browser) times float32")
    if stored == "int16x8":
        return Chance(family, "slower", "int16 activations run on reference kernels, which nobody made fast")
    if stored == "int4":
        return Chance(family, "unknown", "four-bit kernels exist for dense layers only, and differ by runtime: measure it")
    if stored == "other":
        return Chance(family, "unknown", "no rule for this way of storing weights: measure it")
    reasons: Mapping[Family, tuple[Word, str]] = {
        "x86": ("faster", "int8 kernels: measured at 0.47 of float32 on MobileNetV2 with AVX-512"),
        "arm": ("faster", "int8 kernels with dot products: published at about half of float32 on phones"),
        "wasm": ("unknown", "browsers lack int8 dot products; LiteRT.js takes interface: float only"),
    }
    return Chance(family, *reasons[family])
