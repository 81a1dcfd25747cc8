"""Recipes: what stands below `variants`, as resolved steps; every way in which steps do not meet.

Pure but for the plugin table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from zoo_builders.manifest import own_algorithms
from zoo_builders.manifest.diagnostics import Mistakes, validate
from zoo_builders.manifest.yaml_lines import Key
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.verdicts import Objection
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_registry.model.errors import ZooError

Recipes = Mapping[str, tuple[Step, ...]]

Adopt = Callable[[str], str]
"""From how a manifest names an algorithm of the user to the name of the technique that it is
(`algorithm_files.Finder`).
"""


def read_recipes(
    raw: Any, mistakes: Mistakes, *, of_file: bool = False, own: Adopt | None = None
) -> Recipes:
    """Resolve every recipe, noting what cannot be.

    These are unknown techniques, wrong parameters, and steps in an impossible order.

    With `of_file` the base is a finished .tflite file: techniques that need a Keras model are
    noted, others told. `own` makes techniques of algorithms of the user, which are unknown without
    it.
    """
    recipes: dict[str, tuple[Step, ...]] = {}
    for variant, steps in raw.items() if isinstance(raw, dict) else ():
        if isinstance(steps, list):
            known = [
                _known(entry, ("variants", variant, index), mistakes, own)
                for index, entry in enumerate(steps)
            ]
            recipes[variant] = _recipe(known, ("variants", variant), mistakes, of_file=of_file)
    return recipes


def _known(entry: Any, key: Key, mistakes: Mistakes, own: Adopt | None) -> "_Entry":
    """Give a step with the name of its technique.

    For an algorithm of the user, that name is another than the manifest says.
    """
    name = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else None
    if own is None or not isinstance(name, str) or not own_algorithms.is_own(name):
        return _Entry(entry, "")
    try:
        return _Entry({own(name): entry[name]}, name)
    except ZooError as error:
        mistakes.add((*key, name), error.message, error.hint)
        return _Entry(None, name)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One step as it stands in a recipe.

    It also holds how the manifest names its technique where that is another name.
    """

    data: Any
    said: str


def _recipe(
    raw: Sequence[_Entry], key: Key, mistakes: Mistakes, *, of_file: bool
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for index, entry in enumerate(raw):
        step = _step(entry, (*key, index), mistakes)
        if step is not None and of_file:
            step = _on_file(step, (*key, index, step.technique), mistakes)
        if step is None:
            continue
        step = Step(step.technique, TECHNIQUES.get(step.technique).infer(step.params, tuple(steps)))
        message, hint = _out_of_place(step, steps[-1]) if steps else ("", "")
        if message:
            mistakes.add((*key, index, step.technique), message, hint)
        steps.append(step)
    return tuple(steps)


def _on_file(step: Step, key: Key, mistakes: Mistakes) -> Step | None:
    """Adapt a step to a base that is a .tflite file, or note why that cannot be."""
    adapted = TECHNIQUES.get(step.technique).on_file(step.params)
    if isinstance(adapted, str):
        hint = "start from the network it was made from, or take the file as it is: as-is: []"
        mistakes.add(key, f"{step.technique} cannot be applied to a .tflite file: {adapted}", hint)
        return None
    return Step(step.technique, adapted)


def on_stored(reason: str, variants: Mapping[str, Any], mistakes: Mistakes) -> None:
    """Note every step that would store the weights of a file in another way, where none can.

    `reason` says why not; steps that take no `.tflite` file at all were noted before.
    """
    for variant, steps in variants.items():
        for index, entry in enumerate(steps):
            for name in entry:
                if name in TECHNIQUES.names() and TECHNIQUES.get(name).work is None:
                    mistakes.add(
                        ("variants", variant, index, name),
                        f"{name} cannot be applied: {reason}",
                        "take the file as it is: as-is: []; or start from the float32 file it was"
                        " made from",
                    )


def _out_of_place(step: Step, last: Step) -> tuple[str, str]:
    """Say why a step cannot follow the last one, and what to do; empty where it can."""
    changes, before = (
        TECHNIQUES.get(step.technique).work is not None,
        TECHNIQUES.get(last.technique),
    )
    if changes and before.work is None:
        message = (
            f"{step.technique!r} changes a Keras model, but {last.technique!r} before it ends in a"
            " TFLite file"
        )
        return message, f"move {step.technique!r} before {last.technique!r}"
    if before.ends:
        message = f"nothing can follow {last.technique!r}, which decides what the file holds"
        return (
            message,
            (
                f"move {step.technique!r} before {last.technique!r}"
                if changes
                else f"drop {step.technique!r}"
            ),
        )
    return "", ""


def _step(known: _Entry, key: Key, mistakes: Mistakes) -> Step | None:
    entry = known.data
    if known.said:
        return (
            None
            if entry is None
            else next(
                _checked(name, params, (*key, known.said), mistakes)
                for name, params in entry.items()
            )
        )
    if isinstance(entry, str) and entry in TECHNIQUES.names():
        mistakes.add(
            key, f"expected {{technique: parameters}}, found {entry!r}", f"write {entry}: {{}}"
        )
        return None
    if not isinstance(entry, dict) or len(entry) != 1:
        found = (
            f"{len(entry)} keys ({', '.join(entry)})" if isinstance(entry, dict) else repr(entry)
        )
        mistakes.add(
            key,
            f"expected one {{technique: parameters}} a step, found {found}",
            "start each technique with its own '- '",
        )
        return None
    ((name, params),) = entry.items()
    if refusal := TECHNIQUES.refusal(name):
        mistakes.add((*key, name), refusal.message, refusal.hint)
        return None
    return _checked(name, params, (*key, name), mistakes)


def _checked(name: str, params: Any, key: Key, mistakes: Mistakes) -> Step | None:
    model = TECHNIQUES.get(name).params
    try:
        checked = validate(model, {} if params is None else params)
    except ValidationError as error:
        mistakes.add_validation(error, model, key)
        return None
    return Step(name, checked) if isinstance(checked, Spec) else None


def judge(recipes: Recipes, graph: Graph, mistakes: Mistakes) -> None:
    """Ask every technique what it has against this network, and note all of it.

    A note has the layer, the reason and the fix.
    """
    for variant, steps in recipes.items():
        more = f"   # every layer: zoo preflight {mistakes.file} --variant {variant}"
        for index, (step, met) in enumerate(zip(steps, graphs(graph, steps), strict=True)):
            for objection in objections(met, step, steps[:index]):
                key = ("variants", variant, index, step.technique)
                message = (
                    f"{step.technique} cannot be applied: layer {objection.layer}:"
                    f" {objection.reason}"
                )
                mistakes.add(key, message, f"{objection.fix}{more}")
                more = ""


def objections(graph: Graph, step: Step, before: Sequence[Step]) -> list[Objection]:
    """Give what a technique objects to, and what we object to ourselves.

    We object to a step that would change nothing and says nothing about it.
    """
    technique = TECHNIQUES.get(step.technique)
    found = [*technique.check(graph, step.params, before), *_undone(graph, step, before)]
    if found or not graph.nodes:
        return found
    said = technique.layers(graph, step.params, before)
    silent = said and not any(verdict.applies for verdict in said.values())
    if silent and not technique.remarks(graph, step.params, [*before, step]):
        layer, verdict = next(iter(said.items()))
        others = f" (and {len(said) - 1} more layers like it)" if len(said) > 1 else ""
        reason = f"the step would change nothing: {verdict.reason}{others}"
        found.append(Objection(layer, reason, verdict.fix or f"drop {step.technique}"))
    if not technique.promises(graph, step.params, [*before, step]):
        found.append(
            Objection(
                graph.name,
                "the step promises nothing that the file could prove",
                f"drop {step.technique}",
            )
        )
    return found


def _undone(graph: Graph, step: Step, before: Sequence[Step]) -> list[Objection]:
    """Object to a step that moves weights which an earlier one has put in their places."""
    return [
        Objection(
            graph.name,
            f"{step.technique} would move the weights that {earlier.technique} made",
            _before(graph, step, earlier),
        )
        for earlier in before
        if not TECHNIQUES.get(earlier.technique).outlasts(step)
    ]


def _before(graph: Graph, step: Step, earlier: Step) -> str:
    """Say what to write where a step would undo an earlier one.

    It is the other order, where that one takes it.
    """
    name, technique = step.technique.partition("@")[0], TECHNIQUES.get(step.technique)
    if technique.work is None:
        return "write rounding: nearest"
    swaps = not technique.ends and not TECHNIQUES.get(earlier.technique).check(
        graph, earlier.params, [step]
    )
    first = (
        f"put {name} before it"
        if swaps
        else (
            "drop one of the two" if not technique.ends else "write quantize: {dtype: int8} instead"
        )
    )
    return (
        f"{first}; or, if what it made survives {name}, say so in its class: lasts_through ="
        f" frozenset({{'{name}'}})"
    )


def graphs(graph: Graph, steps: Sequence[Step]) -> list[Graph]:
    """Give the network that each step meets: the base's, as the steps before it leave it."""
    met: list[Graph] = []
    for index, step in enumerate(steps):
        met.append(graph)
        graph = TECHNIQUES.get(step.technique).rewrites(graph, step.params, steps[:index])
    return met
