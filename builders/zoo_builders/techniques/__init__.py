"""Techniques, one file each: what a recipe may ask for, what it does, when it cannot, and what it proves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo_builders.graph import Graph
from zoo_builders.proof import Promise
from zoo_builders.specs import Spec, Train
from zoo_registry.model.plugins import Kind


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why a technique cannot be applied: the layer, why, and what to change."""

    layer: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved step of a recipe."""

    technique: str
    params: Spec


class Context(Protocol):
    """What a technique may use while it runs: data by split, the base's training settings, a seed, a way to report."""

    train: Train
    seed: int

    def batches(self, split: str, *, batch_size: int, shuffle: bool) -> Any:
        """Give (inputs, labels) arrays batch by batch, as something Keras' `fit` takes; values as the model expects them."""

    def arrays(self, split: str) -> tuple[Any, Any]:
        """Give (inputs float32 [N, ...], labels int [N]) of a split, preprocessed."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Move the progress bar."""

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON report beside the stage's result."""


@dataclass(frozen=True)
class Technique:
    """One registered technique.

    Attributes:
        name: key in a recipe.
        params: what the manifest may say; its defaults are the technique's.
        apply: Keras model in, Keras model out; None for a technique that is done by the converter (`quantize`).
        check: objections against applying it to a graph after the earlier steps; empty when it can be applied.
        promises: what the finished file will hold, given this step and all steps of the recipe.
        remarks: what a user should know of this step on this network although nothing is wrong, such as that it changes nothing.
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

    @property
    def source(self) -> Path | None:
        """File whose code belongs to the fingerprint of a stage that applies this technique."""
        import inspect

        where = self.apply or self.check
        return Path(inspect.getsourcefile(where) or "") or None


TECHNIQUES: Kind[Technique] = Kind("technique", __name__)
