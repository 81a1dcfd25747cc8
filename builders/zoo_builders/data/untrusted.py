"""Files of strangers: class folders and `.npz` archives.

Read within bounds and without running anything.

    FOLDER/CLASS/FILE            one split, called `all`
    FOLDER/SPLIT/CLASS/FILE      one split a folder, when every folder of the first level holds
                                 folders

Order: class, then file name, then mixed within each split by a permutation that is always the same,
    so that any slice holds all classes.
"""

import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zoo_builders.data.examples import UNLABELLED, BadData, Examples, FileArg, Report

ClassList = Annotated[
    str | None,
    Field(
        description=(
            "a text file, one class a line in the order of the network's outputs; else the folders'"
            " names, sorted"
        )
    ),
]


def files_of(args: Any) -> dict[str, FileArg]:
    """Name the files of arguments with `path`, `sha256` and, in folders of classes, `classes`."""
    classes: str | None = getattr(args, "classes", None)
    named = {"path": FileArg(args.path, args.sha256)}
    return named | ({"classes": FileArg(classes)} if classes else {})


Listing = Sequence[tuple[str, Path]]
"""(class, file); the class is empty where there are none."""

_EVERY = 100
_LIST = "one class a line, in the order of the network's outputs; folders are named like them"


def find(root: Path, suffixes: Collection[str]) -> dict[str, Listing]:
    """List the files with these suffixes (lower case, with the dot) by split."""
    inner = _folders(root)
    nested = bool(inner) and all(_folders(folder) for folder in inner)
    splits = {folder.name: folder for folder in inner} if nested else {"all": root}
    return {
        name: [(kind.name, file) for kind in _folders(folder) for file in files_in(kind, suffixes)]
        for name, folder in splits.items()
    }


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files of one folder with these suffixes, by name."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in suffixes and file.is_file()
    ]


def _folders(root: Path) -> list[Path]:
    return sorted(
        entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def classes_of(found: Mapping[str, Listing]) -> tuple[str, ...]:
    """Name the classes of all splits, sorted."""
    return tuple(sorted({name for listing in found.values() for name, _ in listing if name}))


def listed(found: Mapping[str, Listing], file: Path | None) -> tuple[str, ...]:
    """Name the classes in the network's order.

    The lines of `file`, where there is one, else the folders, sorted.

    Raises:
        BadData: the list is no text, names a class twice, or lacks that of a folder.
    """
    there = classes_of(found)
    if file is None or not there:
        return there
    try:
        names = tuple(
            line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file.name} is not a list of classes: {error}", hint=_LIST) from error
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise BadData(f"{file.name} names the class {twice!r} more than once", hint=_LIST)
    strange = next((name for name in there if name not in names), None)
    if strange is not None:
        raise BadData(
            f"the folder {strange!r} is none of the {len(names)} classes that {file.name} names",
            hint=_LIST,
        )
    return names


def read(
    found: Mapping[str, Listing],
    classes: Sequence[str],
    like: Any,
    one: Callable[[Path], Any],
    report: Report,
    note: str,
) -> dict[str, Examples]:
    """Read every file with `one`, which gives an array of the shape and type of `like`.

    Report every hundredth.

    A label is the place of the folder's name among `classes`; without classes there are none.
    """
    import numpy as np

    total, done, splits = sum(map(len, found.values())), 0, {}
    numbers = {name: number for number, name in enumerate(classes)}
    for split, listing in found.items():
        values, labels = (
            np.empty((len(listing), *like.shape), like.dtype),
            np.empty(len(listing), np.int64),
        )
        for place, (name, file) in enumerate(listing):
            values[place], labels[place] = one(file), numbers[name] if classes else UNLABELLED
            if place % _EVERY == 0:
                report(done + place, total, note)
        done += len(listing)
        splits[split] = Examples(values, labels).mixed()
    report(done, total, note)
    return splits


def arrays(path: Path, limit: int) -> dict[str, Any]:
    """Read all arrays of a file that unpacks to at most `limit` bytes.

    Raises:
        BadData: it is no .npz file, is damaged, holds objects, or unpacks to more.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > limit:
            raise BadData(f"{path.name} unpacks to {unpacked} bytes; at most {limit} are read")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:  # the last: a compression zipfile lacks
        raise BadData(
            f"{path.name} is not a readable .npz file: {error}",
            hint="write it with numpy.savez, without objects",
        ) from error
