"""Where a base's weights come from, one file each.

A source is a `WeightsSource` object, added to `WEIGHTS`.

A source says at plan time which file it means (by sha256: what is fetched is demanded to be that)
and whether it fits the network; while building it brings the file and reads arrays out of it. It
never trains: `fine_tune` does, with the base's `train` block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_builders.networks.graph import Graph
from zoo_builders.spec import Spec
from zoo_registry.model.plugins import Kind

Arrays = Mapping[str, Mapping[str, Any]]
"""Layer → weight name → array, as the network's graph names them."""

TRAIN = "train"
"""The source that borrows nothing."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Weights for a network.

    Attributes:
        arrays: for every layer that has weights, but for those in `fresh`.
        fresh: layers that keep the random weights they start from (a classifier of other classes).
        sha256: of the file they were read from.
    """

    arrays: Arrays
    sha256: str
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a manifest asks of a source.

    Attributes:
        params: what it says below `weights`, beside `source` and `fine_tune`.
        network: name of the base's network, as the manifest has it.
        args: its arguments.
        graph: the network; None where it cannot be known before the build.
        fine_tune: epochs of training after the weights are there.
    """

    params: Any
    network: str
    args: Mapping[str, Any]
    graph: Graph | None
    fine_tune: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a source cannot serve: the key that is to blame, what is wrong, what to write.

    The key stands below `weights`; empty means the source itself.
    """

    key: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """One registered source.

    Attributes:
        params: what a manifest may say below `weights`, beside `source` and `fine_tune`.
        path: the user's file that it names, relative to the manifest or ${ZOO_DATA}/…; None for
            everything that is brought.
        check: why it cannot serve this network; empty when it can. Touches no network.
        remarks: what a user should know although nothing is wrong, such as that the padding
            differs.
        bring: gives the file, verified, from wherever it lies; not asked when there is a `path`.
        read: takes the arrays out of the file; None for whole Keras files, which Keras itself
            reads.
        module: where its code is; with what that imports it counts in the fingerprint.
        doc: one line for `zoo list weights`.
    """

    params: type[Spec]
    doc: str
    path: Callable[[Any], str | None] = field(default=lambda _: None)
    check: Callable[[Wanted], Sequence[Complaint]] = field(default=lambda _: ())
    remarks: Callable[[Wanted], Sequence[str]] = field(default=lambda _: ())
    bring: Callable[[Wanted, Report], Path] | None = None
    read: Callable[[Wanted, Path], Borrowed | None] | None = None
    module: str = ""


WEIGHTS: Kind[WeightsSource] = Kind("weights source", "weights", __name__, like=WeightsSource)


def epochs(asked: Mapping[str, Any] | None, train: int) -> int:
    """How many epochs a base is trained.

    Those of `train` from scratch, `fine_tune` of them after borrowing.
    """
    return train if asked is None or asked["source"] == TRAIN else int(asked.get("fine_tune", 0))
