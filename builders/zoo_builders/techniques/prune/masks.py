"""Pruning masks on Keras layers: TFMOT's wrapper and schedule, with masks of our own.

The state of a training is in variables only.

What TFMOT 0.8.1 does otherwise, and why it does not serve:

- which layers: by exact class, so a subclass of Conv2D is refused. Here a layer says itself what is
  pruned (`get_prunable_weights`, as TFMOT's `PrunableLayer` has it), or its kernel is.
- ties: a threshold keeps every weight that equals it, so kernels with many equal values stay too
  dense. Here indices are kept, not values.
- blocks: rank-2 kernels only, counted as Keras holds them. Here also 1x1 convolutions, and counted
  as TFLite stores them, [outputs, inputs]: those are the blocks the converter can store as such
  (1x4 in float32, 1x16 in int8).
- m by n: the schedule is ignored (masks are made at step 1 and never again), and a clone forgets
  it. Here it follows the schedule.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

from zoo_builders import tf
from zoo_builders.tflite.proof import fewest_zeros, zero_blocks
from zoo_registry.model.errors import ProofFailed

KERNELS = {"Conv1D": "kernel", "Conv2D": "kernel", "Conv2DTranspose": "kernel", "Dense": "kernel"}
"""Keras classes whose kernels are pruned → the attribute that holds it.

Subclasses count as their class.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What one layer's weights shall look like.

    Attributes:
        final: share of zeros at the end.
        initial: share of zeros a polynomial schedule starts with.
        bias: whether the bias is pruned too.
        block: outputs and inputs of a block that is zero as a whole, (1, 1) for single weights.
        pooling: what decides about a block: its mean or its largest magnitude.
        groups: (m, n): m zeros in every n consecutive inputs; None for any place.
    """

    final: float
    initial: float = 0.0
    bias: bool = False
    block: tuple[int, int] = (1, 1)
    pooling: Literal["avg", "max"] = "avg"
    groups: tuple[int, int] | None = None


def prunable(layer: Any, *, bias: bool = False) -> list[Any]:
    """List the variables of a built layer that pruning may touch.

    What it says itself, or its kernel, and its bias if wanted.
    """
    if hasattr(type(layer), "get_prunable_weights"):
        return list(type(layer).get_prunable_weights(layer))
    name = next(
        (KERNELS[kind.__name__] for kind in type(layer).__mro__ if kind.__name__ in KERNELS), None
    )
    if name is None:
        return []
    return [getattr(layer, name), *([layer.bias] if bias and layer.bias is not None else [])]


def mask(weights: Any, share: Any, target: Target) -> Any:
    """Give the mask (1 = kept) that leaves out `share` of the weights, those of least magnitude.

    Weights are left out alone, by blocks or in groups, as `target` says.

    Of blocks and single weights round(share * count) are left out, never all. Kernels are [...,
    inputs, outputs]; vectors have neither blocks nor groups.
    """
    tensorflow = tf.tensorflow
    size = tensorflow.abs(weights)
    if len(weights.shape) == 1:
        return _best(size, share)
    if target.groups is None and target.block == (1, 1):
        return _best(size, share)
    rows = _as_stored(size)
    kept = _groups(rows, *target.groups) if target.groups else _blocks(rows, share, target)
    return _as_keras(kept, weights.shape)


def _best(size: Any, share: Any) -> Any:
    """Keep the largest; of equal ones the first."""
    tensorflow = tf.tensorflow
    flat = tensorflow.reshape(size, [-1])
    count = tensorflow.cast(tensorflow.size(flat), tensorflow.float32)
    keep = tensorflow.cast(
        tensorflow.maximum(tensorflow.round(count * (1.0 - share)), 1.0), tensorflow.int32
    )
    order = tensorflow.math.top_k(flat, k=tensorflow.size(flat)).indices
    places = tensorflow.cast(tensorflow.range(tensorflow.size(flat)) < keep, size.dtype)
    return tensorflow.reshape(
        tensorflow.scatter_nd(order[:, None], places, tensorflow.shape(flat)), size.shape
    )


def _as_stored(kernel: Any) -> Any:
    """[..., inputs, outputs] → [outputs * ..., inputs]."""
    rank = len(kernel.shape)
    moved = tf.tensorflow.transpose(kernel, [rank - 1, *range(rank - 1)])
    return tf.tensorflow.reshape(moved, [-1, kernel.shape[-2]])


def _as_keras(rows: Any, shape: Any) -> Any:
    rank = len(shape)
    moved = tf.tensorflow.reshape(rows, [shape[-1], *shape[:-1]])
    return tf.tensorflow.transpose(moved, [*range(1, rank), 0])


def _groups(rows: Any, zeros: int, size: int) -> Any:
    """Keep the largest `size - zeros` of every `size` consecutive columns.

    A last group cut short keeps as many.
    """
    tensorflow = tf.tensorflow
    height, width = rows.shape
    padded = tensorflow.pad(rows, [[0, 0], [0, -width % size]], constant_values=-1)
    places = tensorflow.math.top_k(tensorflow.reshape(padded, [-1, size]), k=size - zeros).indices
    kept = tensorflow.reduce_sum(tensorflow.one_hot(places, size, dtype=rows.dtype), axis=1)
    return tensorflow.reshape(kept, [height, -1])[:, :width]


def _blocks(rows: Any, share: Any, target: Target) -> Any:
    tensorflow = tf.tensorflow
    height, width = rows.shape
    down, across = target.block
    room = [[0, -height % down], [0, -width % across]]
    tiled = [-1, down, (width + room[1][1]) // across, across]
    tiles = tensorflow.reshape(tensorflow.pad(rows, room), tiled)
    if target.pooling == "max":
        score = tensorflow.reduce_max(tiles, axis=[1, 3])
    else:
        there = tensorflow.reshape(tensorflow.pad(tensorflow.ones_like(rows), room), tiled)
        score = tensorflow.reduce_sum(tiles, axis=[1, 3]) / tensorflow.reduce_sum(
            there, axis=[1, 3]
        )
    kept = _best(score, share)
    return tensorflow.repeat(tensorflow.repeat(kept, down, axis=0), across, axis=1)[:height, :width]


@cache
def wrapper() -> Any:
    """Give the class that wraps a layer while it is pruned.

    Made when first asked for, as TensorFlow is imported then.
    """

    class Masks(tf.pruning.pruning_impl.Pruning):  # type: ignore[misc]  # TFMOT is Any
        """TFMOT's pruning of a layer's variables, with the masks of this module."""

        target: Target

        def _maybe_update_block_mask(self, weights: Any) -> tuple[Any, Any]:
            share = self._pruning_schedule(self._step_fn())[1]
            return tf.tensorflow.zeros([], weights.dtype), tf.tensorflow.cast(
                mask(weights, share, self.target), weights.dtype
            )

    class PruneToTarget(tf.pruning.PruneLowMagnitude):  # type: ignore[misc]  # TFMOT is Any
        """Masks the weights of one layer while it is trained; a clone of it knows its target."""

        def __init__(
            self, layer: Any, pruning_schedule: Any, target: Mapping[str, Any], **kwargs: Any
        ) -> None:
            plain: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in target.items()
            }
            self.target = Target(**plain)
            layer.get_prunable_weights = lambda: prunable(layer, bias=self.target.bias)
            ours = {"block_size", "block_pooling_type", "sparsity_m_by_n"}
            super().__init__(
                layer,
                pruning_schedule,
                **{key: value for key, value in kwargs.items() if key not in ours},
            )

        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.pruning_obj = Masks(
                lambda: self.pruning_step, self.pruning_vars, self.pruning_schedule, (1, 1), "AVG"
            )
            self.pruning_obj.target = self.target

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "target": asdict(self.target)}

    return PruneToTarget


def wrapped(model: Any, targets: Mapping[str, Target], schedules: Mapping[str, Any]) -> Any:
    """Give the model with the chosen layers (by name) wrapped.

    The others are shared with `model`, so it must be a copy of one's own.
    """
    kind = wrapper()

    def wrap(layer: Any) -> Any:
        return (
            kind(layer, schedules[layer.name], asdict(targets[layer.name]))
            if layer.name in targets
            else layer
        )

    return tf.keras.models.clone_model(model, clone_function=wrap)


def stripped(model: Any) -> Any:
    """Put every mask on its weights once more, and give the model without wrappers.

    The last step of a training moved the weights.
    """
    for layer in model.layers:
        if isinstance(layer, tf.pruning.PruneLowMagnitude):
            layer.pruning_obj.weight_mask_op()
    return tf.tfmot.sparsity.keras.strip_pruning(model)


def prune_now(layer: Any, target: Target) -> None:
    """Prune a layer's weights at once, without training."""
    for variable in prunable(layer, bias=target.bias):
        variable.assign(variable * mask(variable, target.final, target))


def settle(layer: Any, target: Target) -> float:
    """Insist that a layer's weights are as `target` says.

    Give the share of zeros in its (first) kernel.

    Masks round the number of kept weights, so a tensor may lack one zero: it gets it.

    Raises:
        ProofFailed: more is missing, so the masks never got there.
    """
    shares = [
        _settled(layer.name, variable, target) for variable in prunable(layer, bias=target.bias)
    ]
    return shares[0]


def _settled(name: str, variable: Any, target: Target) -> float:
    import numpy as np

    values = variable.numpy()
    found, wanted, what = _count(values, target)
    if found < wanted - (what == "weights"):
        of = f"of {values.size} weights are zero" if what == "weights" else f"{what} are zero"
        message = f"layer {name}: {found} {of} after pruning; expected {wanted}"
        raise ProofFailed(message, hint="raise epochs, or lower prune_until_epoch in the manifest")
    if found < wanted:
        flat = values.reshape(-1)
        flat[np.argsort(np.abs(flat), kind="stable")[:wanted]] = 0
        variable.assign(values)
    return float((values == 0).mean())


def _count(values: Any, target: Target) -> tuple[int, int, str]:
    """Count what should be zero: (found, wanted, of what)."""
    single = values.ndim == 1 or (target.groups is None and target.block == (1, 1))
    if single:
        return int((values == 0).sum()), math.ceil(values.size * target.final - 1e-9), "weights"
    import numpy as np

    rows = np.moveaxis(values, -1, 0).reshape(-1, values.shape[-2]) == 0
    if target.groups:
        zeros, size = target.groups
        return fewest_zeros(rows, size), zeros, f"of every {size} weights"
    whole = zero_blocks(rows, target.block)
    return int(whole.sum()), math.floor(whole.size * target.final + 1e-9), f"of {whole.size} blocks"
