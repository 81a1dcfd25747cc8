"""`keras`: the image sets of `keras.datasets` (mnist, fashion_mnist, cifar10, cifar100).

Downloaded once by Keras.

Needs the network the first time; Keras checks the download's digest and keeps it in
`~/.keras/datasets`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from zoo_builders.data.examples import BadData, Dataset, Examples, Report
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Spec

_GREY = 3


class KerasArgs(Spec):
    """What `data.args` says about `keras`."""

    name: Literal["mnist", "fashion_mnist", "cifar10", "cifar100"]


def load(args: KerasArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    """Load the data set through Keras.

    Raises:
        BadData: it is not on this machine and could not be downloaded.
    """
    tf = importlib.import_module("zoo_builders.tf")
    report(0, 1, f"keras.datasets.{args.name}")
    try:
        train, test = getattr(tf.keras.datasets, args.name).load_data()
    except Exception as error:
        hint = "connect once so that Keras can download it, or use npz-images with a file you have"
        raise BadData(
            f"keras.datasets.{args.name} could not be loaded: {error}", hint=hint
        ) from error
    report(1, 1, f"keras.datasets.{args.name}")
    splits = {"train": _examples(*train), "test": _examples(*test)}
    count = int(max(examples.labels.max() for examples in splits.values())) + 1
    return Dataset(splits, tuple(str(number) for number in range(count)), (0.0, 255.0))


def _examples(images: Any, labels: Any) -> Examples:
    import numpy as np

    images = np.asarray(images, np.uint8)
    return Examples(
        images[..., None] if images.ndim == _GREY else images,
        np.asarray(labels, np.int64).reshape(-1),
    )


SOURCES.add(
    "keras",
    Source(
        KerasArgs,
        load,
        splits=("train", "test"),
        tools=("tf_keras",),
        doc="keras.datasets: mnist, cifar10, …; downloaded",
    ),
)
