"""`quantize`: store weights, or weights and activations, in fewer bits. Done by the converter, after training."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from zoo_builders.graph import Graph
from zoo_builders.proof import Promise
from zoo_builders.specs import Name, Spec
from zoo_builders.techniques import TECHNIQUES, Objection, Step, Technique

DOC = """Post-training quantization.

`float16` halves the file, costs no accuracy and no latency: processors widen it back to float32. `dynamic` stores int8 weights and
computes partly in int8: a quarter of the size, but often slower than float32 under XNNPACK. `int8` needs calibration data and is the fast
one on phones and servers. `int16x8` (int16 activations) saves accuracy where int8 loses it, and runs on reference kernels: slow.
"""

MINIMUM_DYNAMIC = 1024
"""`dynamic` leaves weight tensors with fewer elements in float: the converter's own rule."""


class Params(Spec):
    """What a manifest may say about `quantize`."""

    dtype: Literal["float16", "dynamic", "int8", "int16x8"] = Field(
        default="int8", description="what weights (and activations) are stored as"
    )
    interface: Literal["float", "int8"] = Field(
        default="float",
        description="an int8 file's inputs and outputs: float runs everywhere (LiteRT.js takes nothing else), int8 saves 2 conversions",
    )
    calibration: Name = Field(default="calibration", description="split whose inputs fix the ranges of int8 and int16x8")
    samples: Annotated[int, Field(ge=1, le=100_000)] = Field(default=200, description="how many of its inputs, from the start")
    allow_float_fallback: bool = Field(default=False, description="let operators without an integer kernel stay float instead of failing")

    @model_validator(mode="after")
    def _interface_belongs_to_int8(self) -> "Params":
        if self.interface == "int8" and self.dtype != "int8":
            raise ValueError(f"interface: int8 goes with dtype: int8 only, not {self.dtype}")
        return self


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse a second quantization in one recipe; the rest only the converter knows, and it fails loudly."""
    del params
    if any(step.technique == "quantize" for step in before):
        return [Objection(graph.name, "the recipe quantizes twice", "keep one quantize step, the last of the recipe")]
    return []


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the dtypes of weights, activations and interface."""
    del steps
    found = [_weights(graph, params)]
    if params.dtype in {"int8", "int16x8"} and not params.allow_float_fallback:
        found.append(Promise(technique="quantize", kind="activations_dtype", value="int8" if params.dtype == "int8" else "int16"))
    return [*found, Promise(technique="quantize", kind="interface_dtype", value="int8" if params.interface == "int8" else "float32")]


def _weights(graph: Graph, params: Params) -> Promise:
    if params.dtype == "dynamic" and not _any_large(graph):
        return Promise(technique="quantize", kind="weights_dtype", value="float32")
    least = MINIMUM_DYNAMIC if params.dtype == "dynamic" else 0
    stored = "float16" if params.dtype == "float16" else "int8"
    return Promise(technique="quantize", kind="weights_dtype", value=stored, at_least_elements=least)


def _any_large(graph: Graph) -> bool:
    """Whether any kernel is large enough for `dynamic`; of a network nobody can read yet, it is taken for granted."""
    kernels = [shape for node in graph.nodes for name, shape in node.weights.items() if name.endswith("kernel")]
    return not graph.nodes or any(math.prod(shape) >= MINIMUM_DYNAMIC for shape in kernels)


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say so where `dynamic` finds nothing to quantize."""
    del steps
    if params.dtype != "dynamic" or _any_large(graph):
        return []
    return [f"dynamic quantizes nothing here: no kernel has the {MINIMUM_DYNAMIC:,} elements the converter asks for; weights stay float32"]


def converts(params: Params, steps: Sequence[Step]) -> dict[str, Any]:
    """Hand the parameters to the converter, which does the work."""
    del steps
    return {"quantize": params.model_dump(mode="json", by_alias=True)}


QUANTIZE = TECHNIQUES.add("quantize", Technique("quantize", Params, None, check, promises, DOC, remarks, converts=converts))
