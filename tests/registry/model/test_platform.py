"""The class of machine: derived from what a host tells, the same for old records and new ones."""

from typing import Any

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.measurement import Host
from zoo_registry.model.platform import Platform, matches, nearest, slow_int8, told
from zoo_registry.model.summary import Timing

MILAN = ("avx", "avx2", "fma", "f16c")
SKYLAKE = (*MILAN, "avx512f")
ICE_LAKE = (*SKYLAKE, "avx512_vnni")
SAPPHIRE = (*ICE_LAKE, "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_int8")
ALDER_LAKE = (*MILAN, "avx_vnni")


def host(cpu: str = "AMD EPYC", arch: str = "x86_64", *features: str, **more: Any) -> Host:
    known = {"cpu": cpu, "arch": arch, "cores": 2, "features": features, **more}
    return Host(fingerprint=Digest.of(b"host"), **known)


@pytest.mark.parametrize(
    ("machine", "key"),
    [
        (host("AMD EPYC", "x86_64", *MILAN), "x86-64-avx2/amd-epyc"),
        (host("Intel(R) Xeon(R) Processor @ 2.60GHz", "x86_64", *ICE_LAKE), "-vnni/intel-xeon"),
        (host("x", "x86_64", *SKYLAKE), "x86-64-avx512/x"),
        (host("x", "x86_64", *ICE_LAKE), "x86-64-avx512-vnni/x"),
        (host("x", "x86_64", *SAPPHIRE), "x86-64-avx512-amx/x"),
        (host("x", "x86_64", *ALDER_LAKE), "x86-64-avx2-vnni/x"),
        (host("x", "x86_64", "sse4_1", "avx"), "x86-64-avx/x"),
        (host("x", "x86_64", "sse4_1"), "x86-64-sse4.1/x"),
        (host("x", "AMD64", "f16c"), "x86-64-sse2/x"),
        (host("x", "arm64", "asimd"), "arm64-neon/x"),
        (host("x", "arm64", "asimd", "asimddp", "asimdhp"), "arm64-dotprod/x"),
        (host("x", "arm64", "asimd", "asimddp", "i8mm", "bf16", "sve"), "arm64-i8mm/x"),
        (host("x", "arm64", "asimd", "asimddp", "i8mm", "sme", "sme2"), "arm64-sme2/x"),
        (host("x", "arm", "neon"), "arm-neon/x"),
        (host("x", "riscv64", "v"), "riscv-rvv/x"),
        (host("x", "ppc64le"), "ppc64le-unknown/x"),
        # no flags: the name says it, where it does
        (host("AMD EPYC 7763 64-Core Processor", "x86_64"), "x86-64-avx2/amd-epyc-7763"),
        (host("AMD EPYC 9654 96-Core Processor", "x86_64"), "avx512-vnni/amd-epyc-9654"),
        (host("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"), "avx512-vnni/intel-xeon-"),
        (host("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz"), "x86-64-avx512/intel-xeon-gold-6130"),
        (host("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz"), "x86-64-avx2/intel-core-i7-8700"),
        (host("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz"), "x86-64-avx512-vnni/"),
        (host("12th Gen Intel(R) Core(TM) i5-12400"), "x86-64-avx2-vnni/"),
        (host("Apple M1 Pro", "arm64"), "arm64-dotprod/apple-m1-pro"),
        (host("Apple M2", "arm64"), "arm64-i8mm/apple-m2"),
        (host("Raspberry Pi 4 Model B Rev 1.4", "arm64"), "arm64-neon/raspberry-pi-4-model-b"),
        (host("AMD Ryzen 5 5600G with Radeon Graphics"), "x86-64-avx2/amd-ryzen-5-5600g"),
        (host("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"), "x86-64-unknown/intel-xeon-e5-2680"),
        (host("Apple M2", "x86_64"), "x86-64-unknown/apple-m2"),
        (host("something", "x86_64"), "x86-64-unknown/something"),
        (host("", "x86_64"), "x86-64-unknown/unknown"),
    ],
)
def test_the_class_follows_from_the_host(machine: Host, key: str) -> None:
    found = Platform.of("host-cpu", machine)
    assert key in found.key
    assert found.known == ("unknown" not in (found.arch, found.isa))


def test_devices_that_are_one_kind_of_place() -> None:
    machine = host("Cortex-A72", "arm64", "asimd")
    assert Platform.of("ssh:pi", machine).key == Platform.of("host-cpu", machine).key
    phone = host("Qualcomm SM8550 (Xiaomi 13)", "arm64", "asimd", "asimddp", "i8mm")
    other = host("Qualcomm SM8550 (OnePlus 11)", "arm64", "asimd", "asimddp", "i8mm")
    assert Platform.of("android:xiaomi-13", phone) == Platform.of("android:oneplus-11", other)
    assert Platform.of("android:xiaomi-13", phone).key == "android/arm64-i8mm/qualcomm-sm8550"


@pytest.mark.parametrize(
    ("machine", "key"),
    [
        (host("AMD EPYC", "wasm", "simd", "relaxed_simd"), "wasm-relaxed-simd-x86/amd-epyc"),
        (host("AMD EPYC", "wasm", "simd", "relaxed_simd", "x86"), "-relaxed-simd-x86/amd-epyc"),
        (host("Apple M1", "wasm", "simd"), "wasm-simd-arm/apple-m1"),
        (
            host("Google Chrome 128", "wasm", "simd", os="Windows", virtual="browser"),
            "wasm-simd/google-chrome-on-windows",
        ),
        (
            host("Safari 17.4", "wasm", "simd", "arm", os="iPhone", virtual="browser"),
            "wasm-simd-arm/safari-on-iphone",
        ),
    ],
)
def test_browsers(machine: Host, key: str) -> None:
    assert Platform.of("web-wasm", machine).key.endswith(key)


def test_a_summary_of_an_older_program_says_what_the_name_tells() -> None:
    old = {"threads": 1, "median_ms": 1, "p95_ms": 1, "ratio": 1, "ratio_ci95": (1, 1)} | {
        "verdict": "faster",
        "noisy": False,
        "sparse_path": "none",
    }
    named = Timing.model_validate({**old, "device": "host-cpu", "host_cpu": "Apple M1"})
    assert named.platform == "host-cpu/arm64-dotprod/apple-m1"
    nameless = Timing.model_validate({**old, "device": "host-cpu", "host_cpu": "AMD EPYC"})
    assert nameless.told == "AMD EPYC (unknown, class unknown)"


def test_the_nearest_has_the_same_kernels_then_the_same_architecture() -> None:
    mine = "host-cpu/x86-64-avx2/amd-epyc"
    known = (
        "android/arm64-i8mm/qualcomm-sm8550",
        "host-cpu/arm64-neon/cortex-a72",
        "host-cpu/x86-64-avx512-vnni/intel-xeon",
        "host-cpu/x86-64-avx2/intel-core-i7-8700",
    )
    assert nearest(mine, known, 4) == tuple(reversed(known))


def test_a_platform_is_named_whole_or_by_its_first_parts() -> None:
    key = "host-cpu/x86-64-avx512-vnni/amd-epyc"
    assert matches(key, key)
    assert matches(key, "host-cpu/x86-64-avx512-vnni")
    assert not matches(key, "host-cpu/x86-64-avx512"), "another class, not a part of this one"
    assert told(key, "AMD EPYC") == "AMD EPYC (x86-64 avx512-vnni)"
    assert told("web-wasm/wasm-simd/x") == "x (wasm simd, web-wasm)"


def test_why_int8_is_slow_is_said_only_where_it_is_known() -> None:
    assert "no 8-bit dot product (x86-64 avx2)" in slow_int8("host-cpu/x86-64-avx2/amd-epyc")
    assert "no 8-bit dot product (arm64 neon)" in slow_int8("android/arm64-neon/x")
    assert slow_int8("host-cpu/x86-64-avx512-vnni/amd-epyc") == ""
    assert slow_int8("host-cpu/arm64-dotprod/x") == ""
    assert slow_int8("host-cpu/x86-64-unknown/x") == ""
    assert slow_int8("web-wasm/wasm-relaxed-simd-x86/x") == ""
