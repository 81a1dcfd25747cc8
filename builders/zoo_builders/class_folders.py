"""Files in folders named after their classes, with or without a folder for each split above them.

    FOLDER/CLASS/FILE            one split, called `all`
    FOLDER/SPLIT/CLASS/FILE      one split a folder, when every folder of the first level holds folders

Order: class, then file name, then mixed within each split by a permutation that is always the same, so that any slice holds all classes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_builders.data import UNLABELLED, Examples, Report

Listing = Sequence[tuple[str, Path]]
"""(class, file); the class is empty where there are none."""

_EVERY = 100


def find(root: Path, suffixes: Collection[str]) -> dict[str, Listing]:
    """List the files with these suffixes (lower case, with the dot) by split."""
    inner = _folders(root)
    nested = bool(inner) and all(_folders(folder) for folder in inner)
    splits = {folder.name: folder for folder in inner} if nested else {"all": root}
    return {name: [(kind.name, file) for kind in _folders(folder) for file in files_in(kind, suffixes)] for name, folder in splits.items()}


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files of one folder with these suffixes, by name."""
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in suffixes and file.is_file()]


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def classes_of(found: Mapping[str, Listing]) -> tuple[str, ...]:
    """Name the classes of all splits, sorted."""
    return tuple(sorted({name for listing in found.values() for name, _ in listing if name}))


def read(found: Mapping[str, Listing], like: Any, one: Callable[[Path], Any], report: Report, note: str) -> dict[str, Examples]:
    """Read every file with `one`, which gives an array of the shape and type of `like`; report every hundredth."""
    import numpy as np

    total, done = sum(map(len, found.values())), 0
    classes, splits = classes_of(found), {}
    for split, listing in found.items():
        values, labels = np.empty((len(listing), *like.shape), like.dtype), np.empty(len(listing), np.int64)
        for place, (name, file) in enumerate(listing):
            values[place], labels[place] = one(file), classes.index(name) if classes else UNLABELLED
            if place % _EVERY == 0:
                report(done + place, total, note)
        done += len(listing)
        splits[split] = Examples(values, labels).mixed()
    report(done, total, note)
    return splits
