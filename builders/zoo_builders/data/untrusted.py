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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zoo_builders.data.examples import UNLABELLED, BadData, Examples, FileArg, Report, Survey

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
_DEEPER = "in folders below those of classes"
_NOT_OURS = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Folders that archives, network drives and file systems leave beside one's own."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What lies in a folder of examples.

    Attributes:
        splits: split → its files with their classes.
        empty: class folders (split/class) without a file that is read.
        skipped: why files were not read → how many.
    """

    splits: Mapping[str, Listing]
    empty: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line on what was not read, one on folders without examples."""
        reasons = [f"{count} {why}" for why, count in sorted(self.skipped.items())]
        told = [f"{sum(self.skipped.values())} files were not read: {', '.join(reasons)}"]
        folders = [f"no example lies in {', '.join(self.empty)}: such a folder is no class"]
        return tuple((told if reasons else []) + (folders if self.empty else []))

    def survey(self, classes: tuple[str, ...]) -> Survey:
        """Say how many examples there are, under the names that labels will have."""
        counts = {split: len(listing) for split, listing in self.splits.items()}
        return Survey(counts, classes, self.notes)


def find(root: Path, suffixes: Collection[str]) -> Listed:
    """List the files with these suffixes (lower case, with the dot) by split.

    Folders of the first level are splits where none of them holds such files itself and one holds
    folders; else they are classes, or `root` holds the files of one split without classes.
    """
    inner, skipped = _folders(root), Counter[str]()
    nested = any(_folders(folder) for folder in inner) and not any(
        files_in(folder, suffixes) for folder in inner
    )
    if not nested and not any(files_in(folder, suffixes) for folder in inner):
        _count_skipped(root, skipped, suffixes)
        return Listed({"all": [("", file) for file in files_in(root, suffixes)]}, (), skipped)
    _count_loose(root, skipped)
    splits, empty = {}, []
    for name, folder in [(one.name, one) for one in inner] if nested else [("all", root)]:
        if nested:
            _count_loose(folder, skipped)
        kinds = {kind: files_in(kind, suffixes) for kind in _folders(folder)}
        for kind, files in kinds.items():
            _count_skipped(kind, skipped, suffixes)
            empty += [] if files else [kind.relative_to(root).as_posix()]
        empty += [] if kinds else [name]
        splits[name] = [(kind.name, file) for kind, files in kinds.items() for file in files]
    return Listed(splits, tuple(empty), skipped)


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files of one folder with these suffixes, by name; hidden ones are none."""
    return [entry for entry in sorted(folder.iterdir()) if not _why_not(entry, suffixes)]


def _why_not(entry: Path, suffixes: Collection[str]) -> str:
    """Say why an entry of a folder is no example; empty where it is one."""
    if entry.is_dir():
        return "a folder"
    if entry.name.startswith("."):
        return "hidden (a name that starts with a dot)"
    if entry.suffix.lower() not in suffixes:
        return entry.suffix.lower() or "without a suffix"
    if not entry.is_file():
        return "links that lead nowhere" if entry.is_symlink() else "no files"
    return ""


def _count_skipped(folder: Path, skipped: Counter[str], suffixes: Collection[str]) -> None:
    """Count what is not read of a folder of examples; files of deeper folders are one reason."""
    for entry in folder.iterdir():
        if entry.is_dir():
            below = sum(1 for inner in entry.rglob("*") if not inner.is_dir())
            skipped.update({_DEEPER: below} if below else {})
        elif why := _why_not(entry, suffixes):
            skipped[why] += 1


def _count_loose(folder: Path, skipped: Counter[str]) -> None:
    """Count the files that lie beside folders of classes."""
    loose = sum(1 for entry in folder.iterdir() if not entry.is_dir())
    if loose:
        skipped["beside the folders of classes"] += loose


def _folders(root: Path) -> list[Path]:
    return sorted(
        entry
        for entry in root.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _NOT_OURS
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
        names = tuple("/".join(file.parts[-3:]) for _, file in listing)
        splits[split] = Examples(values, labels, names).mixed()
    report(done, total, note)
    return splits


def arrays(path: Path, limit: int, only: Collection[str] | None = None) -> dict[str, Any]:
    """Read all arrays (or those of `only`) of a file, which unpack to at most `limit` bytes.

    Raises:
        BadData: it is no .npz file, is damaged, holds objects, or unpacks to more.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(
                entry.file_size
                for entry in archive.infolist()
                if only is None or entry.filename.removesuffix(".npy") in only
            )
        if unpacked > limit:
            raise BadData(f"{path.name} unpacks to {unpacked} bytes; at most {limit} are read")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if only is None or name in only}
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


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Give the shape of each array of an .npz file; only headers are read.

    Arrays whose header cannot be read are left out: `arrays` says why.
    """
    import numpy as np

    found = {}
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            with suppress(OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError):
                with archive.open(entry) as member:
                    version = np.lib.format.read_magic(member)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, _ = read(member)
                if shape:
                    found[entry.removesuffix(".npy")] = tuple(map(int, shape))
    return found
