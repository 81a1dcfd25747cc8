"""Compression algorithms of a user, named in a recipe where a technique stands.

    - ./rounding.py: {epochs: 2}              a Python file, relative to the manifest; its one `Algorithm`
    - ./rounding.py:Rounding: {epochs: 2}     or the one of that name
    - python:package.module:Rounding: {…}     importable where zoo runs

The class says what an algorithm of `compression/` says, and becomes a technique called `<name>@<first digits of the file's sha256>`: other
code is another technique, in fingerprints and in records. What the file imports does not count. Planning runs the file, so it must not
import TensorFlow at its top; the stage runs it again. Pure but for the tree it reads and the file it runs.
"""

import ast
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from zoo_builders import networks, paths
from zoo_builders.compressing import technique_of
from zoo_builders.compression import ALGORITHMS, Algorithm, Params
from zoo_builders.inputs import Tree
from zoo_builders.mistakes import nearest
from zoo_builders.stage import SourceFile
from zoo_builders.techniques import TECHNIQUES, Technique
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import WrongUse, ZooError

GUIDE = "see docs/guides/algorithm-author.md, 'An algorithm of your own, beside the manifest'"
_PYTHON = "python:"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_DIGITS = 12


def is_own(name: str) -> bool:
    """Whether a key of a recipe names an algorithm of the user rather than a technique."""
    return name.startswith(_PYTHON) or name.endswith(".py") or ".py:" in name


@dataclass(frozen=True, slots=True)
class Own:
    """An algorithm that a recipe names.

    Attributes:
        spelled: what a stage is told, wherever the file lies: `file:CLASS`, or `python:module:CLASS`.
        file: the file whose bytes decide it.
    """

    spelled: str
    file: SourceFile


@dataclass(slots=True)
class Finder:
    """Finds the algorithms that a manifest in `folder` names; `found` grows: technique → where it comes from.

    Attributes:
        tree: where files are read from; code is run from the disk, and only where it is what the tree holds.
        env: for ${ZOO_DATA}.
    """

    folder: Path
    tree: Tree
    env: Mapping[str, str]
    found: dict[str, Own] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        """Make a technique of what `text` names; give the technique's name.

        Raises:
            WrongUse: there is no such file or module, it does not run, or holds no such algorithm; with file and line.
        """
        file, wanted = self._place(text)
        source = self.tree.read(file)
        digest = Digest.of(source)
        same = file.is_file() and file.read_bytes() == source
        if text.startswith(_PYTHON):
            module = text.removeprefix(_PYTHON).partition(":")[0]
            technique = load(f"{_PYTHON}{module}:{wanted}", file) if same else _unread(wanted, file)
            spelled = f"{_PYTHON}{module}:{wanted}"
        else:
            technique = load(f"file:{wanted}", file) if same else _unread(wanted, file)
            spelled = f"file:{wanted}"
        name = f"{technique.name}@{digest[:_DIGITS]}"
        TECHNIQUES.adopt(name, technique)
        self.found[name] = Own(spelled, SourceFile(path=str(file), sha256=digest))
        return name

    def _place(self, text: str) -> tuple[Path, str]:
        """Give the file, and the class's name where one is said."""
        if text.startswith(_PYTHON):
            found = networks.locate(text, self.folder, None, self.tree.exists)
            return found.file, found.function.partition(":")[2]
        bare, _, wanted = text.partition(".py:")
        path = paths.place(bare + ".py" if wanted else text, self.folder, self.env)
        if not self.tree.exists(path):
            raise WrongUse(f"no such file: {path}", hint="paths are relative to the manifest's folder")
        return path, wanted


def adopt(name: str, spelled: str, file: Path) -> None:
    """Make the technique `name` known to a stage's process, from what its params and files say (`Own`).

    Raises:
        WrongUse: as for `Finder`.
    """
    TECHNIQUES.adopt(name, load(spelled, file))


def load(spelled: str, file: Path) -> Technique:
    """Run the file and make a technique of its algorithm.

    Raises:
        WrongUse: as for `algorithm`.
    """
    return replace(technique_of(algorithm(spelled, file)), modules=())


def algorithm(spelled: str, file: Path) -> Algorithm:
    """Run the file and give its algorithm, spelled as `Own` says.

    Raises:
        WrongUse: it imports TensorFlow, does not run, or holds no such algorithm.
    """
    _refuse_heavy(file)
    wanted = spelled.rpartition(":")[2]
    scope = _defined(spelled, file)
    own = {key: value for key, value in scope.items() if _is_algorithm(value) and not key.startswith("_")}
    here = {key: value for key, value in own.items() if value.__module__ == scope["__name__"]}
    kind = own.get(wanted) if wanted else next(iter(here.values()), None)
    if kind is None or (not wanted and len(here) > 1):
        have = ", ".join(sorted(here)) or "none"
        message = f"{file.name} holds no algorithm {wanted!r}" if wanted else f"{file.name} holds {len(here)} algorithms, expected one"
        raise WrongUse(message, hint=f"its algorithms: {have}; {GUIDE}")
    return _checked(kind, file)


def _is_algorithm(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Algorithm) and value is not Algorithm


def _defined(spelled: str, file: Path) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        if spelled.startswith(_PYTHON):
            import importlib

            return dict(vars(importlib.import_module(spelled.removeprefix(_PYTHON).partition(":")[0])))
        scope: dict[str, Any] = {"__name__": f"zoo_algorithm_{file.stem}", "__file__": str(file)}
        exec(compile(file.read_bytes(), str(file), "exec"), scope)  # noqa: S102  the user's own code, named to be run
        return scope

    with ALGORITHMS.collecting():  # a file that registers itself, as those in compression/ do, is as good
        scope: dict[str, Any] = _told(file, run)
    return scope


def _told(file: Path, work: Callable[[], Any]) -> Any:
    """Do what runs the user's code; where it raises, say in which line of the file.

    Raises:
        WrongUse: it raised.
    """
    try:
        return work()
    except ZooError:
        raise
    except Exception as error:
        frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else (frames or [0])[-1]
        message = f"{file.name}, line {line}: {type(error).__name__}: {error}"
        raise WrongUse(message, hint=f"python {file.name}") from error


def _refuse_heavy(file: Path) -> None:
    """Insist that planning can run the file."""
    source = file.read_bytes()
    if networks.is_light(source):
        return
    tops = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    line = next((node.lineno for node in tops if not networks.is_light(ast.unparse(node).encode())), 0)
    if line:
        message = f"{file.name}, line {line}: it imports a deep-learning framework, and planning runs this file"
        raise WrongUse(message, hint="import it inside the method that needs it; weights come and go as numpy arrays")


def _checked(kind: type[Algorithm], file: Path) -> Algorithm:
    """Insist that a class says what an algorithm must."""
    line = next((n.lineno for n in ast.walk(ast.parse(file.read_bytes())) if isinstance(n, ast.ClassDef) and n.name == kind.__name__), 0)
    name, doc = getattr(kind, "name", None), getattr(kind, "doc", None)
    wrong = ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        wrong = f"its `name` is {name!r}, expected small letters, digits and '-'"
    elif not isinstance(doc, str) or not doc.strip():
        wrong = "it has no `doc`, which says what it costs and when it does not help"
    elif not (isinstance(kind.params, type) and issubclass(kind.params, Params)):
        wrong = "its `params` are no subclass of zoo_builders.compression.Params"
    elif kind.fits is Algorithm.fits:
        known = [key for key in vars(kind) if callable(getattr(kind, key)) and not key.startswith("_")]
        wrong = f"it has no method fits(self, node, params); {nearest('fits', known)}"
    if wrong:
        raise WrongUse(f"{file.name}, line {line}: {kind.__name__}: {wrong}", hint=GUIDE)
    return _told(file, kind)  # type: ignore[no-any-return]  # what a class gives when called


def _unread(wanted: str, file: Path) -> Technique:
    """Stand in for an algorithm of an old commit, whose code is not run: it takes any parameters and promises nothing."""
    name = (wanted or file.stem).lower().replace("_", "-")
    plain = technique_of(_Unread())
    return replace(plain, name=name, check=lambda *_: [], promises=lambda *_: [], layers=lambda *_: {}, rewrites=lambda graph, *_: graph,
                   remarks=lambda *_: [], outlasts=lambda _: True, modules=())  # fmt: skip


class _Anything(Params):
    """Parameters of an algorithm whose code is not run."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class _Unread(Algorithm):
    """An algorithm whose code is not run."""

    name = "unread"
    doc = "An algorithm of an old commit."
    params = _Anything

    def fits(self, node: Any, params: Any) -> str:
        """Fit nothing."""
        del node, params
        return "its code is not run"
