"""The digest of the code that decides a result.

Nothing is imported: modules are read as text, from the disk or a commit.

Code counts by meaning: a module is hashed as its syntax tree without docstrings, so comments,
    docstrings, blank lines and
formatting change no fingerprint. A stage depends on the modules that its entry module imports from
this package, followed to the end; modules that hold only types and plumbing (`PLUMBING`) do not
count. A plugin of another distribution counts with every byte of its package.
"""

import ast
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import zoo_builders
from zoo_builders.manifest.source_tree import Tree
from zoo_builders.stages import PACKAGE
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound

ROOT = Path(zoo_builders.__file__).resolve().parent

PLUMBING = frozenset(
    f"{PACKAGE}{name}"
    for name in (
        "",
        ".data.sources",
        ".devices",
        ".metrics",
        ".networks.lookup",
        ".networks.net",
        ".networks.shipped",
        ".networks.verdicts",
        ".pretrained.sources",
        ".spec",
        ".stage",
        ".stages",
        ".tasks",
        ".techniques",
        ".tflite.proof",
        ".training.settings",
    )
)
"""Modules that carry words and wiring between stages.

What they could change in a result stands in the stage's params
(of a network that can be read before the build: the digest of its graph)."""


@dataclass(slots=True)
class Code:
    """The package's source as one tree has it: the installed files, or those of a commit."""

    tree: Tree
    root: Path = ROOT
    _modules: dict[str, tuple[Digest, frozenset[str]] | None] = field(default_factory=dict)

    def digest(self, *entries: str) -> Digest:
        """Hash everything that the entry modules can run, as {module: digest of its meaning}."""
        found: dict[str, Digest] = {}
        waiting = list(entries)
        while waiting:
            name = waiting.pop()
            counts = name not in found and (name in entries or name not in PLUMBING)
            module = self._module(name) if counts else None
            if module is not None:
                found[name] = module[0]
                waiting.extend(module[1])
        return digest_of(found)

    def _module(self, name: str) -> tuple[Digest, frozenset[str]] | None:
        if name not in self._modules:
            if name.partition(".")[0] != PACKAGE:
                self._modules[name] = self._foreign(name)
            else:
                source = self._source(name)
                self._modules[name] = None if source is None else _understood(source)
        return self._modules[name]

    def _foreign(self, name: str) -> tuple[Digest, frozenset[str]] | None:
        """A plugin of another distribution: the bytes of its whole package, whatever it imports."""
        spec = importlib.util.find_spec(name.partition(".")[0])
        if spec is None or spec.origin is None:
            return None
        origin = Path(spec.origin)
        files = origin.parent.rglob("*.py") if spec.submodule_search_locations else [origin]
        read = {str(file.relative_to(origin.parent)): self.tree.digest(file) for file in files}
        return digest_of(read), frozenset()

    def _source(self, name: str) -> bytes | None:
        inner = name.removeprefix(PACKAGE).strip(".").replace(".", "/")
        for candidate in (f"{inner}.py", f"{inner}/__init__.py"):
            try:
                return self.tree.read(self.root / candidate)
            except NotFound:
                continue
        return None


def meaning(source: bytes) -> Digest:
    """Hash what Python code means.

    Its syntax tree without docstrings, line numbers and comments.
    """
    return _understood(source)[0]


@cache
def _understood(source: bytes) -> tuple[Digest, frozenset[str]]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Digest.of(source), frozenset()
    imports = frozenset(_imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = _without_docstring(node.body)
    return Digest.of(ast.dump(tree).encode()), imports


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Drop every statement that is a bare string.

    Docstrings of modules, classes, functions, and of constants.
    """
    return [
        s
        for s in body
        if not (
            isinstance(s, ast.Expr)
            and isinstance(s.value, ast.Constant)
            and isinstance(s.value.value, str)
        )
    ]


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
