"""Promises: what a technique says the finished file will hold. Pure data and pure judgement."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.record import Finding, Signature, Structure, TensorSparsity

_FLOAT_SLACK = 1e-9
"""0.29 * 100 is 28.999…996 in floating point; the promise meant 29."""


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


@dataclass(frozen=True, slots=True)
class Activation:
    """A tensor that an operator computes with: its name, the operator, its dtype."""

    tensor: str
    operator: str
    dtype: str


def judge(
    promises: Sequence[Promise], structure: Structure, signature: Signature, activations: Sequence[Activation] = ()
) -> tuple[Finding, ...]:
    """Hold every promise against every tensor it selects; one finding each.

    A promise that selects no tensor fails: nothing is proven by absence. A share of zeros is met by a tensor of n elements with at
    least floor(share * n) of them: pruning rounds a whole number of weights.
    """
    return tuple(finding for promise in promises for finding in _judge(promise, structure, signature, activations))


def demand(findings: Sequence[Finding]) -> None:
    """Let nothing pass that does not hold.

    Raises:
        ProofFailed: with every tensor, promise and value found that does not hold.
    """
    broken = [finding for finding in findings if not finding.held]
    if broken:
        lines = "; ".join(f"{f.tensor}: {f.technique} promised {f.promise} {f.expected}, found {f.found}" for f in broken)
        raise ProofFailed(
            f"the file does not hold {len(broken)} of {len(findings)} promises: {lines}",
            hint="zoo plan MANIFEST   # what each technique promises",
        )


def _judge(promise: Promise, structure: Structure, signature: Signature, activations: Sequence[Activation]) -> Iterator[Finding]:
    if promise.kind == "interface_dtype":
        seen = [(port.name, port.dtype) for port in (*signature.inputs, *signature.outputs)]
        found = [(name, dtype, dtype == promise.value) for name, dtype in seen]
    elif promise.kind == "activations_dtype":
        chosen = [a for a in activations if not promise.operators or a.operator in promise.operators]
        found = [(a.tensor, a.dtype, a.dtype == promise.value) for a in dict.fromkeys(chosen)]
    else:
        found = [(w.name, *_weigh(promise, w)) for w in structure.weights if _selects(promise, w)]
    found = found or [("(none)", "no tensor it speaks of", False)]
    for tensor, value, held in found:
        yield Finding(
            technique=promise.technique, promise=_say(promise), tensor=tensor, expected=str(promise.value), found=value, held=held
        )


def _selects(promise: Promise, weight: TensorSparsity) -> bool:
    pointwise = weight.operator == "CONV_2D" and weight.shape[1:3] == (1, 1)
    named = not promise.operators or weight.operator in promise.operators
    return named and (pointwise or not promise.pointwise_only) and math.prod(weight.shape) >= promise.at_least_elements


def _weigh(promise: Promise, weight: TensorSparsity) -> tuple[str, bool]:
    """Give the value found, and whether it holds."""
    if promise.kind == "weights_dtype":
        return weight.dtype, weight.dtype == promise.value
    bound = float(promise.value)
    if promise.kind == "sparsity_at_least":
        elements = math.prod(weight.shape)
        zeros = round(weight.sparsity * elements)
        return f"{weight.sparsity:.4f} ({zeros} of {elements})", zeros >= math.floor(bound * elements + _FLOAT_SLACK)
    distinct = weight.distinct_per_channel if promise.per == "channel" else weight.distinct
    return str(distinct), distinct <= bound


def _say(promise: Promise) -> str:
    words = {"sparsity_at_least": "share of zeros at least", "distinct_at_most": f"distinct values per {promise.per} at most"}
    return words.get(promise.kind, promise.kind.replace("_", " "))
