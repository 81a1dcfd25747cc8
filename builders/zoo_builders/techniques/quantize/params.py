"""What a manifest may say about `quantize`, what does not go together.

And the words of its engines.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zoo_builders.networks.graph import FIXED
from zoo_builders.networks.layer_selection import Words
from zoo_builders.spec import Spec, SplitName
from zoo_builders.tflite import operator_names

MINIMUM_DYNAMIC = 1024
"""`dynamic` leaves weight tensors with fewer elements in float.

The TensorFlow converter's own rule.
"""

SAMPLES = 200
"""Calibration inputs where a manifest does not say how many.

Ranges hardly move after some hundred.
"""

CALIBRATION = "calibration"
"""Split of calibration inputs where a manifest names none."""

MAX_DROP, MAX_FLOAT_LAYERS = 0.01, 8
"""How far `keep_float: auto` goes where a manifest does not say."""

FOUR_BITS = ("CONV_2D", "FULLY_CONNECTED", "EMBEDDING_LOOKUP")
"""Operators whose weights the LiteRT quantizer stores in four bits.

Of depthwise and others no runtime has such kernels.
"""

EIGHT_BITS = (
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "EMBEDDING_LOOKUP",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
)
"""Operators whose weights it stores in eight."""

BLOCKWISE = ("FULLY_CONNECTED", "EMBEDDING_LOOKUP")
"""Operators whose scales may stand for blocks of inputs."""

MOVING = (
    "CONCATENATION",
    "DEPTH_TO_SPACE",
    "EXPAND_DIMS",
    "GATHER",
    "MAX_POOL_2D",
    "MIRROR_PAD",
    "PACK",
    "PAD",
    "PADV2",
    "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
    "UNPACK",
)
"""Operators that only move values about.

They stay in float with the layer they follow, or rounding there undoes what that saved.
"""

FRONT_END = (f"{FIXED}*",)
"""Words for the layers of a front end inside the file.

They stay float: in int8 they cost more accuracy than the whole network behind.
"""

Granularity = Literal["channel", "tensor", "block32", "block64", "block128", "block256"]
Dtype = Literal["float16", "dynamic", "int8", "int16x8", "int4"]
SparseRule = Literal["auto", "always", "never"]


class Rule(Spec):
    """Other weights for some layers. Of several rules that fit one layer, the last decides."""

    layers: Words = Field(
        min_length=1,
        description=(
            "layer names, patterns (block1_*), operator types (CONV_2D) or re: and an expression"
        ),
    )
    dtype: Literal["float32", "int8", "int4"] = Field(
        description="what their weights are stored as; float32 leaves the layer alone"
    )
    granularity: Granularity | None = Field(
        default=None,
        description=(
            "what one scale of these weights stands for; default: that of the step, where it can be"
        ),
    )

    @field_validator("layers")
    @classmethod
    def _spelled(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return _words(words)

    @model_validator(mode="after")
    def _has_such_scales(self) -> "Rule":
        if self.granularity is not None and self.dtype == "float32":
            raise ValueError(f"granularity: {self.granularity}: float32 weights have no scales")
        if (
            self.granularity is not None
            and self.granularity.startswith("block")
            and self.dtype != "int4"
        ):
            raise ValueError(
                f"granularity: {self.granularity} goes with dtype: int4 only, not {self.dtype}"
            )
        return self


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((found for word in words if (found := operator_names.mistake(word))), "")
    if wrong:
        raise ValueError(wrong)
    return words


class Params(Spec):
    """What a manifest may say about `quantize`."""

    dtype: Dtype = Field(default="int8", description="what weights (and activations) are stored as")
    interface: Literal["float", "int8"] = Field(
        default="float",
        description=(
            "an int8 file's inputs and outputs: float runs everywhere (LiteRT.js takes nothing"
            " else), int8 saves 2 conversions"
        ),
    )
    engine: Literal["auto", "tensorflow", "litert"] = Field(
        default="auto",
        description=(
            "tensorflow: its converter; litert: litert-quantizer, which knows int4, blocks and"
            " rules and takes any float .tflite"
        ),
    )
    granularity: Granularity = Field(
        default="channel",
        description=(
            "what one scale of the weights stands for; blocks of inputs for dense layers in int4"
        ),
    )
    method: Literal["minmax", "mse", "octav"] = Field(
        default="minmax",
        description=(
            "how the range of weights is chosen: minmax clips nothing; mse and octav clip outliers"
            " (engine litert)"
        ),
    )
    percentile: Annotated[float, Field(ge=90, lt=100, allow_inf_nan=False)] | None = Field(
        default=None,
        description=(
            "int8: ranges of activations keep this share (in %, such as 99.99) of the values"
            " calibration saw; default: all"
        ),
    )
    rounding: Literal["nearest", "compensated"] = Field(
        default="nearest",
        description=(
            "nearest: each weight by itself; compensated: so that errors cancel on the calibration"
            " inputs, which takes minutes"
        ),
    )
    compute: Literal["integer", "float"] = Field(
        default="integer",
        description=(
            "dynamic and int4: quantize activations while running, or widen the weights and compute"
            " in float"
        ),
    )
    calibration: SplitName = Field(
        default=CALIBRATION, description="split whose inputs fix the ranges of int8 and int16x8"
    )
    samples: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description=(
            f"how many of its inputs, from the start; default: {SAMPLES}, or all where there are"
            " fewer"
        ),
    )
    allow_float_fallback: bool = Field(
        default=False,
        description="let operators without an integer kernel stay float instead of failing",
    )
    keep_float: Literal["auto"] | Words = Field(
        default=(),
        description=(
            "layers left in float: names, patterns, operator types (MEAN) or re: and an expression;"
            " auto: as few as needed"
        ),
    )
    max_drop: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description=(
            "with keep_float: auto: how far the metric may fall below float's on the validation"
            f" split; default: {MAX_DROP}"
        ),
    )
    max_float_layers: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description=f"with keep_float: auto: how many layers at most; default: {MAX_FLOAT_LAYERS}",
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description="other weights for some layers (engine litert)"
    )
    report: bool = Field(
        default=True,
        description="measure what int8 or int16x8 does to each layer; stored with the record",
    )
    sparse_encoding: SparseRule | None = Field(
        default=None,
        description=(
            "leave zeros out of the file: auto keeps the smaller file; default: what earlier steps"
            " say, or auto"
        ),
    )

    @field_validator("keep_float")
    @classmethod
    def _names(cls, words: Any) -> Any:
        return words if words == "auto" else _words(words)

    @model_validator(mode="after")
    def _fits_together(self) -> "Params":
        wrong = next((words for broken, words in _contradictions(self) if broken), "")
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def needs_litert(self) -> str:
        """What only the LiteRT quantizer can do.

        Empty when the TensorFlow converter can do it all.
        """
        asked = {
            "dtype: int4": self.dtype == "int4",
            f"granularity: {self.granularity}": self.granularity.startswith("block"),
            f"method: {self.method}": self.method != "minmax",
            "compute: float": self.compute == "float",
            "rules": bool(self.rules),
            f"keep_float with dtype: {self.dtype}": (
                bool(self.keep_float) and self.dtype in {"dynamic", "int16x8"}
            ),
        }
        return next((what for what, is_asked in asked.items() if is_asked), "")

    @property
    def made_by(self) -> Literal["tensorflow", "litert"]:
        """The engine that does it."""
        if self.engine == "auto":
            return "litert" if self.needs_litert else "tensorflow"
        return self.engine

    @property
    def limits(self) -> tuple[float, int]:
        """How far the metric may fall, and how many layers may stay float.

        Where a search leaves some.
        """
        most = MAX_FLOAT_LAYERS if self.max_float_layers is None else self.max_float_layers
        return MAX_DROP if self.max_drop is None else self.max_drop, most

    @property
    def kept(self) -> tuple[str, ...]:
        """Words for the layers left in float by hand."""
        return () if self.keep_float == "auto" else self.keep_float


def _contradictions(p: Params) -> list[tuple[bool, str]]:
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
            p.engine == "tensorflow" and bool(p.needs_litert),
            f"{p.needs_litert} needs engine: litert",
        ),
        (
            auto and bool(p.needs_litert),
            f"{p.needs_litert} needs engine: litert, keep_float: auto needs engine: tensorflow",
        ),
        (
            p.percentile is not None and p.dtype != "int8",
            f"percentile: {p.percentile} goes with dtype: int8 only, not {p.dtype}",
        ),
        (
            p.percentile is not None and p.made_by == "litert",
            f"percentile: {p.percentile} needs engine: tensorflow",
        ),
        *_contradictions_of_rounding(p),
        *_contradictions_of_four_bits(p),
        *_contradictions_of_rules(p),
        *_without_effect(p),
        (
            p.sparse_encoding == "always" and p.made_by == "litert",
            "sparse_encoding: always: the litert engine stores no weights sparse",
        ),
    ]


def _contradictions_of_rounding(p: Params) -> list[tuple[bool, str]]:
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
            compensated and p.made_by == "litert",
            "rounding: compensated goes with engine: tensorflow",
        ),
    ]


def _contradictions_of_four_bits(p: Params) -> list[tuple[bool, str]]:
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


def _contradictions_of_rules(p: Params) -> list[tuple[bool, str]]:
    twice = sorted(set(p.kept) & {word for rule in p.rules for word in rule.layers})
    return [
        (
            bool(twice),
            (
                f"{', '.join(twice)}: keep_float leaves it in float, a rule says otherwise: name it"
                " in one of the two"
            ),
        )
    ]


def _without_effect(p: Params) -> list[tuple[bool, str]]:
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
