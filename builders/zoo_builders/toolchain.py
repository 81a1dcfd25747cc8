"""What a result depends on beside its configuration: versions of libraries and the code of this package. Imports none of them.

Code counts by meaning: a module is hashed as its syntax tree without docstrings, so comments, docstrings, blank lines and
formatting change no fingerprint. A stage depends on the modules that its entry module imports from this package, followed to
the end; modules that hold only types and plumbing (`PLUMBING`) do not count.
"""

import ast
import importlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo_builders
from zoo_builders.data import SOURCES
from zoo_builders.inputs import Tree
from zoo_builders.stage import StageKind
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound

if TYPE_CHECKING:
    from zoo_builders.manifest import Resolved

PACKAGE = "zoo_builders"
ROOT = Path(zoo_builders.__file__).resolve().parent
PLUMBING = frozenset(
    f"{PACKAGE}{name}"
    for name in (
        "",
        ".stage",
        ".specs",
        ".proof",
        ".net",
        ".networks",
        ".techniques",
        ".models",
        ".data",
        ".tasks",
        ".metrics",
        ".devices",
        ".weights_sources",
        ".inputs",
        ".toolchain",
    )
)
"""Modules that carry words and wiring between stages; what they could change in a result stands in the stage's params
(of a network that can be read before the build: the digest of its graph)."""

_TENSORFLOW = ("tensorflow", "tf_keras", "numpy")
LITERT = "litert"
"""Name of the second quantizing engine, as `quantize` spells it."""

TOOLS: Mapping[StageKind, tuple[str, ...]] = {
    "data": ("numpy",),
    "base": _TENSORFLOW,
    "import": ("ai-edge-litert", "flatbuffers", "numpy"),
    "technique": (*_TENSORFLOW, "tensorflow-model-optimization"),
    "convert": (*_TENSORFLOW, "ai-edge-litert"),
    "inspect": ("ai-edge-litert", "flatbuffers", "numpy"),
    "evaluate": ("ai-edge-litert", "numpy"),
    "benchmark": ("ai-edge-litert", "numpy"),
}
ENTRY: Mapping[StageKind, str] = {
    "data": f"{PACKAGE}.data_stage",
    "base": f"{PACKAGE}.train",
    "import": f"{PACKAGE}.import_file",
    "technique": f"{PACKAGE}.apply",
    "convert": f"{PACKAGE}.convert",
    "inspect": f"{PACKAGE}.inspect",
    "evaluate": f"{PACKAGE}.evaluate",
    "benchmark": f"{PACKAGE}.benchmark",
}


@cache
def version(distribution: str) -> str:
    """Version of an installed distribution, `missing` when there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "missing"


def tools(kind: StageKind, extra: Iterable[str] = ()) -> dict[str, str]:
    """Name → version of what decides a stage's result, Python's minor version included."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: version(name) for name in sorted({*TOOLS[kind], *extra})}


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
            source = self._source(name)
            self._modules[name] = None if source is None else _understood(source)
        return self._modules[name]

    def _source(self, name: str) -> bytes | None:
        inner = name.removeprefix(PACKAGE).strip(".").replace(".", "/")
        for candidate in (f"{inner}.py", f"{inner}/__init__.py"):
            try:
                return self.tree.read(self.root / candidate)
            except NotFound:
                continue
        return None


def meaning(source: bytes) -> Digest:
    """Hash what Python code means: its syntax tree without docstrings, line numbers and comments."""
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
    """Drop every statement that is a bare string: docstrings of modules, classes, functions, and of constants."""
    return [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) and isinstance(s.value.value, str))]


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Everything a plan needs to know of code and libraries, as plain values. Keys are `kind` or `kind plugin`."""

    code: Mapping[str, Digest]
    tools: Mapping[str, Mapping[str, str]]
    host: str = ""


def gather(resolved: "Resolved", code: Code, host: str) -> Toolchain:
    """Look up code and versions for all stages a manifest can ask for; `host` names the machine of its measurements."""
    wanted = dict(_wanted(resolved))
    return Toolchain(
        code={key: code.digest(ENTRY[kind], *modules) for key, (kind, modules, _) in wanted.items()},
        tools={key: tools(kind, extra) for key, (kind, _, extra) in wanted.items()},
        host=host,
    )


def _wanted(resolved: "Resolved") -> Iterable[tuple[str, tuple[StageKind, tuple[str, ...], tuple[str, ...]]]]:
    spec = resolved.spec
    known = resolved.found.ships_graph
    loop = () if spec.base.train.trainer is None else (f"{PACKAGE}.trainers",)
    network = () if known else (f"{PACKAGE}.networks", f"{PACKAGE}.net")
    yield "base", ("base", (*network, *_weights(spec.base.weights.source), *loop), ())
    if spec.base.tflite:
        yield "import", ("import", (), ())
    yield "convert", ("convert", (), ())
    for plugin in {converting(asked(steps), spec.task)[0] for steps in resolved.recipes.values()} - {""}:
        yield f"convert {plugin}", ("convert", (), ("litert-quantizer",)) if plugin == LITERT else ("convert", _judging(plugin), ())
    yield "inspect", ("inspect", (f"{PACKAGE}.proof",), ())
    source = SOURCES.get(spec.data.source)
    yield f"data {spec.data.source}", ("data", (source.load.__module__,), source.tools)
    yield f"evaluate {spec.task}", ("evaluate", _judging(spec.task), ())
    for device in {device.partition(":")[0] for device in spec.benchmark.devices}:
        yield f"benchmark {device}", ("benchmark", _modules_of("devices", "DEVICES", device), ())
    for name in {step.technique for steps in resolved.recipes.values() for step in steps}:
        technique = TECHNIQUES.get(name)
        if technique.apply is not None:
            yield f"technique {name}", ("technique", (technique.apply.__module__, *technique.modules, *loop), ())


def asked(steps: Sequence[Step]) -> dict[str, Any]:
    """Gather what the steps of a recipe ask of the `convert` stage; a later step overrides an earlier one."""
    return {key: value for step in steps for key, value in TECHNIQUES.get(step.technique).converts(step.params, steps).items()}


def converting(wanted: Mapping[str, Any], task: str) -> tuple[str, dict[str, Any]]:
    """Say what else decides a converted file: the plugin of its stage's key, and parameters to add to those it is asked for.

    That is the second engine, or the task whose metric chooses the layers that stay in float; mostly nothing.
    """
    quantize = wanted.get("quantize") or {}
    if quantize.get("engine") == LITERT:
        return LITERT, {}
    return (task, {"task": task}) if quantize.get("keep_float") == "auto" else ("", {})


def _judging(task: str) -> tuple[str, ...]:
    """Modules of a task and its metrics: nothing imports them by name."""
    return (*_modules_of("tasks", "TASKS", task), *_metrics_of(task))


def _weights(source: str) -> tuple[str, ...]:
    """Modules that bring and read borrowed weights; none for a base that is trained."""
    plugin = importlib.import_module(f"{PACKAGE}.weights_sources").WEIGHTS.get(source)
    return () if source == "train" else (plugin.module,)


def _modules_of(package: str, table: str, name: str) -> tuple[str, ...]:
    plugin = getattr(importlib.import_module(f"{PACKAGE}.{package}"), table).get(name)
    return (getattr(plugin, "__module__", None) or type(plugin).__module__,)


def _metrics_of(task: str) -> tuple[str, ...]:
    """Modules of the metrics a task reports, and what they share: nothing imports them by name."""
    names = importlib.import_module(f"{PACKAGE}.tasks").TASKS.get(task).metrics
    return (f"{PACKAGE}.metrics", *(module for name in names for module in _modules_of("metrics", "METRICS", name)))
