"""`image-folder`: image files, one folder a class, or one folder of images without labels.

    FOLDER/train/cat/1.jpg   …/test/dog/2.png        a folder for each split, or
    FOLDER/cat/1.jpg         FOLDER/dog/2.png        one split, called `all`, or
    FOLDER/1.jpg             FOLDER/2.png            one split, called `all`, without labels: for
                             tasks that ask for none

A network whose weights come from elsewhere has its own order of classes: `classes` names a file
    with that order, and then the folders may
be some of them only. Images are read by `pictures`: upright, as RGB (or grey, with `channels: 1`),
and brought to `size`. What is not read (other files, hidden ones, deeper folders) is counted and
told, as are folders without examples.
Order: class, then file name, then mixed within each split by a permutation that is always the same,
so that any slice holds all classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from zoo_builders.data import pictures, untrusted
from zoo_builders.data.examples import BadData, Dataset, Report, Survey
from zoo_builders.data.preprocess import Pixels
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.data.tally import Tally
from zoo_builders.data.untrusted import ClassList
from zoo_builders.spec import Sha256, Spec


class ImageFolderArgs(Spec):
    """What `data.args` says about `image-folder`."""

    path: str = Field(description="the folder: relative to the manifest, or ${ZOO_DATA}/…")
    size: tuple[Pixels, Pixels] = Field(
        description="[height, width] of every image, resized with Pillow's bilinear filter"
    )
    channels: Literal[1, 3] = 3
    crop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description=(
            "keep this share of the middle, cut to the shape of `size`; else the whole image is"
            " stretched to it"
        ),
    )
    classes: ClassList = None
    sha256: Sha256 | None = Field(
        default=None, description="digest of the folder as `zoo plan` prints it"
    )


def load(args: ImageFolderArgs, files: Mapping[str, Path], report: Report) -> Dataset:
    """Read all images.

    Raises:
        BadData: no images, splits with different classes, or a file that is no image.
    """
    import numpy as np

    root = files["path"]
    found = untrusted.find(root, pictures.SUFFIXES)
    classes = untrusted.listed(found.splits, files.get("classes"))
    if not any(found.splits.values()):
        raise BadData(
            "; ".join((f"{root.name} holds no images", *found.notes)),
            hint=(
                "FOLDER/CLASS/FILE.jpg, FOLDER/SPLIT/CLASS/FILE.jpg, or FOLDER/FILE.jpg without"
                " labels"
            ),
        )
    like, tally = np.empty((*args.size, args.channels), np.uint8), Tally("picture")
    splits = untrusted.read(
        found.splits, classes, like, lambda file: _image(file, args, tally), report, "read images"
    )
    return Dataset(splits, classes, (0.0, 255.0), notes=(*found.notes, *tally.notes))


def survey(_args: ImageFolderArgs, files: Mapping[str, Path]) -> Survey:
    """Count the pictures by their folders; none is opened."""
    found = untrusted.find(files["path"], pictures.SUFFIXES)
    return found.survey(untrusted.listed(found.splits, files.get("classes")))


def _image(file: Path, args: ImageFolderArgs, tally: Tally) -> Any:
    import numpy as np

    height, width = args.size
    told = f"{file.parent.name}/{file.name}"
    image = pictures.read(file, told, "RGB" if args.channels > 1 else "L", tally)
    fitted = _fitted(image, (width, height), args.crop)
    return np.asarray(fitted, np.uint8).reshape(height, width, args.channels)


def _fitted(image: Any, size: tuple[int, int], crop: float | None) -> Any:
    """Bring a Pillow image to `size` (width, height): stretched, or its middle cut out first."""
    from PIL import Image, ImageOps

    if crop is None:
        return image.resize(size, Image.Resampling.BILINEAR)
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR, bleed=(1 - crop) / 2)


SOURCES.add(
    "image-folder",
    Source(
        ImageFolderArgs,
        load,
        untrusted.files_of,
        shape=lambda args: (*args.size, args.channels),
        survey=survey,
        tools=("numpy", "pillow"),
        doc="image files, one folder a class, or one folder without labels",
    ),
)
