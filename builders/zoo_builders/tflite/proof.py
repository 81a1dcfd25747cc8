"""Promises: what a technique says the finished file will hold. Pure data and pure judgement."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from zoo_builders.tflite.layer_tensors import LayerTensor, belonging
from zoo_builders.tflite.operator_names import any_of
from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.record import Finding, Signature, Structure, TensorSparsity, Xnnpack

_FLOAT_SLACK = 1e-9
"""0.29 * 100 is 28.999…996 in floating point; the promise meant 29."""

_OF_ZEROS = frozenset({"sparsity_at_least", "blocks_at_least", "zeros_in_groups"})
"""Promises that a tensor without any other weight would keep too.

The layer is gone, and its share of zeros is no success.
"""


class Promise(BaseModel):
    """One statement about tensors of the finished flatbuffer.

    Checkable without knowing how they came about.

    Attributes:
        technique: who promises.
        kind: `sparsity_at_least` (share of zeros in each selected weight tensor),
            `bias_sparsity_at_least` (the same of the bias beside it), `blocks_at_least` (share of
            blocks that are zero as a whole), `zeros_in_groups` (`m:n`: at least m zeros in every n
            consecutive weights along the inputs), `distinct_at_most` (distinct stored values),
            `weights_dtype` / `activations_dtype` / `interface_dtype` (every selected tensor has
            this dtype), `weights_granularity` (for what each scale of the weights stands: `tensor`,
            `channel` or `block32` …), `parameters_at_most` / `macs_at_most` (of the whole file),
            `xnnpack_sparse_on` (on this CPU XNNPACK is predicted to run the file sparse).
        value: the bound, the pattern, or the dtype's name.
        operators: flatbuffer operators whose weights are meant (CONV_2D, FULLY_CONNECTED, …); empty
            = all with weights.
        pointwise_only: only CONV_2D with a 1x1 kernel.
        per: `tensor` or `channel` (distinct values counted in each output channel).
        at_least_elements: smaller tensors are not meant (the converter leaves weights under 1,024
            elements float in `dynamic`).
        layers: the layers whose tensors are meant; empty = all that the other attributes select.
            Each must be found in the file.
        named: names, patterns or operator types of the layers that are meant, where no graph says
            more; empty = all.
        besides: names, patterns or operator types of layers that are not meant although the other
            attributes select them.
        allowed: so many of the selected tensors need not hold, such as those a search left in
            float.
        may_be_absent: a file without any tensor it speaks of keeps the promise: of networks that
            nobody can read before the build.
        block: with `blocks_at_least`: rows (output channels) and columns (inputs) of a block, as
            the file stores the tensor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    technique: str
    kind: Literal[
        "sparsity_at_least",
        "bias_sparsity_at_least",
        "blocks_at_least",
        "zeros_in_groups",
        "distinct_at_most",
        "weights_dtype",
        "activations_dtype",
        "interface_dtype",
        "weights_granularity",
        "parameters_at_most",
        "macs_at_most",
        "xnnpack_sparse_on",
    ]
    value: float | str
    operators: tuple[str, ...] = ()
    pointwise_only: bool = False
    per: Literal["tensor", "channel"] = "tensor"
    at_least_elements: int = 0
    layers: tuple[LayerTensor, ...] = ()
    named: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()
    allowed: int = 0
    may_be_absent: bool = False
    block: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Zeros:
    """Where a weight tensor of the file is zero, and where the bias is zero.

    The bias is the one that the same operator adds (None: it adds none).
    """

    kernel: Any
    bias: Any = None


@dataclass(frozen=True, slots=True)
class Activation:
    """A tensor that an operator computes with.

    Its name, the operator, its dtype, the name the operator goes by (see `operator_names`).
    """

    tensor: str
    operator: str
    dtype: str
    known_as: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is read from one file.

    Attributes:
        activations: what operators compute with, in the order of the file.
        zeros: the masks of `structure.weights`, in that order.
    """

    structure: Structure
    signature: Signature
    activations: Sequence[Activation] = ()
    zeros: Sequence[Zeros] = ()


def judge(promises: Sequence[Promise], seen: Inspection) -> tuple[Finding, ...]:
    """Hold every promise against every tensor it selects; one finding each.

    A promise that selects no tensor fails, and so does one of whose layers the file holds no
        tensor: nothing is proven by absence. A
    share of zeros is met by a tensor of n elements with at least floor(share * n) of them: pruning
    rounds a whole number of weights. A tensor of nothing but zeros keeps no promise of zeros.
    """
    return tuple(finding for promise in promises for finding in _judge(promise, seen))


def demand(findings: Sequence[Finding]) -> None:
    """Let nothing pass that does not hold.

    Raises:
        ProofFailed: with every tensor, promise and value found that does not hold.
    """
    broken = [finding for finding in findings if not finding.held]
    if broken:
        lines = "; ".join(
            f"{f.tensor}: {f.technique} promised {f.promise} {f.expected}, found {f.found}"
            for f in broken
        )
        raise ProofFailed(
            f"the file does not hold {len(broken)} of {len(findings)} promises: {lines}",
            hint=_way_out(broken),
        )


def _way_out(broken: Sequence[Finding]) -> str:
    """Say what to write where that is known: of `quantize` alone floats can be allowed.

    Else where promises are listed.
    """
    if all((one.technique, one.promise) == ("quantize", "activations dtype") for one in broken):
        return (
            "write allow_float_fallback: true, or name in keep_float the layers that no integer"
            " operator computes"
        )
    return "zoo plan MANIFEST   # what each technique promises"


Found = tuple[str, str, bool]
"""Tensor, the value found, whether it holds."""


def _judge(promise: Promise, seen: Inspection) -> Iterator[Finding]:
    found = list(_found(promise, seen)) or [
        ("(none)", "no tensor it speaks of", promise.may_be_absent)
    ]
    failed = [index for index, (_, _, held) in enumerate(found) if not held]
    excused = failed if len(failed) <= promise.allowed else []
    for index, (tensor, value, keeps) in enumerate(found):
        held = keeps or index in excused
        # what is told of it
        value = f"{value} (one of at most {promise.allowed} left so)" if index in excused else value  # noqa: PLW2901
        yield Finding(
            technique=promise.technique,
            promise=_say(promise),
            tensor=tensor,
            expected=str(promise.value),
            found=value,
            held=held,
        )


def _found(promise: Promise, seen: Inspection) -> Iterator[Found]:
    if promise.kind == "interface_dtype":
        ports = (*seen.signature.inputs, *seen.signature.outputs)
        yield from ((port.name, port.dtype, port.dtype == promise.value) for port in ports)
    elif promise.kind == "activations_dtype":
        named = [
            a for a in seen.activations if not promise.operators or a.operator in promise.operators
        ]
        chosen = [
            a for a in named if not any_of(promise.besides, a.operator, a.known_as or a.tensor)
        ]
        yield from ((a.tensor, a.dtype, a.dtype == promise.value) for a in dict.fromkeys(chosen))
    elif promise.kind in {"parameters_at_most", "macs_at_most"}:
        count = (
            seen.structure.parameters
            if promise.kind == "parameters_at_most"
            else seen.structure.macs
        )
        yield "(file)", str(count), count <= float(promise.value)
    elif promise.kind == "xnnpack_sparse_on":
        yield "(file)", *_sparse_on(str(promise.value), seen.structure.xnnpack)
    else:
        yield from _of_weights(promise, seen)


def _sparse_on(cpu: str, predicted: Xnnpack) -> tuple[str, bool]:
    return (
        f"{', '.join(predicted.cpus) or 'nowhere'}: {predicted.reason}",
        predicted.predicted_sparse and cpu in predicted.cpus,
    )


def _of_weights(promise: Promise, seen: Inspection) -> Iterator[Found]:
    weights = seen.structure.weights
    selected = [index for index, weight in enumerate(weights) if _selects(promise, weight)]
    if promise.layers:
        chosen = [weights[index] for index in selected]
        by_layer = {
            wanted: [selected[at] for at in belonging(chosen, wanted)] for wanted in promise.layers
        }
        yield from (
            (f"layer {wanted.layer}", "no tensor of it in the file", False)
            for wanted, own in by_layer.items()
            if not own
        )
        selected = sorted({index for own in by_layer.values() for index in own})
    for index in selected:
        zeros = seen.zeros[index] if index < len(seen.zeros) else None
        yield (weights[index].name, *_weigh(promise, weights[index], zeros))


def _selects(promise: Promise, weight: TensorSparsity) -> bool:
    pointwise = weight.operator == "CONV_2D" and weight.shape[1:3] == (1, 1)
    meant = not promise.named or any_of(promise.named, weight.operator, weight.name)
    named = meant and (not promise.operators or weight.operator in promise.operators)
    by_layer = any(belonging([weight], LayerTensor(layer=name)) for name in promise.besides)
    left_out = by_layer or any_of(promise.besides, weight.operator, weight.name)
    large = math.prod(weight.shape) >= promise.at_least_elements
    return named and large and (pointwise or not promise.pointwise_only) and not left_out


def _weigh(promise: Promise, weight: TensorSparsity, zeros: Zeros | None) -> tuple[str, bool]:
    """Give the value found, and whether it holds."""
    if promise.kind in {"weights_dtype", "weights_granularity"}:
        found = weight.dtype if promise.kind == "weights_dtype" else weight.granularity
        return found, found == promise.value
    if promise.kind in _OF_ZEROS and weight.sparsity >= 1:
        return f"nothing but zeros ({math.prod(weight.shape)})", False
    if promise.kind == "sparsity_at_least":
        elements = math.prod(weight.shape)
        return _share(round(weight.sparsity * elements), elements, promise)
    if promise.kind == "distinct_at_most":
        distinct = weight.distinct_per_channel if promise.per == "channel" else weight.distinct
        return str(distinct), distinct <= float(promise.value)
    if zeros is None:
        return "its values were not read", False
    return _of_places(promise, zeros)


def _of_places(promise: Promise, zeros: Zeros) -> tuple[str, bool]:
    """Judge what depends on where the zeros are."""
    if promise.kind == "bias_sparsity_at_least":
        return (
            ("no bias", True)
            if zeros.bias is None
            else _share(int(zeros.bias.sum()), zeros.bias.size, promise)
        )
    if promise.kind == "blocks_at_least":
        whole = zero_blocks(zeros.kernel, promise.block)
        return _share(int(whole.sum()), whole.size, promise)
    wanted, _, size = str(promise.value).partition(":")
    fewest = fewest_zeros(zeros.kernel, int(size))
    return f"{fewest}:{size}", fewest >= int(wanted)


def _share(zeros: int, elements: int, promise: Promise) -> tuple[str, bool]:
    share = zeros / elements if elements else 1.0
    return f"{share:.4f} ({zeros} of {elements})", zeros >= math.floor(
        float(promise.value) * elements + _FLOAT_SLACK
    )


def zero_blocks(zero: Any, block: tuple[int, int]) -> Any:
    """Tile a mask [outputs, ..., inputs] with blocks of (outputs, inputs), the last ones cut off.

    Say which are zero as a whole.
    """
    import numpy as np

    rows = zero.reshape(zero.shape[0], -1)
    short = [-size % step for size, step in zip(rows.shape, block, strict=True)]
    padded = np.pad(rows, [(0, short[0]), (0, short[1])], constant_values=True)
    tiles = padded.reshape(
        padded.shape[0] // block[0], block[0], padded.shape[1] // block[1], block[1]
    )
    return tiles.all(axis=(1, 3))


def fewest_zeros(zero: Any, size: int) -> int:
    """Give the fewest zeros in any `size` consecutive inputs of [outputs, ..., inputs].

    What is cut off counts as zero.
    """
    import numpy as np

    rows = zero.reshape(-1, zero.shape[-1])
    padded = np.pad(rows, [(0, 0), (0, -rows.shape[1] % size)], constant_values=True)
    return int(padded.reshape(-1, size).sum(axis=1).min())


def _say(promise: Promise) -> str:
    words = {
        "sparsity_at_least": "share of zeros at least",
        "bias_sparsity_at_least": "share of zeros in the bias at least",
        "blocks_at_least": (
            f"share of zero blocks of {promise.block[0]}x{promise.block[1]} at least"
        ),
        "zeros_in_groups": "zeros in consecutive weights",
        "distinct_at_most": f"distinct values per {promise.per} at most",
        "xnnpack_sparse_on": "XNNPACK's sparse path on",
    }
    return words.get(promise.kind, promise.kind.replace("_", " "))
