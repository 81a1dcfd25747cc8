"""`image-folder`: image files, one folder a class, or one folder of images without labels.

    FOLDER/train/cat/1.jpg   …/test/dog/2.png        a folder for each split, or
    FOLDER/cat/1.jpg         FOLDER/dog/2.png        one split, called `all`, or
    FOLDER/1.jpg             FOLDER/2.png            one split, called `all`, without labels: for tasks that ask for none

Images are read as RGB (or grey, with `channels: 1`) and brought to `size`. Order: class, then file name, then mixed within each split
by a permutation that is always the same, so that any slice holds all classes.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo_builders.data import SOURCES, UNLABELLED, BadData, Dataset, Examples, FileArg, Report, Source
from zoo_builders.preprocess import Pixels
from zoo_builders.specs import Sha256, Spec

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm"})
_EVERY = 100


class ImageFolderArgs(Spec):
    """What `data.args` says about `image-folder`."""

    path: str = Field(description="the folder: relative to the manifest, or ${ZOO_DATA}/…")
    size: tuple[Pixels, Pixels] = Field(description="[height, width] of every image, resized with Pillow's bilinear filter")
    channels: Literal[1, 3] = 3
    sha256: Sha256 | None = Field(default=None, description="digest of the folder as `zoo plan` prints it")


def load(args: ImageFolderArgs, files: Mapping[str, Path], report: Report) -> Dataset:
    """Read all images.

    Raises:
        BadData: no images, splits with different classes, or a file that is no image.
    """
    root = files["path"]
    found = {name: class_files(folder, _SUFFIXES) for name, folder in split_folders(root).items()}
    classes = tuple(sorted({name for listing in found.values() for name, _ in listing}))
    if not classes:
        found = {"all": [("", file) for file in _files_in(root, _SUFFIXES)]}
    if not any(found.values()):
        raise BadData(
            f"{root.name} holds no images", hint="FOLDER/CLASS/FILE.jpg, FOLDER/SPLIT/CLASS/FILE.jpg, or FOLDER/FILE.jpg without labels"
        )
    total = sum(map(len, found.values()))
    done = 0
    splits = {}
    for name, listing in found.items():
        splits[name] = _examples(listing, classes, args, lambda count, base=done: report(base + count, total, "read images"))
        done += len(listing)
    return Dataset(splits, classes, (0.0, 255.0))


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def split_folders(root: Path) -> dict[str, Path]:
    """Give split → its folder: those of the first level where each of them holds folders, else the folder itself as `all`."""
    inner = _folders(root)
    nested = bool(inner) and all(_folders(folder) for folder in inner)
    return {folder.name: folder for folder in inner} if nested else {"all": root}


def class_files(folder: Path, suffixes: Collection[str]) -> list[tuple[str, Path]]:
    """List (class, file) of the files with these suffixes in the folders of `folder`, by class, then by file name."""
    return [(inner.name, file) for inner in _folders(folder) for file in _files_in(inner, suffixes)]


def _files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in suffixes and file.is_file()]


def _examples(listing: list[tuple[str, Path]], classes: tuple[str, ...], args: ImageFolderArgs, report: Any) -> Examples:
    import numpy as np

    images = np.empty((len(listing), *args.size, args.channels), np.uint8)
    labels = np.empty(len(listing), np.int64)
    for place, (name, file) in enumerate(listing):
        images[place], labels[place] = _image(file, args), classes.index(name) if classes else UNLABELLED
        if place % _EVERY == 0:
            report(place)
    report(len(listing))
    return Examples(images, labels).mixed()


def _image(file: Path, args: ImageFolderArgs) -> Any:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    height, width = args.size
    try:
        with Image.open(file) as image:
            converted = image.convert("RGB" if args.channels > 1 else "L").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BadData(f"{file.parent.name}/{file.name} is not an image: {error}") from error
    return np.asarray(converted, np.uint8).reshape(height, width, args.channels)


def _files(args: ImageFolderArgs) -> Mapping[str, FileArg]:
    return {"path": FileArg(args.path, args.sha256)}


SOURCES.add(
    "image-folder",
    Source(
        ImageFolderArgs, load, _files, shape=lambda args: (*args.size, args.channels), tools=("numpy", "pillow"),
        doc="image files, one folder a class, or one folder without labels",
    ),
)  # fmt: skip
