"""Compression algorithms of a user, named in a recipe where a technique stands.

    - ./rounding.py: {epochs: 2}              a Python file, relative to the manifest; its one
                                              `Algorithm`
    - ./rounding.py:Rounding: {epochs: 2}     or the one of that name
    - python:package.module:Rounding: {…}     in the project, or installed

The class says what an algorithm of `compression/` says, and becomes a technique called
`<name>@<first digits of its code's sha256>`: other code is another technique, in fingerprints and
in records. What the file imports from its project counts as well. Planning runs the file, so it
must not import TensorFlow at its top; the stage runs it again. Pure but for the tree it reads and
the file it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict

from zoo_builders.manifest import paths
from zoo_builders.manifest.source_tree import Tree
from zoo_builders.networks import lookup, own_imports
from zoo_builders.stage import SourceFile
from zoo_builders.techniques import TECHNIQUES, Technique
from zoo_builders.techniques.compress import work
from zoo_builders.techniques.compress.algorithms import Params
from zoo_builders.techniques.compress.own import PYTHON, load
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.errors import WrongUse

_DIGITS = 12


def is_own(name: str) -> bool:
    """Whether a key of a recipe names an algorithm of the user rather than a technique."""
    return name.startswith(PYTHON) or name.endswith(".py") or ".py:" in name


@dataclass(frozen=True, slots=True)
class Own:
    """An algorithm that a recipe names.

    Attributes:
        spelled: what a stage is told, wherever the file lies: `file:CLASS`, or
            `python:module:CLASS`.
        file: the file whose bytes decide it.
    """

    spelled: str
    file: SourceFile


@dataclass(slots=True)
class Finder:
    """Finds the algorithms that a manifest in `folder` names.

    `found` grows: technique → where it comes from.

    Attributes:
        tree: where files are read from; code is run from the disk, and only where it is what the
            tree holds.
        env: for ${ZOO_DATA}.
    """

    folder: Path
    tree: Tree
    env: Mapping[str, str]
    found: dict[str, Own] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        """Make a technique of what `text` names; give the technique's name.

        Raises:
            WrongUse: there is no such file or module, it does not run, or holds no such algorithm;
                with file and line.
        """
        file, wanted = self._place(text)
        source = self.tree.read(file)
        digest = own_imports.digest(file, self.folder, self.tree.read, self.tree.exists)
        same = file.is_file() and file.read_bytes() == source
        spelled = text if text.startswith(PYTHON) else f"file:{wanted}"
        technique = load(spelled, file) if same else _unread(wanted, file)
        name = f"{technique.name}@{digest[:_DIGITS]}"
        TECHNIQUES.adopt(name, technique)
        self.found[name] = Own(spelled, SourceFile(path=str(file), sha256=digest))
        return name

    def _place(self, text: str) -> tuple[Path, str]:
        """Give the file, and the class's name where one is said."""
        if text.startswith(PYTHON):
            found = lookup.locate(text, self.folder, None, self.tree.exists)
            return found.file, found.function.partition(":")[2]
        bare, _, wanted = text.partition(".py:")
        path = paths.place(bare + ".py" if wanted else text, self.folder, self.env)
        if not self.tree.exists(path):
            raise WrongUse(
                f"no such file: {path}", hint="paths are relative to the manifest's folder"
            )
        return path, wanted


class _Anything(Params):
    """Parameters of an algorithm whose code is not run."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class _Unread(Technique):
    """Stands in for an algorithm of an old commit, whose code is not run.

    It takes any parameters and promises nothing.
    """

    params = _Anything
    work = work

    def __init__(self, name: str) -> None:
        self.name = name

    def promises(self, *_: object) -> tuple[Promise, ...]:
        """State nothing: what the code would promise is not known."""
        return ()


def _unread(wanted: str, file: Path) -> Technique:
    return _Unread((wanted or file.stem).lower().replace("_", "-"))
