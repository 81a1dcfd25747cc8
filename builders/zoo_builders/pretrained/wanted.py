"""What a manifest asks of a weights source, and what a source gives or says against it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo_builders.networks.graph import Graph

Arrays = Mapping[str, Mapping[str, Any]]
"""Layer → weight name → array, as the network's graph names them."""

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
