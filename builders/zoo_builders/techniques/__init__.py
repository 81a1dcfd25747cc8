"""Techniques, one folder each.

What a recipe may ask for, what it does, when it cannot, and what it proves.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.spec import Spec
from zoo_builders.tflite.proof import Promise
from zoo_builders.training.context import Context
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.plugins import Kind


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved step of a recipe."""

    technique: str
    params: Spec


class Technique(ABC):
    """One technique; what is not overridden says and asks nothing.

    Its folder holds `__init__` (registers it), `params` (what the manifest may say), `rules` and
    `promises` (pure: what is judged before anything is trained), and `work` (what changes the
    model). The code of `work`, with what that imports, decides a stage's result; all else is words.

    Attributes:
        name: key in a recipe.
        params: what the manifest may say; its defaults are the technique's.
        doc: what it costs, and when it does not help.
        ends: whether no step may follow, because what it leaves can only be converted.
        work: the module whose `apply(model, params, context)` changes the Keras model; None for a
            technique that is done by the converter (`quantize`).
    """

    name: str
    params: type[Spec]
    doc: str = ""
    ends: bool = False
    work: ModuleType | None = None

    @property
    def code(self) -> tuple[str, ...]:
        """Names of the modules whose code can change the result, besides what these import."""
        return () if self.work is None else (self.work.__name__,)

    def check(self, graph: Graph, params: Any, before: Sequence[Step]) -> Sequence[Objection]:
        """Object to applying it to a graph (as the earlier steps leave it) after those steps."""
        del graph, params, before
        return ()

    @abstractmethod
    def promises(self, graph: Graph, params: Any, steps: Sequence[Step]) -> Sequence[Promise]:
        """State what the finished file will hold.

        Args:
            graph: the network that this step meets; without nodes where nobody can read it yet.
            params: of this step.
            steps: all of the recipe.
        """

    def remarks(self, graph: Graph, params: Any, steps: Sequence[Step]) -> Sequence[str]:
        """Say what a user should know of this step on this network although nothing is wrong.

        Such as that it changes nothing.
        """
        del graph, params, steps
        return ()

    def layers(self, graph: Graph, params: Any, before: Sequence[Step]) -> Mapping[str, Verdict]:
        """Say for `preflight` what the step can do to each layer (name → verdict).

        The layers are those that have weights, and others that the step cares for.
        """
        del graph, params, before
        return {}

    def rewrites(self, graph: Graph, params: Any, before: Sequence[Step]) -> Graph:
        """Give the graph after this step, where it changes layers and not only their weights."""
        del params, before
        return graph

    def infer(self, params: Any, before: Sequence[Step]) -> Any:
        """Fill in what follows from the earlier steps where the manifest says nothing."""
        del before
        return params

    def converts(self, params: Any, steps: Sequence[Step]) -> Mapping[str, Any]:
        """Ask something of the `convert` stage, as its parameters; merged over the recipe."""
        del params, steps
        return {}

    def on_file(self, params: Any) -> Any | str:
        """Give the parameters where the base is a finished .tflite file and no Keras model.

        A string says why the step cannot be applied there.
        """
        del params
        return "it changes the Keras model, and a finished .tflite file has none"

    def outlasts(self, step: Step) -> bool:
        """Whether a later step leaves what this one made as it is.

        Asked only of techniques that no later one knows by name.
        """
        del step
        return True

    def refuse(self, model: Any, params: Any, context: Context) -> None:
        """Insist on what planning could not ask of a network that is only known once it is built.

        Raises:
            BuildFailed: with every layer that cannot be, why, and a way out.
        """
        del model, params, context

    def apply(self, model: Any, params: Any, context: Context) -> Any:
        """Give what it makes of `model`, which it may change: a Keras model.

        Raises:
            BuildFailed: it is refused, it failed, or it is done by the converter.
        """
        if self.work is None:
            raise BuildFailed(f"{self.name} is done by the converter and has no stage of its own")
        self.refuse(model, params, context)
        return self.work.apply(model, params, context)


TECHNIQUES: Kind[Technique] = Kind("technique", "techniques", __name__, like=Technique)

Class = TypeVar("Class", bound=type[Technique])


def register(kind: Class) -> Class:
    """Register the technique that a class describes, under its name."""
    TECHNIQUES.add(kind.name, kind())
    return kind
