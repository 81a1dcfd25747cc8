"""One plugin of each kind, as another distribution would bring them; tests install a copy of it."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from pydantic import Field
from typing_extensions import override

from zoo_builders.authoring import Algorithm
from zoo_builders.data.examples import Dataset, Examples, Report
from zoo_builders.data.sources import Source
from zoo_builders.devices import DEVICES, Device, Found, Place, Setting
from zoo_builders.metrics import Score, recalls
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.pretrained.sources import WeightsSource
from zoo_builders.pretrained.wanted import Arrays, Borrowed, Wanted
from zoo_builders.spec import Spec
from zoo_builders.tasks import TASKS
from zoo_builders.techniques import Technique
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise
from zoo_client.remotes.base import Remote
from zoo_client.remotes.store import StoreRemote
from zoo_client.settings import Settings
from zoo_registry.model.files import digest_file
from zoo_registry.stores.local import LocalStore

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def stripes_net(*, classes: int = 2) -> Graph:
    """A convolution and a classifier for small grey pictures."""
    net = Net("stripes_net", (8, 8, 1))
    net.conv(8, 3, 2, name="stem")
    net.relu(name="stem_relu")
    net.flatten(name="flatten")
    net.dense(classes, name="classifier")
    return net.graph()


class NoArgs(Spec):
    """Nothing can be said."""


def _stripes(_args: NoArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    import numpy as np

    report(0, 1, "stripes")
    labels = np.arange(200, dtype=np.int64) % 2
    rows = (np.arange(8) % 2 * 255).astype(np.uint8)
    wide = np.broadcast_to(rows[:, None], (8, 8))
    images = np.stack([wide if label else wide.T for label in labels])[..., None]
    split = Examples(images, labels)
    return Dataset({"train": split, "test": split}, ("upright", "level"), (0.0, 255.0))


STRIPES = Source(
    NoArgs, _stripes, splits=("train", "test"), shape=lambda _: (8, 8, 1), doc="two stripe patterns"
)


class NudgeParams(Spec):
    """What a manifest says about `nudge`."""

    by: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.01, description="share of a weight")


class Nudge(Technique):
    """Makes all weights a little smaller."""

    name = "nudge"
    params = NudgeParams
    doc = "Makes all weights a little smaller."
    work = sys.modules[__name__]

    def apply(self, model: Any, params: NudgeParams, context: Any) -> Any:
        """Scale every weight."""
        del context
        model.set_weights([weight * (1 - params.by) for weight in model.get_weights()])
        return model

    def promises(self, graph: Graph, *_: object) -> tuple[Promise, ...]:
        """State that no parameter is added."""
        return (Promise(technique="nudge", kind="parameters_at_most", value=graph.parameters),)


NUDGE = Nudge()


class Sign(Algorithm):
    """Every kernel becomes two values of one magnitude."""

    name: ClassVar[str] = "sign"
    doc: ClassVar[str] = "Two values a kernel."

    def fits(self, node: Node, params: Any) -> str:
        """All do."""
        del node, params
        return ""

    def project(self, node: Node, params: Any, weights: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the sign; the magnitude is the mean one."""
        import numpy as np

        del node, params
        kernel = weights["kernel"]
        return {**weights, "kernel": np.where(kernel < 0, -1, 1) * np.abs(kernel).mean()}

    def promises(
        self, before: Graph, after: Graph, layers: Sequence[str], params: Any
    ) -> list[Promise]:
        """Two values in the file."""
        del before, params
        kernels = kernels_of(after, layers)
        return [
            Promise(
                technique=self.name, kind="distinct_at_most", value=2, per="tensor", layers=kernels
            )
        ]


class BestRecall:
    """The recall of the class that is found best."""

    name = "best_recall"
    tasks: tuple[str, ...] = ("stripe-reading", "image-classification")

    def measure(self, outputs: "Array", labels: "Array", classes: Sequence[str]) -> Score | None:
        """Take the best."""
        best = max(share.value for share in recalls(outputs, labels, classes))
        return Score(best, (0.0, 1.0))


class StripeReading:
    """Which way the stripes go."""

    name = "stripe-reading"

    @property
    def metrics(self) -> tuple[str, ...]:
        """One."""
        return (BestRecall.name,)

    def score(
        self, outputs: "Array", labels: "Array", classes: Sequence[str]
    ) -> Mapping[str, Score]:
        """Ask the metric."""
        found = BestRecall().measure(outputs, labels, classes)
        return {} if found is None else {BestRecall.name: found}

    def decide(self, outputs: "Array") -> "Array | None":
        """Take the highest score."""
        decided: Array = outputs.reshape(len(outputs), -1).argmax(axis=1)
        return decided


READING = TASKS.add(StripeReading.name, StripeReading())
"""Registered like a task of the zoo too: what counts is the entry point."""

BEST = BestRecall()


class Stopwatch(Device):
    """This machine's processor under another name."""

    name = "stopwatch"
    runtime = "litert"

    @override
    def found(self) -> Sequence[Found]:
        return (Found(self.name, "this machine"),)

    @override
    def connect(self, setting: Setting) -> Place:
        return DEVICES.get("host-cpu").connect(replace(setting, device="host-cpu"))


WATCH = Stopwatch()


def _ones(wanted: Wanted, path: Path) -> Borrowed:
    import numpy as np

    assert wanted.graph is not None
    arrays: Arrays = {
        node.name: {name: np.full(shape, 0.01) for name, shape in node.weights.items()}
        for node in wanted.graph.nodes
        if node.weights
    }
    return Borrowed(arrays, str(digest_file(path)))


ONES = WeightsSource(
    NoArgs, doc="every weight the same", bring=lambda *_: Path(__file__), read=_ones
)


class Crate(LocalStore):
    """A folder under another scheme."""

    def __init__(self, url: str) -> None:
        super().__init__(url.replace("crate:", "file:", 1))


def crate_remote(url: str, settings: Settings) -> Remote:
    """Publish to a crate."""
    return StoreRemote(url, settings)


def greet(*, name: Annotated[str, typer.Option(help="Whom.")] = "zoo") -> None:
    """Say hello."""
    typer.echo(f"hello {name}")
