"""`prune`: set the smallest weights to zero while fine-tuning (Zhu & Gupta 2017, "To prune, or not to prune")."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from zoo_builders.graph import Graph
from zoo_builders.proof import Promise
from zoo_builders.specs import Spec
from zoo_builders.techniques import TECHNIQUES, Context, Objection, Step, Technique

DOC = """Magnitude pruning with fine-tuning.

Always shrinks the compressed file; shrinks the file itself once zeros are left out (from about a third on). Latency changes only where
XNNPACK's sparse path opens: `policy: xnnpack`, float32 or float16, more than two thirds zeros, on ARM and in browsers, not on x86 with AVX.
Costs as much time as training for `epochs`. Does not help networks that are tiny already.
"""

UPDATES = 50
"""How often the masks are renewed on the way to the target; the last renewal falls on the last step of the schedule."""

_PRUNABLE = ("Conv2D", "Dense")


class Params(Spec):
    """What a manifest may say about `prune`."""

    final: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.5, description="share of zeros at the end, in every pruned tensor"
    )
    initial: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.0, description="share of zeros a polynomial schedule starts with"
    )
    schedule: Literal["constant", "polynomial"] = Field(
        default="polynomial", description="all at once, or growing from `initial` to `final`"
    )
    power: Annotated[float, Field(gt=0, le=100)] = Field(default=3.0, description="exponent of the polynomial: higher prunes earlier")
    policy: Literal["xnnpack", "whole-model"] = Field(
        default="whole-model",
        description="xnnpack: 1x1 convolutions only, and only in networks XNNPACK runs sparse; whole-model: every Conv2D and Dense",
    )
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(default=10, description="epochs of fine-tuning, pruning included")
    prune_until_epoch: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=5, description="when the target is reached; default: half of `epochs`"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(default=None, description="default: the base's")
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = Field(default=None, description="default: the base's")

    @model_validator(mode="before")
    @classmethod
    def _half_of_the_epochs(cls, given: Any) -> Any:
        if isinstance(given, dict) and "prune_until_epoch" not in given and isinstance(given.get("epochs"), int):
            return {**given, "prune_until_epoch": max(1, (given["epochs"] + 1) // 2)}
        return given

    @model_validator(mode="after")
    def _in_order(self) -> "Params":
        if self.prune_until_epoch > self.epochs:
            raise ValueError(f"prune_until_epoch: {self.prune_until_epoch} lies after the last of {self.epochs} epochs")
        if self.initial > self.final:
            raise ValueError(f"initial: {self.initial} is more than final: {self.final}")
        if self.schedule == "constant" and self.initial:
            raise ValueError("initial: goes with schedule: polynomial only")
        return self


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse to prune after a step that it would undo, a network without kernels, and one XNNPACK cannot run sparse."""
    from zoo_builders import xnnpack_policy

    found = [
        Objection(graph.name, f"pruning after {step.technique} would undo it", f"put prune before {step.technique}")
        for step in before
        if step.technique in {"cluster", "quantize"}
    ]
    if not pruned_layers(graph, params):
        found.append(Objection(graph.name, f"policy {params.policy} finds no layer to prune", "use a network with 1x1 convolutions"))
    return found + (xnnpack_policy.objections(graph) if params.policy == "xnnpack" else [])


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the share of zeros in every pruned tensor; later steps must keep it."""
    del graph, steps
    operators = ("CONV_2D",) if params.policy == "xnnpack" else ("CONV_2D", "FULLY_CONNECTED")
    return [
        Promise(
            technique="prune", kind="sparsity_at_least", value=params.final, operators=operators, pointwise_only=params.policy == "xnnpack"
        )
    ]


def pruned_layers(graph: Graph, params: Params) -> tuple[str, ...]:
    """Name the layers whose kernels are pruned."""
    if params.policy == "xnnpack":
        return tuple(node.name for node in graph.nodes if node.is_pointwise)
    return tuple(node.name for node in graph.nodes if node.op in _PRUNABLE)


def schedule_steps(steps_per_epoch: int, params: Params) -> tuple[int, int]:
    """Give (last step that renews masks, every how many steps): the last is a multiple, so the target is met exactly there."""
    wanted = steps_per_epoch * params.prune_until_epoch
    frequency = max(1, wanted // UPDATES)
    return wanted // frequency * frequency, frequency


def apply(model: Any, params: Params, context: Context) -> Any:
    """Wrap the chosen layers, fine-tune while zeros grow, strip, and insist on the zeros.

    Raises:
        ProofFailed: a kernel ended with fewer zeros than the masks should have left.
    """
    from zoo_builders import tf
    from zoo_builders.fit import fine_tuning, fit
    from zoo_builders.render import graph_of

    layers = pruned_layers(graph_of(model), params)
    train = fine_tuning(context.train, params.epochs, params.batch_size, params.learning_rate)
    steps = len(context.batches("train", batch_size=train.batch_size, shuffle=False))
    wrapped = _wrap(model, layers, _schedule(steps, params))
    history = fit(wrapped, context, train, [tf.tfmot.sparsity.keras.UpdatePruningStep()], note="prune")
    stripped = tf.tfmot.sparsity.keras.strip_pruning(wrapped)
    context.keep("history", {"epochs": history})
    context.keep("sparsity", {name: _settle(stripped.get_layer(name), params.final) for name in layers})
    return stripped


def _schedule(steps_per_epoch: int, params: Params) -> Any:
    from zoo_builders import tf

    end, frequency = schedule_steps(steps_per_epoch, params)
    kinds = tf.tfmot.sparsity.keras
    if params.schedule == "constant":
        return kinds.ConstantSparsity(params.final, 0, end, frequency)
    return kinds.PolynomialDecay(params.initial, params.final, 0, end, params.power, frequency)


def _wrap(model: Any, layers: Sequence[str], schedule: Any) -> Any:
    from zoo_builders import tf

    wrapper = tf.tfmot.sparsity.keras.prune_low_magnitude
    return tf.keras.models.clone_model(
        model, clone_function=lambda layer: wrapper(layer, pruning_schedule=schedule) if layer.name in layers else layer
    )


def _settle(layer: Any, final: float) -> float:
    """Make the share of zeros in a kernel at least `final`; give it.

    TFMOT rounds the number of kept weights, so a kernel may lack one zero; more than that means that the masks never got there.
    """
    import numpy as np

    from zoo_registry.model.errors import ProofFailed

    kernel, *rest = layer.get_weights()
    wanted, zeros = math.ceil(kernel.size * final), int((kernel == 0).sum())
    if zeros < wanted - 1:
        message = f"layer {layer.name}: {zeros} of {kernel.size} weights are zero after pruning; expected {wanted}"
        raise ProofFailed(message, hint="raise epochs, or lower prune_until_epoch in the manifest")
    if zeros < wanted:
        flat = kernel.reshape(-1)
        flat[np.argsort(np.abs(flat), kind="stable")[:wanted]] = 0
        layer.set_weights([kernel, *rest])
    return float((kernel == 0).mean())


PRUNE = TECHNIQUES.add(
    "prune", Technique("prune", Params, apply, check, promises, DOC, modules=("zoo_builders.fit", "zoo_builders.xnnpack_policy"))
)
