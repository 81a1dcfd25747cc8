"""What a manifest may say about `quantize_aware`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from zoo_builders.networks import layer_selection
from zoo_builders.spec import Spec

Kept = Literal["sparsity", "clusters"]


class ConfigRule(layer_selection.Rule):
    """One rule of `configs`: which layers, and the function that says how they are quantized."""

    function: Annotated[str, StringConstraints(pattern=r"^python:[\w.]+:\w+$")] = Field(
        description=(
            "python:package.module:function, which takes a Keras layer and gives a tfmot"
            " QuantizeConfig"
        )
    )
    sha256: str = Field(default="", description="of the function's file; filled in")


class Params(Spec):
    """What a manifest may say about `quantize_aware`."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=3, description="epochs of fine-tuning"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1e-4, description="small: the weights only settle on their grid"
    )
    preserve: tuple[Kept, ...] | None = Field(
        default=None,
        description=(
            "what earlier steps made and this one keeps: sparsity, clusters; inferred from the"
            " recipe"
        ),
    )
    clusters: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description=(
            "most values that a kernel shares which counts as clustered; inferred from the cluster"
            " step"
        ),
    )
    interface: Literal["float", "int8"] = Field(
        default="float",
        description=(
            "inputs and outputs: float runs everywhere (LiteRT.js takes nothing else), int8 saves 2"
            " conversions"
        ),
    )
    layers: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="which Conv2D, DepthwiseConv2D and Dense are quantized; empty: all"
    )
    skip: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="which layers, of any class, stay float although `layers` has them"
    )
    configs: tuple[ConfigRule, ...] = Field(
        default=(),
        description=(
            "layers that are quantized by a config of your own, each as its first rule says; also"
            " such as are refused else"
        ),
    )
