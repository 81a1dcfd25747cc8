"""Compression algorithms, one file each: ways to make weights smaller that are none of TFMOT's.

An algorithm says which layers it fits, what stands in their place in the network (decompression,
such as a second layer), which weights go into the file (baked), what happens to weights while they
are fine-tuned (projection), and what the file then proves. It works on plain `Node`s and numpy
arrays; training, saving, checking and proving are done for it (`compressing`). Registered, it is a
technique of its own name: it stands in recipes, in `zoo list techniques` and `zoo preflight`, and
is run by tests/contracts/test_compression.py.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from zoo_builders.networks import verdicts
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.layer_selection import Rule
from zoo_builders.spec import Spec
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.plugins import Kind

Arrays = Mapping[str, Any]
"""Weight name → numpy array, as Keras names and shapes them.

A kernel is [..., inputs, outputs], a bias [outputs].
"""


class Params(Spec):
    """What a manifest may say about every algorithm; each adds its own."""

    layers: list[Rule] = Field(
        default=[],
        description="compress only layers that a rule picks; empty = every one that fits",
    )
    skip: list[Rule] = Field(default=[], description="layers to leave as they are")
    epochs: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=3, description="epochs of fine-tuning afterwards; 0 = none"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="default: the base's"
    )

    @model_validator(mode="after")
    def _trains(self) -> "Params":
        said = [key for key in ("batch_size", "learning_rate") if getattr(self, key) is not None]
        if said and not self.epochs:
            raise ValueError(f"{', '.join(said)}: epochs: 0 trains nothing")
        return self


class Algorithm:
    """Base of all algorithms.

    What is not overridden changes nothing: layers stay in place, weights are baked as they are.

    Attributes:
        name: key in a recipe.
        doc: what it costs, and when it does not help.
        params: what the manifest may say.
        undoes: techniques whose work it would undo; it is refused after them.
        lasts_through: techniques that leave the values it made as they are. Others that train, or
            move weights while they round them, are refused after it. Says nothing where only layers
            are replaced: those outlast every technique.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    params: ClassVar[type[Params]] = Params
    undoes: ClassVar[frozenset[str]] = frozenset({"prune", "cluster", "quantize", "quantize_aware"})
    lasts_through: ClassVar[frozenset[str]] = frozenset()

    def fits(self, node: Node, params: Any) -> str:
        """Say why a layer cannot be compressed; empty where it can.

        `Dense` and `Conv2D` are asked.
        """
        raise NotImplementedError

    def instead(self, node: Node, params: Any) -> str:
        """Say what to do about a layer that does not fit.

        What to change, or why leaving it alone is right.
        """
        del node, params
        return f"{verdicts.NOTHING}{self.name} has no use there; prune, cluster or quantize may"

    def replace(self, node: Node, params: Any, weights: Arrays | None = None) -> tuple[Node, ...]:
        """Give the layers that stand in the place of `node`, in order.

        The first reads what it read, the last keeps its name and shape.

        Asked twice: while planning without weights, where a size that the weights decide is written
        as 0; then with them.
        """
        del params, weights
        return (node,)

    def bake(
        self, node: Node, params: Any, weights: Arrays, into: Sequence[Node]
    ) -> Mapping[str, Arrays]:
        """Give the weights of the layers that `replace` put in the place of `node`.

        Layer → weight name → array of its shape.
        """
        del params
        return {into[-1].name: weights} if into == (node,) else {}

    def project(self, node: Node, params: Any, weights: Arrays) -> Arrays:
        """Give the nearest weights that are allowed.

        Called after every step of fine-tuning, on each layer that `replace` put in.

        A projection must be done after one time (project(project(w)) = project(w)) and remember
        nothing: then a killed training resumes.
        """
        del node, params
        return weights

    def promises(
        self, before: Graph, after: Graph, layers: Sequence[str], params: Any
    ) -> list[Promise]:
        """State what the file holds beside what is always proven.

        Always proven: no more parameters and no more work than the new network has.

        An algorithm that replaces no layer must promise something: that the network is no larger
        proves nothing then, and it is refused.

        Args:
            before: the network as it was.
            after: the network with what stands in place of the compressed layers.
            layers: names of the compressed layers.
            params: as the manifest says them.
        """
        del before, after, layers, params
        return []


ALGORITHMS: Kind[Algorithm] = Kind("compression algorithm", "algorithms", __name__, like=Algorithm)
