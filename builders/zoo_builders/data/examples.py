"""What a data source gives: examples of its splits, checked, and their digest."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_builders import finite
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import WrongUse

if TYPE_CHECKING:
    import numpy as np


Report = Callable[[int, int, str], None]
_RANK = 4
UNLABELLED = -1
"""The label of every example of a source without classes."""


class BadData(WrongUse):
    """A data file does not hold what its source says it holds: shapes, types, offsets, labels."""

    slug = "bad-data"


def refuse_no_numbers(values: Any, where: str) -> None:
    """Insist that every value of examples [N, …] is a number.

    Raises:
        BadData: one is NaN or infinite; with `where`, the example and the place in it.
    """
    if found := finite.problem(values, where):
        raise BadData(found, hint="mend or remove that example in the source")


@dataclass(frozen=True, slots=True)
class Examples:
    """One split of a source.

    Images [N, H, W, C] (uint8 or float32) or recordings [N, samples, 1, 1] (int16), and labels
    int64 [N].

    Where a source knows no classes every label is `UNLABELLED`. `names` are those of the files, one
    an example, where each has its own.
    """

    images: "np.ndarray[Any, Any]"
    labels: "np.ndarray[Any, Any]"
    names: tuple[str, ...] = ()

    def mixed(self) -> "Examples":
        """Give the same examples in an order that depends on their number alone (PCG64, seed 0).

        Any slice then holds all classes.
        """
        import numpy as np

        order = np.random.Generator(np.random.PCG64(0)).permutation(len(self.labels))
        names = tuple(self.names[at] for at in order) if self.names else ()
        return Examples(self.images[order], self.labels[order], names)


@dataclass(frozen=True, slots=True)
class Dataset:
    """All a source has.

    Attributes:
        splits: its own splits.
        classes: what a label's number means; empty for a source without labels.
        value_range: lowest and highest value an example can hold (0 to 255 for uint8 photos).
        sample_rate: of recordings, samples a second; 0 for images.
        notes: what whoever reads a number should know of how the files were read: a line each.
    """

    splits: Mapping[str, Examples]
    classes: tuple[str, ...]
    value_range: tuple[float, float]
    sample_rate: int = 0
    notes: tuple[str, ...] = ()

    def checked(self) -> "Dataset":
        """Give itself back if shapes, types and labels fit together.

        Raises:
            BadData: they do not; the message names the split.
        """
        if not self.splits:
            raise BadData("the data has no splits")
        shapes = {examples.images.shape[1:] for examples in self.splits.values()}
        if len(shapes) > 1:
            raise BadData(f"the splits hold images of different shapes: {sorted(shapes)}")
        for name, examples in self.splits.items():
            self._check_values(name, examples.images)
            self._check_labels(name, examples)
        return self

    def _check_values(self, name: str, values: Any) -> None:
        import numpy as np

        if self.sample_rate:
            if values.ndim != _RANK or values.dtype != np.int16 or values.shape[2:] != (1, 1):
                raise BadData(
                    f"split {name!r}: expected int16 recordings [N, samples, 1, 1], found"
                    f" {values.dtype} {values.shape}"
                )
        elif values.ndim != _RANK or values.dtype not in (np.uint8, np.float32):
            raise BadData(
                f"split {name!r}: expected uint8 or float32 images [N, H, W, C], found"
                f" {values.dtype} {values.shape}"
            )
        refuse_no_numbers(values, f"split {name!r}")

    def _check_labels(self, name: str, examples: Examples) -> None:
        import numpy as np

        labels = examples.labels
        if labels.dtype != np.int64 or labels.shape != examples.images.shape[:1]:
            raise BadData(
                f"split {name!r}: expected {len(examples.images)} int64 labels, found"
                f" {labels.dtype} {labels.shape}"
            )
        low, high = (0, len(self.classes) - 1) if self.classes else (UNLABELLED, UNLABELLED)
        wrong = np.flatnonzero((labels < low) | (labels > high))
        if len(wrong):
            raise BadData(
                f"split {name!r}: the label of example {wrong[0]} is {labels[wrong[0]]}, and labels"
                f" of {len(self.classes)} classes are {low} to {high} ({len(wrong)} such labels)",
                hint="number the classes 0, 1, …, or name them all in `classes`",
            )

    @property
    def digest(self) -> Digest:
        """Sha256 over names, types, shapes and bytes of everything it holds.

        The same data from another file is the same data.
        """
        import numpy as np

        rate = (self.sample_rate,) if self.sample_rate else ()
        hasher = hashlib.sha256(
            repr((self.classes, tuple(map(float, self.value_range)), *rate)).encode()
        )
        for name in sorted(self.splits):
            for array in (self.splits[name].images, self.splits[name].labels):
                hasher.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
                hasher.update(np.ascontiguousarray(array).data.cast("B"))
        return Digest(hasher.hexdigest())


@dataclass(frozen=True, slots=True)
class FileArg:
    """A file or folder that a source's arguments name.

    It holds the path as written in the manifest, and the digest it must have (if given).
    """

    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What lies on disk, as far as it is known without decoding an example.

    Attributes:
        counts: the source's own splits → how many examples.
        classes: what labels will mean, in order; empty where there are none or only loading tells.
        notes: what is not read, which class folders are empty: a line each.
        shape: of one example (H, W, C) before preprocessing; None where only loading tells.
    """

    counts: Mapping[str, int]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
