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

from zoo_builders.pretrained.wanted import Borrowed, Complaint, Report, Wanted
from zoo_builders.spec import Spec
from zoo_registry.model.plugins import Kind

TRAIN = "train"
"""The source that borrows nothing."""


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
