"""What the two quantizing engines do and do not do, and which one a step needs. Pure."""

from typing import TYPE_CHECKING, Literal

from zoo_builders.networks.graph import FIXED

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params

MINIMUM_DYNAMIC = 1024
"""`dynamic` leaves weight tensors with fewer elements in float.

This is the TensorFlow converter's own rule.
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

No runtime has such kernels for depthwise convolutions and others.
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


def needs_litert(params: "Params") -> str:
    """What only the LiteRT quantizer can do.

    Empty when the TensorFlow converter can do it all.
    """
    asked = {
        "dtype: int4": params.dtype == "int4",
        f"granularity: {params.granularity}": params.granularity.startswith("block"),
        f"method: {params.method}": params.method != "minmax",
        "compute: float": params.compute == "float",
        "rules": bool(params.rules),
        f"keep_float with dtype: {params.dtype}": (
            bool(params.keep_float) and params.dtype in {"dynamic", "int16x8"}
        ),
    }
    return next((what for what, is_asked in asked.items() if is_asked), "")


def made_by(params: "Params") -> Literal["tensorflow", "litert"]:
    """The engine that does it."""
    if params.engine == "auto":
        return "litert" if needs_litert(params) else "tensorflow"
    return params.engine


def limits(params: "Params") -> tuple[float, int]:
    """How far the metric may fall, and how many layers may stay float.

    Both hold where a search leaves some layers in float.
    """
    most = MAX_FLOAT_LAYERS if params.max_float_layers is None else params.max_float_layers
    return MAX_DROP if params.max_drop is None else params.max_drop, most


def kept(params: "Params") -> tuple[str, ...]:
    """Words for the layers left in float by hand."""
    return () if params.keep_float == "auto" else params.keep_float
