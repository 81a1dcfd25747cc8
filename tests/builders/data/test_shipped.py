"""Files of installed packages are read without importing the package."""

import subprocess
import sys

import numpy as np
import pytest

from zoo_builders.data.shipped import shipped
from zoo_builders.data.sources import SOURCES
from zoo_registry.model.errors import MissingExtra


def test_the_digits_are_read_without_importing_scikit_learn() -> None:
    program = (
        "import sys; from zoo_builders.data.sources import SOURCES\n"
        "source = SOURCES.get('digits')\n"
        "source.load(source.params(), {}, lambda *_: None)\n"
        "print({'sklearn', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_digits_are_those_that_scikit_learn_gives() -> None:
    from sklearn.datasets import load_digits

    source = SOURCES.get("digits")
    found = source.load(source.params(), {}, lambda *_: None)
    images = np.concatenate([split.images for split in found.splits.values()])
    labels = np.concatenate([split.labels for split in found.splits.values()])
    bunch = load_digits()
    ours = np.column_stack([images.reshape(len(images), -1), labels])
    theirs = np.column_stack([bunch.data, bunch.target])
    assert (ours[np.lexsort(ours.T)] == theirs[np.lexsort(theirs.T)]).all()


@pytest.mark.parametrize(
    ("package", "name"), [("no_such_package", "x"), ("sklearn", "datasets/data/none.csv")]
)
def test_what_is_not_there_names_the_extra(package: str, name: str) -> None:
    with pytest.raises(MissingExtra, match=package) as refused:
        shipped(package, name, "build")
    assert refused.value.hint == "pip install 'edgezoo[build]'"
