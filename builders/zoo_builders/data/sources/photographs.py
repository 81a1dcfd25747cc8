"""`photographs`: square cut-outs of the photographs that scikit-learn and scikit-image ship.

They have no labels. Nothing is downloaded.

Seven colour photographs: astronaut, chelsea (a cat), coffee, motorcycle and rocket from
scikit-image, china and flower from scikit-learn. Every cut-out is a square of 60 to 100 % of the
shorter side at a seeded random place, resized with Pillow's bilinear filter, every second one
mirrored. The splits `train` and `test` are drawn apart, from the same photographs. Enough to fix
the ranges of activations and to compare files with each other on real images; no measure of
accuracy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from zoo_builders.data import pictures
from zoo_builders.data.examples import UNLABELLED, Dataset, Examples, Report
from zoo_builders.data.preprocess import Pixels
from zoo_builders.data.shipped import shipped
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.data.tally import Tally
from zoo_builders.spec import Spec

FILES = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
"""(package, file in it) of each photograph."""

_SMALLEST = 0.6
_SEEDS = {"train": 1, "test": 2}


class PhotographsArgs(Spec):
    """What `data.args` says about `photographs`."""

    size: tuple[Pixels, Pixels] = Field(description="[height, width] of every image")
    count: int = Field(
        default=210,
        ge=len(FILES),
        le=100_000,
        description="cut-outs in each split, the same number of every photograph",
    )


def load(args: PhotographsArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    """Cut the photographs out.

    Raises:
        MissingExtra: a package that ships them is not installed.
    """
    photographs = [_read(package, name) for package, name in FILES]
    splits = {}
    for done, (split, seed) in enumerate(_SEEDS.items()):
        report(done, len(_SEEDS), f"cut out {split}")
        splits[split] = _cut(photographs, args, seed)
    report(len(_SEEDS), len(_SEEDS), "cut out")
    return Dataset(splits, (), (0.0, 255.0))


def _read(package: str, name: str) -> Any:
    return pictures.read(shipped(package, name, "weights"), name, "RGB", Tally("picture"))


def _cut(photographs: list[Any], args: PhotographsArgs, seed: int) -> Examples:
    import numpy as np

    random = np.random.Generator(np.random.PCG64(seed))
    each = args.count // len(photographs)
    images = np.stack(
        [_cut_out(photograph, args.size, random) for photograph in photographs for _ in range(each)]
    )
    images[1::2] = images[1::2, :, ::-1]
    return Examples(images, np.full(len(images), UNLABELLED, np.int64)).mixed()


def _cut_out(photograph: Any, size: tuple[int, int], random: Any) -> Any:
    import numpy as np
    from PIL import Image

    width, height = photograph.size
    side = int(min(width, height) * random.uniform(_SMALLEST, 1))
    left, top = (int(random.integers(0, room - side + 1)) for room in (width, height))
    part = photograph.resize(
        size[::-1], Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    return np.asarray(part, np.uint8)


SOURCES.add(
    "photographs",
    Source(
        PhotographsArgs,
        load,
        splits=tuple(_SEEDS),
        shape=lambda args: (*args.size, 3),
        tools=("numpy", "pillow", "scikit-image", "scikit-learn"),
        doc=(
            "cut-outs of seven photographs from scikit-learn and scikit-image, without labels;"
            " offline"
        ),
    ),
)
