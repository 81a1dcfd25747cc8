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

import ast
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo_builders.networks import lookup, own_imports
from zoo_builders.techniques import TECHNIQUES, Technique
from zoo_builders.techniques.compress.algorithms import ALGORITHMS, Algorithm, Params
from zoo_builders.techniques.compress.technique import Compressor
from zoo_registry.model.errors import WrongUse, ZooError
from zoo_registry.model.suggest import nearest

GUIDE = "see docs/guides/algorithm-author.md, 'An algorithm of your own, beside the manifest'"
PYTHON = "python:"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")


def adopt(name: str, spelled: str, file: Path) -> None:
    """Make the technique `name` known to a stage's process.

    The stage's params and files say where it is (`Own`).

    Raises:
        WrongUse: as for `Finder`.
    """
    TECHNIQUES.adopt(name, load(spelled, file))


def load(spelled: str, file: Path) -> Technique:
    """Run the file and make a technique of its algorithm.

    Raises:
        WrongUse: as for `algorithm`.
    """
    return Compressor(algorithm(spelled, file), own=True)


def algorithm(spelled: str, file: Path) -> Algorithm:
    """Run the file and give its algorithm, spelled as `Own` says.

    Raises:
        WrongUse: it imports TensorFlow, does not run, or holds no such algorithm.
    """
    _refuse_heavy(file)
    wanted = spelled.rpartition(":")[2]
    scope = _defined(spelled, file)
    own = {
        key: value
        for key, value in scope.items()
        if _is_algorithm(value) and not key.startswith("_")
    }
    here = {key: value for key, value in own.items() if value.__module__ == scope["__name__"]}
    kind = own.get(wanted) if wanted else next(iter(here.values()), None)
    if kind is None or (not wanted and len(here) > 1):
        have = ", ".join(sorted(here)) or "none"
        message = (
            f"{file.name} holds no algorithm {wanted!r}"
            if wanted
            else f"{file.name} holds {len(here)} algorithms, expected one"
        )
        raise WrongUse(message, hint=f"its algorithms: {have}; {GUIDE}")
    return _checked(kind, file)


def _is_algorithm(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Algorithm) and value is not Algorithm


def _defined(spelled: str, file: Path) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        if spelled.startswith(PYTHON):
            import importlib

            return dict(
                vars(importlib.import_module(spelled.removeprefix(PYTHON).partition(":")[0]))
            )
        own_imports.reach(file.parent)
        scope: dict[str, Any] = {"__name__": f"zoo_algorithm_{file.stem}", "__file__": str(file)}
        # the user's own code, named to be run
        exec(compile(file.read_bytes(), str(file), "exec"), scope)  # noqa: S102
        return scope

    with (
        ALGORITHMS.collecting()
    ):  # a file that registers itself, as those in compression/ do, is as good
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
        frames = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(file)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else (frames or [0])[-1]
        message = f"{file.name}, line {line}: {type(error).__name__}: {error}"
        raise WrongUse(message, hint=f"python {file.name}") from error


def _refuse_heavy(file: Path) -> None:
    """Insist that planning can run the file."""
    source = file.read_bytes()
    if lookup.is_light(source):
        return
    tops = [
        node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    line = next(
        (node.lineno for node in tops if not lookup.is_light(ast.unparse(node).encode())), 0
    )
    if line:
        message = (
            f"{file.name}, line {line}: it imports a deep-learning framework, and planning runs"
            " this file"
        )
        raise WrongUse(
            message,
            hint="import it inside the method that needs it; weights come and go as numpy arrays",
        )


def _checked(kind: type[Algorithm], file: Path) -> Algorithm:
    """Insist that a class says what an algorithm must."""
    line = next(
        (
            n.lineno
            for n in ast.walk(ast.parse(file.read_bytes()))
            if isinstance(n, ast.ClassDef) and n.name == kind.__name__
        ),
        0,
    )
    name, doc = getattr(kind, "name", None), getattr(kind, "doc", None)
    wrong = ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        wrong = f"its `name` is {name!r}, expected small letters, digits and '-'"
    elif not isinstance(doc, str) or not doc.strip():
        wrong = "it has no `doc`, which says what it costs and when it does not help"
    elif not (isinstance(kind.params, type) and issubclass(kind.params, Params)):
        wrong = "its `params` are no subclass of zoo_builders.techniques.compress.algorithms.Params"
    elif kind.fits is Algorithm.fits:
        known = [
            key for key in vars(kind) if callable(getattr(kind, key)) and not key.startswith("_")
        ]
        wrong = f"it has no method fits(self, node, params); {nearest('fits', known)}"
    if wrong:
        raise WrongUse(f"{file.name}, line {line}: {kind.__name__}: {wrong}", hint=GUIDE)
    return _told(file, kind)  # type: ignore[no-any-return]  # what a class gives when called
