"""What a result depends on beside its configuration.

Versions of libraries, which are not imported, and the code that decides it.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from zoo_builders.data.sources import SOURCES
from zoo_builders.devices import DEVICES
from zoo_builders.metrics import METRICS
from zoo_builders.planning.code_digest import Code
from zoo_builders.pretrained.sources import TRAIN, WEIGHTS
from zoo_builders.stage import StageKind
from zoo_builders.stages import ENTRY, PACKAGE, TOOLS
from zoo_builders.tasks import TASKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_registry.model.digest import Digest
from zoo_registry.model.plugins import brought_by

if TYPE_CHECKING:
    from zoo_builders.manifest.reader import Resolved

LITERT = "litert"
"""Name of the second quantizing engine, as `quantize` spells it."""


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


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Everything a plan needs to know of code and libraries, as plain values.

    Keys are `kind` or `kind plugin`.
    """

    code: Mapping[str, Digest]
    tools: Mapping[str, Mapping[str, str]]
    host: str = ""


def gather(resolved: "Resolved", code: Code, host: str) -> Toolchain:
    """Look up code and versions for all stages a manifest can ask for.

    `host` names the machine of its measurements.
    """
    wanted = dict(_wanted(resolved))
    return Toolchain(
        code={
            key: code.digest(ENTRY[kind], *modules) for key, (kind, modules, _) in wanted.items()
        },
        tools={
            key: tools(kind, (*extra, *brought_by(modules)))
            for key, (kind, modules, extra) in wanted.items()
        },
        host=host,
    )


def _wanted(
    resolved: "Resolved",
) -> Iterable[tuple[str, tuple[StageKind, tuple[str, ...], tuple[str, ...]]]]:
    spec = resolved.spec
    known = resolved.found.ships_graph
    loop = () if spec.base.train.trainer is None else (f"{PACKAGE}.training.own_loop",)
    network = () if known else (f"{PACKAGE}.networks.lookup", f"{PACKAGE}.networks.net")
    yield "base", ("base", (*network, *_weights(spec.base.weights.source), *loop), ())
    if spec.base.tflite:
        yield "import", ("import", (), ())
    yield "convert", ("convert", (), ())
    recipes = resolved.recipes.values()
    for plugin in {conversion(steps, spec.task).plugin for steps in recipes} - {""}:
        yield (
            f"convert {plugin}",
            (
                ("convert", (), ("litert-quantizer",))
                if plugin == LITERT
                else ("convert", _judging(plugin), ())
            ),
        )
    yield "inspect", ("inspect", (f"{PACKAGE}.tflite.proof",), ())
    source = SOURCES.get(spec.data.source)
    yield f"data {spec.data.source}", ("data", (source.load.__module__,), source.tools)
    yield f"evaluate {spec.task}", ("evaluate", _judging(spec.task), ())
    for device in {device.partition(":")[0] for device in spec.benchmark.devices}:
        yield f"benchmark {device}", ("benchmark", _module_of(DEVICES.get(device)), ())
    for name in {step.technique for steps in resolved.recipes.values() for step in steps}:
        code = TECHNIQUES.get(name).code
        if code:
            yield f"technique {name}", ("technique", (*code, *loop), ())


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the `convert` stage makes a recipe's file.

    Attributes:
        params: of the stage.
        plugin: what else decides the file: the second engine, or the task whose metric chooses the
            layers that stay in float; mostly nothing.
    """

    params: dict[str, Any]
    plugin: str = ""


def conversion(steps: Sequence[Step], task: str) -> Conversion:
    """Gather what the steps of a recipe ask of the `convert` stage; a later one overrides."""
    params: dict[str, Any] = {"quantize": None}
    for step in steps:
        params |= TECHNIQUES.get(step.technique).converts(step.params, steps)
    quantize = params["quantize"] or {}
    if quantize.get("engine") == LITERT:
        return Conversion(params, LITERT)
    if quantize.get("keep_float") == "auto":
        return Conversion(params | {"task": task}, task)
    return Conversion(params)


def _judging(task: str) -> tuple[str, ...]:
    """Modules of a task and its metrics, and what metrics share: nothing imports them by name."""
    metrics = (METRICS.get(name) for name in TASKS.get(task).metrics)
    return (
        *_module_of(TASKS.get(task)),
        f"{PACKAGE}.metrics",
        *(module for metric in metrics for module in _module_of(metric)),
    )


def _weights(source: str) -> tuple[str, ...]:
    """Modules that bring and read borrowed weights; none for a base that is trained."""
    brought = WEIGHTS.foreign(source)
    return (
        ()
        if source == TRAIN
        else (brought.entry.module if brought else WEIGHTS.get(source).module,)
    )


def _module_of(plugin: Any) -> tuple[str, ...]:
    return (getattr(plugin, "__module__", None) or type(plugin).__module__,)
