"""A user's Python file with all that it imports from the same project: found, and hashed as one.

`python:nets.wide:network` may lie beside the manifest, above it in the project, or be installed.
What it imports from the project decides its result as much as its own bytes do; what is installed
is counted by its version elsewhere. Nothing is imported here.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest

_ENDS = (".git", "pyproject.toml", "setup.py", ".zoo")
"""What the top folder of a project holds."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_HIGHEST = 8
"""So many folders above the manifest are looked at."""

Read = Callable[[Path], bytes]
Exists = Callable[[Path], bool]


def roots(folder: Path) -> tuple[Path, ...]:
    """List the folders that a manifest in `folder` may import from, its own first.

    They end at the project's top folder: the one with `.git`, `pyproject.toml`, `setup.py` or
    `.zoo`. Where no folder above is one, they end where the command runs, and one above `folder` at
    least is listed.
    """
    above = (folder.absolute(), *folder.absolute().parents)[:_HIGHEST]
    for count, one in enumerate(above, start=1):
        if any((one / name).exists() for name in _ENDS):
            return above[:count]
    here = above.index(Path.cwd()) + 1 if Path.cwd() in above else 0
    return above[: max(2, here)]


def reach(folder: Path) -> None:
    """Let `python:…` words of a manifest in `folder` be imported, here and in stages.

    The folders go behind everything else that can be imported, so they hide nothing.
    """
    sys.path.extend(str(root) for root in roots(folder) if str(root) not in sys.path)


def digest(file: Path, folder: Path, read: Read, exists: Exists) -> Digest:
    """Hash a Python file and what it imports from its project, followed to the end.

    A file that imports nothing from there has the digest of its bytes. Names and bytes of the
    others are hashed with it. Files of installed packages are not followed.

    Raises:
        NotFound: `read` finds no such file.
    """
    tops = (*roots(folder), *_package_roots(file, exists))
    found: dict[Path, Digest] = {}
    waiting = [file.absolute()]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        source = read(one)
        found[one] = Digest.of(source)
        waiting.extend(_imported(source, one, tops, exists))
    own = found.pop(file.absolute())
    named = {_spelled(path, tops): value for path, value in found.items()}
    return digest_of({"file": own, "imports": named}) if named else own


def _package_roots(file: Path, exists: Exists) -> tuple[Path, ...]:
    """Give the folder that the file's package lies in, unless it is installed."""
    if _INSTALLED & set(file.parts):
        return ()
    top = file.absolute().parent
    while exists(top / "__init__.py") and top != top.parent:
        top = top.parent
    return (top,)


def _spelled(path: Path, tops: tuple[Path, ...]) -> str:
    """Name a file by its place below the deepest root: the project itself may move."""
    inside = [path.relative_to(top).as_posix() for top in tops if path.is_relative_to(top)]
    return min(inside, key=len, default=path.name)


def _imported(source: bytes, file: Path, tops: tuple[Path, ...], exists: Exists) -> Iterator[Path]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name.split("."), tops, exists)
        elif isinstance(node, ast.ImportFrom):
            words = node.module.split(".") if node.module else []
            within = (file.parents[node.level - 1],) if node.level else tops
            for alias in node.names:
                yield from _modules([*words, alias.name], within, exists)


def _modules(words: list[str], tops: tuple[Path, ...], exists: Exists) -> Iterator[Path]:
    """Give the files that importing a dotted name runs: each package on the way, and the module."""
    for top in tops:
        ways = [top.joinpath(*words[:count]) for count in range(1, len(words) + 1)]
        files = [
            file
            for way in ways
            for file in (way.with_name(f"{way.name}.py"), way / "__init__.py")
            if exists(file)
        ]
        if files:
            yield from (file.absolute() for file in files)
            return
