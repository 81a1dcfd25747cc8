"""What does not go together in the parameters of `quantize`. Pure."""

from typing import TYPE_CHECKING

from zoo_builders.techniques.quantize.engines import CALIBRATION, kept, made_by, needs_litert

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params


def contradictions(p: "Params") -> list[tuple[bool, str]]:
    """List what does not fit together, each with whether it is so."""
    auto = p.keep_float == "auto"
    searched = [
        name
        for name, value in (("max_drop", p.max_drop), ("max_float_layers", p.max_float_layers))
        if value is not None
    ]
    return [
        (
            p.interface == "int8" and p.dtype != "int8",
            f"interface: int8 goes with dtype: int8 only, not {p.dtype}",
        ),
        (
            p.granularity.startswith("block") and p.dtype != "int4",
            f"granularity: {p.granularity} goes with dtype: int4 only",
        ),
        (
            p.compute == "float" and p.dtype not in {"dynamic", "int4"},
            "compute: float goes with dtype: dynamic or int4 only",
        ),
        (
            bool(p.keep_float) and p.dtype == "float16",
            "keep_float: float16 files compute in float anyhow",
        ),
        (bool(p.rules) and p.dtype == "float16", "rules: float16 has one kind of weights only"),
        (auto and p.dtype != "int8", f"keep_float: auto goes with dtype: int8 only, not {p.dtype}"),
        (
            auto and p.engine == "litert",
            (
                "keep_float: auto needs the TensorFlow converter's debugger; with engine: litert"
                " name the layers"
            ),
        ),
        (bool(searched) and not auto, f"{', '.join(searched)}: only with keep_float: auto"),
        (
            p.engine == "tensorflow" and bool(needs_litert(p)),
            f"{needs_litert(p)} needs engine: litert",
        ),
        (
            auto and bool(needs_litert(p)),
            f"{needs_litert(p)} needs engine: litert, keep_float: auto needs engine: tensorflow",
        ),
        (
            p.percentile is not None and p.dtype != "int8",
            f"percentile: {p.percentile} goes with dtype: int8 only, not {p.dtype}",
        ),
        (
            p.percentile is not None and made_by(p) == "litert",
            f"percentile: {p.percentile} needs engine: tensorflow",
        ),
        *_contradictions_of_rounding(p),
        *_contradictions_of_four_bits(p),
        *_contradictions_of_rules(p),
        *_without_effect(p),
        (
            p.sparse_encoding == "always" and made_by(p) == "litert",
            "sparse_encoding: always: the litert engine stores no weights sparse",
        ),
    ]


def _contradictions_of_rounding(p: "Params") -> list[tuple[bool, str]]:
    compensated = p.rounding == "compensated"
    return [
        (
            compensated and p.dtype not in {"int8", "int16x8"},
            f"rounding: compensated goes with dtype: int8 or int16x8 only, not {p.dtype}",
        ),
        (
            compensated and p.granularity != "channel",
            f"rounding: compensated goes with granularity: channel only, not {p.granularity}",
        ),
        (
            compensated and bool(p.keep_float),
            "rounding: compensated rounds every layer, keep_float leaves some alone: choose one",
        ),
        (
            compensated and made_by(p) == "litert",
            "rounding: compensated goes with engine: tensorflow",
        ),
    ]


def _contradictions_of_four_bits(p: "Params") -> list[tuple[bool, str]]:
    """List what the quantizer or the kernels cannot do with four bits.

    Each was tried on a finished file.
    """
    of_step = {p.granularity} if p.dtype == "int4" else set()
    grains = of_step | {
        rule.granularity or p.granularity for rule in p.rules if rule.dtype == "int4"
    }
    block = next((grain for grain in sorted(grains) if grain.startswith("block")), "")
    while_running = p.dtype in {"int4", "dynamic"} and p.compute == "integer"
    apart = "XNNPACK and the other kernels compute different things"
    return [
        (
            bool(grains) and while_running and p.method == "octav",
            (
                f"method: octav puts -8 among int4 weights, with which {apart}: write method:"
                " minmax, or compute: float"
            ),
        ),
        (
            "tensor" in grains and while_running,
            (
                f"granularity: tensor: with int4 weights {apart}: write granularity: channel, or"
                " compute: float"
            ),
        ),
        (
            bool(block) and p.method == "mse",
            f"method: mse gives no scales for {block}: write method: minmax",
        ),
        (
            bool(block) and p.dtype in {"int8", "int16x8"},
            (
                f"granularity: {block}: no kernel takes blocks beside activations of {p.dtype}:"
                " write dtype: dynamic or int4"
            ),
        ),
    ]


def _contradictions_of_rules(p: "Params") -> list[tuple[bool, str]]:
    twice = sorted(set(kept(p)) & {word for rule in p.rules for word in rule.layers})
    return [
        (
            bool(twice),
            (
                f"{', '.join(twice)}: keep_float leaves it in float, a rule says otherwise: name it"
                " in one of the two"
            ),
        )
    ]


def _without_effect(p: "Params") -> list[tuple[bool, str]]:
    """List what would be read and change nothing."""
    ranges = p.dtype in {"int8", "int16x8"}
    coarse = p.granularity == "tensor" or p.method != "minmax"
    what = "granularity: tensor" if p.granularity == "tensor" else f"method: {p.method}"
    return [
        (
            p.samples is not None and not ranges,
            f"samples: {p.dtype} needs no calibration inputs; they go with dtype: int8 or int16x8",
        ),
        (
            p.calibration != CALIBRATION and not ranges,
            (
                f"calibration: {p.dtype} needs no calibration inputs; they go with dtype: int8 or"
                " int16x8"
            ),
        ),
        (coarse and p.dtype == "float16", f"{what}: float16 weights have no scales"),
        (
            p.allow_float_fallback and not ranges,
            (
                f"allow_float_fallback: {p.dtype} leaves every operator without weights in float"
                " anyhow; it goes with dtype: int8 or int16x8"
            ),
        ),
    ]
