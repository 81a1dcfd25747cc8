"""`digits`: scikit-learn's handwritten digits, 1,797 grey images of 8x8, values 0 to 16.

Offline, inside the wheel.

The source is one list (the test half of UCI's "Optical Recognition of Handwritten Digits", Alpaydin
& Kaynak 1998). It is split here once for all: within each digit a seeded permutation sends one
fifth (rounded down) to `test` and the rest to `train`; both keep a seeded mixed order, so any slice
holds all digits. 1,797 images give 1,442 for train and 355 for test.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_builders.data.examples import Dataset, Examples, Report, Survey
from zoo_builders.data.shipped import shipped
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Spec

_SEED = 1797
_FIFTH = 5
_COUNTS = {"train": 1442, "test": 355}
_CLASSES = tuple(str(digit) for digit in range(10))


class DigitsArgs(Spec):
    """`digits` takes no arguments."""


def load(_args: DigitsArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    """Read the digits from the installed scikit-learn.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    import numpy as np

    report(0, 1, "digits")
    with gzip.open(shipped("sklearn", "datasets/data/digits.csv.gz", "build"), "rt") as lines:
        rows = np.loadtxt(lines, np.uint8, delimiter=",")
    images = rows[:, :-1].reshape(-1, 8, 8, 1)
    labels = rows[:, -1].astype(np.int64)
    train, test = _split(labels)
    report(1, 1, "digits")
    splits = {
        "train": Examples(images[train], labels[train]),
        "test": Examples(images[test], labels[test]),
    }
    return Dataset(splits, _CLASSES, (0.0, 16.0))


def survey(_args: DigitsArgs, _files: Mapping[str, Path]) -> Survey:
    """Say what is known without reading."""
    return Survey(_COUNTS, _CLASSES)


def _split(labels: Any) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.Generator(np.random.PCG64(_SEED))
    train, test = [], []
    for digit in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == digit))
        cut = len(members) // _FIFTH
        test.append(members[:cut])
        train.append(members[cut:])
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))


SOURCES.add(
    "digits",
    Source(
        DigitsArgs,
        load,
        splits=("train", "test"),
        shape=lambda _args: (8, 8, 1),
        survey=survey,
        tools=("scikit-learn", "numpy"),
        doc="scikit-learn's 8x8 digits; offline",
    ),
)
