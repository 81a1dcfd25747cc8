"""Techniques, one file each: what a recipe may ask for, what it does, when it cannot, and what it proves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo_builders.graph import Graph
from zoo_builders.proof import Promise
from zoo_builders.specs import Spec, Train
from zoo_builders.stage import Job
from zoo_registry.model.plugins import Kind


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why a technique cannot be applied: the layer, why, and what to change."""

    layer: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a technique can do to one layer: whether it touches it, and if not (or not fully), why and what to change.

    Attributes:
        applies: whether the layer's weights or activations are changed by the technique.
        reason: why not; of a layer it applies to, what is special (empty when nothing is).
        fix: what to change in network or manifest so that it would; empty where nothing can.
    """

    applies: bool
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved step of a recipe."""

    technique: str
    params: Spec


class Context(Protocol):
    """What a technique may use while it runs: data by split, the base's training settings, a seed, a way to report."""

    train: Train
    seed: int
    job: Job

    def batches(self, split: str, *, batch_size: int, shuffle: bool) -> Any:
        """Give (inputs, labels) arrays batch by batch, as something Keras' `fit` takes; values as the model expects them."""

    def passes(self, train: Train, *, epoch: int, step: int) -> Any:
        """Give the training batches from a step of an epoch to the end of the last one, in their order and with their changes."""

    def arrays(self, split: str) -> tuple[Any, Any]:
        """Give (inputs float32 [N, ...], labels int [N]) of a split, preprocessed."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Move the progress bar."""

    @property
    def scratch(self) -> Path | None:
        """A folder of this stage's own that outlives a killed run, for the run that takes over; None where none does."""

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON report beside the stage's result."""


@dataclass(frozen=True)
class Technique:
    """One registered technique.

    Attributes:
        name: key in a recipe.
        params: what the manifest may say; its defaults are the technique's.
        apply: Keras model in, Keras model out; None for a technique that is done by the converter (`quantize`).
        check: objections against applying it to a graph (as the earlier steps leave it) after those steps; empty when it can be applied.
        promises: what the finished file will hold, given the graph this step meets, its parameters and all steps of the recipe.
        remarks: what a user should know of this step on this network although nothing is wrong, such as that it changes nothing.
        layers: what the step can do to each layer that has weights (and to others it cares for): name → verdict, for `preflight`.
        rewrites: the graph after this step, for techniques that change the network's layers and not only its weights.
        infer: the step's parameters with what follows from the earlier steps filled in (`preserve`), where the manifest says nothing.
        converts: what the step asks of the `convert` stage, as parameters of that stage (`quantize`, …); merged over the recipe.
        on_file: the step's parameters where the base is a finished .tflite file and no Keras model, or why it cannot be applied there.
        outlasts: whether a later step leaves what this one made as it is; asked only of techniques that no later one knows by name.
        ends: whether no step may follow, because what it leaves can only be converted.
        modules: further modules whose code can change the result (part of the stage's fingerprint).
    """

    name: str
    params: type[Spec]
    apply: Callable[[Any, Any, Context], Any] | None
    check: Callable[[Graph, Any, Sequence[Step]], Sequence[Objection]]
    promises: Callable[[Graph, Any, Sequence[Step]], Sequence[Promise]]
    doc: str = ""
    remarks: Callable[[Graph, Any, Sequence[Step]], Sequence[str]] = lambda *_: ()
    modules: tuple[str, ...] = field(default=())
    layers: Callable[[Graph, Any, Sequence[Step]], Mapping[str, Verdict]] = lambda *_: {}
    rewrites: Callable[[Graph, Any, Sequence[Step]], Graph] = lambda graph, *_: graph
    infer: Callable[[Any, Sequence[Step]], Any] = lambda params, _: params
    converts: Callable[[Any, Sequence[Step]], Mapping[str, Any]] = lambda *_: {}
    on_file: Callable[[Any], Any | str] = lambda _: "it changes the Keras model, and a finished .tflite file has none"
    outlasts: Callable[[Step], bool] = lambda _: True
    ends: bool = False

    @property
    def source(self) -> Path | None:
        """File whose code belongs to the fingerprint of a stage that applies this technique."""
        import inspect

        where = self.apply or self.check
        return Path(inspect.getsourcefile(where) or "") or None


TECHNIQUES: Kind[Technique] = Kind("technique", __name__)
