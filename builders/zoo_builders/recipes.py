"""Recipes: what stands below `variants`, as resolved steps; every way in which steps do not meet. Pure but for the plugin table."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from zoo_builders.graph import Graph
from zoo_builders.mistakes import Mistakes, nearest, validate
from zoo_builders.specs import Spec
from zoo_builders.techniques import TECHNIQUES, Objection, Step
from zoo_builders.yaml_lines import Key

Recipes = Mapping[str, tuple[Step, ...]]


def read_recipes(raw: Any, mistakes: Mistakes, *, of_file: bool = False) -> Recipes:
    """Resolve every recipe, noting what cannot be: unknown techniques, wrong parameters, steps in an impossible order.

    With `of_file` the base is a finished .tflite file: techniques that need a Keras model are noted, others told.
    """
    recipes: dict[str, tuple[Step, ...]] = {}
    for variant, steps in raw.items() if isinstance(raw, dict) else ():
        if isinstance(steps, list):
            recipes[variant] = _recipe(steps, ("variants", variant), mistakes, of_file=of_file)
    return recipes


def _recipe(raw: Sequence[Any], key: Key, mistakes: Mistakes, *, of_file: bool) -> tuple[Step, ...]:
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
        hint = "write quantize: {…}, which takes a .tflite file, or start from a network"
        mistakes.add(key, f"{step.technique} cannot be applied to a .tflite file: {adapted}", hint)
        return None
    return Step(step.technique, adapted)


def _out_of_place(step: Step, last: Step) -> tuple[str, str]:
    """Say why a step cannot follow the last one, and what to do; empty where it can."""
    changes, before = TECHNIQUES.get(step.technique).apply is not None, TECHNIQUES.get(last.technique)
    if changes and before.apply is None:
        message = f"{step.technique!r} changes a Keras model, but {last.technique!r} before it ends in a TFLite file"
        return message, f"move {step.technique!r} before {last.technique!r}"
    if before.ends:
        message = f"nothing can follow {last.technique!r}, which decides what the file holds"
        return message, f"move {step.technique!r} before {last.technique!r}" if changes else f"drop {step.technique!r}"
    return "", ""


def _step(entry: Any, key: Key, mistakes: Mistakes) -> Step | None:
    if isinstance(entry, str) and entry in TECHNIQUES.names():
        mistakes.add(key, f"expected {{technique: parameters}}, found {entry!r}", f"write {entry}: {{}}")
        return None
    if not isinstance(entry, dict) or len(entry) != 1:
        found = f"{len(entry)} keys ({', '.join(entry)})" if isinstance(entry, dict) else repr(entry)
        mistakes.add(key, f"expected one {{technique: parameters}} a step, found {found}", "start each technique with its own '- '")
        return None
    ((name, params),) = entry.items()
    if name not in TECHNIQUES.names():
        mistakes.add((*key, name), f"no technique is called {name!r}", nearest(name, TECHNIQUES.names()))
        return None
    return _checked(name, {} if params is None else params, (*key, name), mistakes)


def _checked(name: str, params: Any, key: Key, mistakes: Mistakes) -> Step | None:
    model = TECHNIQUES.get(name).params
    try:
        checked = validate(model, params)
    except ValidationError as error:
        mistakes.add_validation(error, model, key)
        return None
    return Step(name, checked) if isinstance(checked, Spec) else None


def judge(recipes: Recipes, graph: Graph, mistakes: Mistakes) -> None:
    """Ask every technique what it has against this network, and note all of it: layer, reason, fix."""
    for variant, steps in recipes.items():
        more = f"   # every layer: zoo preflight {mistakes.file} --variant {variant}"
        for index, (step, met) in enumerate(zip(steps, graphs(graph, steps), strict=True)):
            for objection in objections(met, step, steps[:index]):
                key = ("variants", variant, index, step.technique)
                message = f"{step.technique} cannot be applied: layer {objection.layer}: {objection.reason}"
                mistakes.add(key, message, f"{objection.fix}{more}")
                more = ""


def objections(graph: Graph, step: Step, before: Sequence[Step]) -> list[Objection]:
    """Give what a technique objects to, and object ourselves to a step that would change nothing and says nothing about it."""
    technique = TECHNIQUES.get(step.technique)
    found = list(technique.check(graph, step.params, before))
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
        found.append(Objection(graph.name, "the step promises nothing that the file could prove", f"drop {step.technique}"))
    return found


def graphs(graph: Graph, steps: Sequence[Step]) -> list[Graph]:
    """Give the network that each step meets: the base's, as the steps before it leave it."""
    met: list[Graph] = []
    for index, step in enumerate(steps):
        met.append(graph)
        graph = TECHNIQUES.get(step.technique).rewrites(graph, step.params, steps[:index])
    return met
