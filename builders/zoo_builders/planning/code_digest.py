"""The digest of the code that decides a result.

Nothing is imported: modules are read as text, from the disk or a commit.

Code counts by meaning: a module is hashed as its syntax tree without what only talks to people:
docstrings, hints, the words of exceptions, objections and verdicts, descriptions of parameters.
Comments and formatting are in no syntax tree. A stage depends on the modules that its entry modules
import from this package, followed to the end. Imports for types alone are not followed, and modules
that hold only types and wiring (`PLUMBING`) do not count. A plugin of another distribution counts
with every byte of its package.
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
        ".techniques.compress.own",
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
    _modules: dict[str, tuple[Digest, frozenset[tuple[str, str]]] | None] = field(
        default_factory=dict
    )

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
                waiting.extend(
                    inner if self._module(inner) else outer for outer, inner in module[1]
                )
        return digest_of(found)

    def _module(self, name: str) -> tuple[Digest, frozenset[tuple[str, str]]] | None:
        if name not in self._modules:
            if name.partition(".")[0] != PACKAGE:
                self._modules[name] = self._foreign(name)
            else:
                source = self._source(name)
                self._modules[name] = None if source is None else _understood(source)
        return self._modules[name]

    def _foreign(self, name: str) -> tuple[Digest, frozenset[tuple[str, str]]] | None:
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

    Its syntax tree without line numbers, comments, and what only talks to people.
    """
    return _understood(source)[0]


@cache
def _understood(source: bytes) -> tuple[Digest, frozenset[tuple[str, str]]]:
    """Give the digest of a module's meaning, and what it imports from here: (module, name in it).

    The name may be a module of its own.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Digest.of(source), frozenset()
    silent = _Silent().visit(tree)
    return Digest.of(ast.dump(silent).encode()), frozenset(_imports(silent))


def _imports(tree: ast.AST) -> Iterable[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [(node.module, f"{node.module}.{alias.name}") for alias in node.names]
        else:
            continue
        yield from (one for one in found if one[0].partition(".")[0] == PACKAGE)


class _Silent(ast.NodeTransformer):
    """Takes out of a syntax tree what only talks to people, and what is there for types alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop bare strings: docstrings of modules, classes, functions and constants."""
        return None if _is_text(node.value) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        """Drop imports for types; what stands behind their `else` runs, and stays."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(line) for line in node.orelse]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep of an exception its class, and what is no text, such as the kind of a failure."""
        if isinstance(node.exc, ast.Call):
            node.exc.args = []
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop hints, descriptions of parameters, and all that objections and verdicts say."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _SAYING:
            node.args, node.keywords = [], []
        words = {"hint", "description"} if name == "Field" else {"hint"}
        node.keywords = [one for one in node.keywords if one.arg not in words]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop local texts too that only what was dropped used."""
        before = _loaded(node)
        self.generic_visit(node)
        unused = before - _loaded(node)
        for inner in ast.walk(node):
            for block in ("body", "orelse"):
                lines = getattr(inner, block, None)
                if isinstance(lines, list):
                    setattr(inner, block, [one for one in lines if not _names_text(one, unused)])
        return node


_SAYING = frozenset({"Objection", "Verdict", "Complaint"})
"""What carries words to people and nothing else."""


def _loaded(tree: ast.AST) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _names_text(line: ast.AST, names: set[str]) -> bool:
    """Whether a line gives a text one of these names."""
    if not isinstance(line, ast.Assign) or not _is_text(line.value):
        return False
    return all(isinstance(target, ast.Name) and target.id in names for target in line.targets)


def _is_text(value: ast.AST) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_text(value.body) and _is_text(value.orelse)
    constant = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return constant or isinstance(value, ast.JoinedStr)
