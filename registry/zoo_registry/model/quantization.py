"""The part of a record that says how a file was quantized and what that does to each layer."""

from typing import Annotated, Literal

from pydantic import Field

from zoo_registry.model.part import Count, Finite, Part


class LayerError(Part):
    """What quantizing one operator costs, measured at the tensor it gives, against float.

    `Quantization.mode` says between what.

    A step of the grid is `scale`; rounding alone gives a root mean square error of 1/sqrt(12) =
    0.29 steps. One channel that is far larger than the others stretches the grid until the others
    fall below one step: that error is small against the scale, and only `sqnr_channels_db` shows
    it.
    """

    layer: str = Field(description="the layer it comes from, as far as the file's names tell")
    tensor: str
    operator: str
    rmse_over_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        description="root mean square error in steps of the grid"
    )
    sqnr_db: Finite = Field(description="signal to noise over all values")
    sqnr_channels_db: Finite = Field(
        description="signal to noise of each channel (last dimension), averaged over the channels"
    )
    kept_float: bool = Field(
        default=False,
        description="left in float in this file; the errors are what it would have cost",
    )


class Trial(Part):
    """One choice of layers that was tried.

    How many were left in float, and how far the metric fell below the float file's.
    """

    kept: Count
    drop: Finite


class Quantization(Part):
    """How a file was quantized, and what that does to each layer.

    Attributes:
        engine: `tensorflow` (the converter) or `litert` (litert-quantizer), and its version.
        mode: `layer`: each operator computed twice on the same quantized inputs, so the errors are
            its own; `network`: the quantized against the float file, each on its own values, so
            errors add up towards the output.
        search: what was tried before layers were left in float, in order; empty where they were
            named.
        metric: what the drops of `search` are of.
    """

    engine: Literal["tensorflow", "litert"]
    engine_version: str
    split: str = ""
    examples: Count = 0
    mode: Literal["layer", "network"] = "layer"
    layers: tuple[LayerError, ...] = ()
    metric: str = ""
    search: tuple[Trial, ...] = ()
