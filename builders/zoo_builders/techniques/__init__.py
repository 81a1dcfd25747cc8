"""Techniques, one file each.

What a recipe may ask for, what it does, when it cannot, and what it proves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.spec import Spec
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context
from zoo_registry.model.plugins import Kind


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved step of a recipe."""

    technique: str
    params: Spec


@dataclass(frozen=True)
class Technique:
    """One registered technique.

    Attributes:
        name: key in a recipe.
        params: what the manifest may say; its defaults are the technique's.
        apply: Keras model in, Keras model out; None for a technique that is done by the converter
            (`quantize`).
        check: objections against applying it to a graph (as the earlier steps leave it) after those
            steps; empty when it can be applied.
        promises: what the finished file will hold, given the graph this step meets, its parameters
            and all steps of the recipe.
        remarks: what a user should know of this step on this network although nothing is wrong,
            such as that it changes nothing.
        layers: what the step can do to each layer that has weights (and to others it cares for):
            name → verdict, for `preflight`.
        rewrites: the graph after this step, for techniques that change the network's layers and not
            only its weights.
        infer: the step's parameters with what follows from the earlier steps filled in
            (`preserve`), where the manifest says nothing.
        converts: what the step asks of the `convert` stage, as parameters of that stage
            (`quantize`, …); merged over the recipe.
        on_file: the step's parameters where the base is a finished .tflite file and no Keras model,
            or why it cannot be applied there.
        outlasts: whether a later step leaves what this one made as it is; asked only of techniques
            that no later one knows by name.
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
    on_file: Callable[[Any], Any | str] = lambda _: (
        "it changes the Keras model, and a finished .tflite file has none"
    )
    outlasts: Callable[[Step], bool] = lambda _: True
    ends: bool = False

    @property
    def source(self) -> Path | None:
        """File whose code belongs to the fingerprint of a stage that applies this technique."""
        import inspect

        where = self.apply or self.check
        return Path(inspect.getsourcefile(where) or "") or None


TECHNIQUES: Kind[Technique] = Kind("technique", "techniques", __name__, like=Technique)
