"""Promises: what a technique says the finished file will hold. Pure data and pure judgement."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Promise(BaseModel):
    """One statement about tensors of the finished flatbuffer, checkable without knowing how they came about.

    Attributes:
        technique: who promises.
        kind: `sparsity_at_least` (share of zeros in each selected weight tensor), `distinct_at_most` (distinct stored values),
            `weights_dtype` / `activations_dtype` / `interface_dtype` (every selected tensor has this dtype).
        value: the bound, or the dtype's name.
        operators: flatbuffer operators whose weights are meant (CONV_2D, FULLY_CONNECTED, …); empty = all with weights.
        pointwise_only: only CONV_2D with a 1x1 kernel.
        per: `tensor` or `channel` (distinct values counted in each output channel).
        at_least_elements: smaller tensors are not meant (the converter leaves weights under 1,024 elements float in `dynamic`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    technique: str
    kind: Literal["sparsity_at_least", "distinct_at_most", "weights_dtype", "activations_dtype", "interface_dtype"]
    value: float | str
    operators: tuple[str, ...] = ()
    pointwise_only: bool = False
    per: Literal["tensor", "channel"] = "tensor"
    at_least_elements: int = 0
