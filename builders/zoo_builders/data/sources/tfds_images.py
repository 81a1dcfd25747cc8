"""`tfds`: image classification sets of TensorFlow Datasets.

Downloaded and prepared by that package.

Needs `tensorflow-datasets` installed, and the network the first time. Features `image` and `label`
are read.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from zoo_builders.data.examples import BadData, Dataset, Examples, Report
from zoo_builders.data.preprocess import Pixels
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Spec
from zoo_registry.model.errors import MissingExtra


class TfdsArgs(Spec):
    """What `data.args` says about `tfds`."""

    name: str = Field(
        pattern=r"^[a-z0-9_]+(/[a-z0-9_.-]+)?(:\d+\.\d+\.\d+)?$",
        description="such as mnist or cifar10:3.0.2",
    )
    size: tuple[Pixels, Pixels] | None = Field(
        default=None, description="[height, width], for sets whose images differ in size"
    )


def load(args: TfdsArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    """Load every split into memory.

    Raises:
        MissingExtra: tensorflow-datasets is not installed.
        BadData: the set is unknown, cannot be downloaded, or has no image and label.
    """
    try:
        tfds: Any = importlib.import_module("tensorflow_datasets")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the source tfds needs tensorflow-datasets", hint="pip install 'edgezoo[tfds]'"
        ) from error
    report(0, 1, f"tfds {args.name}")
    try:
        loaded, info = tfds.load(args.name, with_info=True)
        splits = {name: _examples(tfds.as_numpy(split), args) for name, split in loaded.items()}
        classes = tuple(info.features["label"].names)
    except Exception as error:
        hint = "connect once so that it can be downloaded, or use npz-images with a file you have"
        raise BadData(f"tfds {args.name} could not be loaded: {error}", hint=hint) from error
    report(1, 1, f"tfds {args.name}")
    return Dataset(splits, classes, (0.0, 255.0))


def _examples(rows: Any, args: TfdsArgs) -> Examples:
    import numpy as np
    from PIL import Image

    images, labels = [], []
    for row in rows:
        image = row["image"]
        if args.size is not None:
            height, width = args.size
            shown = Image.fromarray(image if image.shape[-1] > 1 else image[..., 0])
            image = np.asarray(shown.resize((width, height), Image.Resampling.BILINEAR)).reshape(
                height, width, -1
            )
        images.append(image)
        labels.append(row["label"])
    return Examples(np.stack(images), np.asarray(labels, np.int64))


SOURCES.add(
    "tfds",
    Source(
        TfdsArgs,
        load,
        tools=("tensorflow-datasets",),
        doc="TensorFlow Datasets; needs that package",
    ),
)
