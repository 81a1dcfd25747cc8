"""What a manifest may say about `quantize`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zoo_builders.networks.layer_selection import Words
from zoo_builders.spec import Spec, SplitName
from zoo_builders.techniques.quantize.contradictions import contradictions
from zoo_builders.techniques.quantize.engines import (
    CALIBRATION,
    MAX_DROP,
    MAX_FLOAT_LAYERS,
    SAMPLES,
)
from zoo_builders.tflite import operator_names

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
        wrong = next((words for broken, words in contradictions(self) if broken), "")
        if wrong:
            raise ValueError(wrong)
        return self
