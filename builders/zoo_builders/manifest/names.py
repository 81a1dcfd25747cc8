"""What the words of a manifest mean: names that must be known, values that must fit together."""

from typing import Any

from pydantic import ValidationError

from zoo_builders.data import preprocess, splits
from zoo_builders.data.sources import SOURCES
from zoo_builders.devices import DEVICES
from zoo_builders.manifest import goals, paths
from zoo_builders.manifest.diagnostics import Mistakes, validate
from zoo_builders.manifest.schema import Manifest, MetricGoal, SizeGoal
from zoo_builders.manifest.yaml_lines import Key
from zoo_builders.tasks import TASKS
from zoo_registry.model.errors import ZooError
from zoo_registry.model.query import parse_size
from zoo_registry.model.ref import parse_version
from zoo_registry.model.suggest import nearest

NEEDED_SPLITS = ("train", "validation", "test", "calibration")

NEEDED_OF_A_FILE = ("test", "calibration")


def words(spec: Manifest, mistakes: Mistakes) -> None:
    """Check version, splits, preprocessing, task, devices, goals and publish targets.

    Everything that needs no file.
    """
    try:
        parse_version(spec.version)
    except ZooError as error:
        mistakes.add(("version",), error.message, "write version: 1.0.0")
    _splits(spec, mistakes)
    _preprocess(spec, mistakes)
    _goals(spec, mistakes)
    if refusal := TASKS.refusal(spec.task):
        mistakes.add(("task",), refusal.message, refusal.hint)
    for index, device in enumerate(spec.benchmark.devices):
        if refusal := DEVICES.refusal(device.partition(":")[0]):
            mistakes.add(("benchmark", "devices", index), refusal.message, refusal.hint)
    variables(spec, mistakes)


def _splits(spec: Manifest, mistakes: Mistakes) -> None:
    known = SOURCES.get(spec.data.source).splits if spec.data.source in SOURCES.names() else ()
    for name, expression in spec.data.splits.items():
        key: Key = ("data", "splits", name)
        try:
            terms = splits.parse(expression)
        except splits.BadSplit as error:
            mistakes.add(key, error.message, error.hint)
            continue
        for term in terms:
            if known and term.split not in known:
                mistakes.add(
                    key,
                    f"{spec.data.source} has no split {term.split!r}",
                    nearest(term.split, known),
                )
    needed = NEEDED_OF_A_FILE if spec.base.tflite else NEEDED_SPLITS
    missing = [name for name in needed if name not in spec.data.splits]
    if missing:
        mistakes.add(
            ("data", "splits"),
            f"the split {', '.join(missing)} is missing",
            f"add {missing[0]}: train[:200], or whichever examples it is",
        )


def _preprocess(spec: Manifest, mistakes: Mistakes) -> None:
    for index, step in enumerate(spec.data.preprocess):
        key: Key = ("data", "preprocess", index)
        if len(step) != 1:
            mistakes.add(
                key,
                f"expected one {{step: value}}, found {len(step)} keys",
                nearest("", tuple(preprocess.STEPS)),
            )
            continue
        ((name, raw),) = step.items()
        if name not in preprocess.STEPS:
            mistakes.add(
                (*key, name),
                f"no preprocessing is called {name!r}",
                nearest(name, tuple(preprocess.STEPS)),
            )
            continue
        try:
            validate(preprocess.STEPS[name], {} if raw is None else raw)
        except ValidationError as error:
            mistakes.add_validation(error, preprocess.STEPS[name], (*key, name))


def _goals(spec: Manifest, mistakes: Mistakes) -> None:
    metrics = metric_names(spec.task)
    for name, goal in spec.goals.items():
        kind = goals.kind_of(name, metrics)
        if kind is None or not isinstance(goal, kind):
            mistakes.add(
                ("goals", name),
                f"{name!r} is not a goal of this shape",
                nearest(name, (*metrics, *goals.SIZES, goals.RATIO)),
            )
            continue
        named = [
            ("versus", getattr(goal, "versus", None)),
            *(("for", variant) for variant in goal.only_for),
        ]
        for key, variant in named:
            if variant is not None and variant not in spec.variants:
                mistakes.add(
                    ("goals", name, key),
                    f"no variant is called {variant!r}",
                    nearest(variant, tuple(spec.variants)),
                )
        _goal_values(name, goal, mistakes)


def _goal_values(name: str, goal: goals.Goal, mistakes: Mistakes) -> None:
    try:
        if isinstance(goal, SizeGoal):
            parse_size(goal.max)
    except ZooError as error:
        mistakes.add(("goals", name, "max"), error.message, "write max: 4 MB")
    if isinstance(goal, MetricGoal) and goal.max_drop is None and goal.min is None:
        mistakes.add(("goals", name), "demands nothing", "add min: 0.4 or max_drop: 0.01")


def metric_names(task: str) -> tuple[str, ...]:
    """Names of the metrics of a task; empty for a task nobody registered."""
    return tuple(TASKS.get(task).metrics) if task in TASKS.names() else ()


def variables(spec: Manifest, mistakes: Mistakes) -> None:
    """Refuse ${…} where nothing fills it in."""
    allowed: set[Key] = {
        ("base", "network"),
        ("base", "tflite"),
        ("base", "weights", "path"),
        ("base", "train", "trainer"),
    }
    if spec.data.source in SOURCES.names():
        allowed |= {
            ("data", "args", name) for name in SOURCES.get(spec.data.source).params.model_fields
        }
    for key, text in _texts(mistakes.document.data, ()):
        if "${" in text and key not in allowed:
            mistakes.add(
                key,
                f"{text!r}: nothing is filled in here",
                f"{paths.VARIABLE} works in paths of base and data only",
            )


def _texts(data: Any, key: Key) -> list[tuple[Key, str]]:
    if isinstance(data, str):
        return [(key, data)]
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [found for name, value in items for found in _texts(value, (*key, name))]
