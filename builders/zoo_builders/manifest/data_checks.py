"""Whether data, preprocessing, network and recipes fit together, as far as a manifest says.

This covers kinds of steps, shapes and splits. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from zoo_builders.data import front_end
from zoo_builders.data.audio_features import FEATURES
from zoo_builders.data.examples import Survey
from zoo_builders.data.preprocess import STEPS, VALUE_STEPS, shape_after
from zoo_builders.data.sources import SOURCES
from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.files import Found
from zoo_builders.manifest.recipes import Recipes
from zoo_builders.manifest.schema import Manifest
from zoo_builders.manifest.yaml_lines import Key
from zoo_builders.networks.graph import Graph
from zoo_builders.spec import SPLIT
from zoo_builders.tasks import TASKS, refuse_other_classes
from zoo_builders.tflite import fed_examples
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.suggest import nearest

_FEATURES = " or ".join(sorted(FEATURES))
_VALUES = " and ".join(sorted(VALUE_STEPS))


def check(
    spec: Manifest,
    graph: Graph | None,
    mistakes: Mistakes,
    takes: tuple[int, ...] = (),
    survey: Survey | None = None,
) -> None:
    """Note steps that do not fit what the source gives.

    A network that takes another shape than comes out of them is noted too, and so is a finished
    file: `takes` is the shape of its input, with the batch, -1 where a size is open.

    Nothing is said where the source is unknown, its arguments or a step are wrong (others note
    that), or only loading the data tells their shape.
    """
    known = _source(spec)
    if known is None:
        return
    shape, rate = known
    shape = shape or (survey.shape if survey else None)
    wrong = list(_misfits(spec, rate))
    for index, message, hint in wrong:
        mistakes.add(("data", "preprocess", index), message, hint)
    front = (
        front_end.of(spec.data.preprocess, shape[0], rate) if shape and rate and not wrong else None
    )
    unmade = front_end.problem(front) if front else None
    if unmade is not None:
        mistakes.add(("data", "preprocess"), unmade.message, unmade.hint)
    if unmade or wrong or shape is None:
        return
    made = shape_after(spec.data.preprocess, shape, rate)
    if takes and not fed_examples.fits(takes, made):
        message, hint = fed_examples.misfit(takes, made), fed_examples.way_out(takes, made)
        mistakes.add(("base", "tflite"), message, hint)
    if graph is not None and made != graph.input_shape:
        message = (
            f"{graph.name} takes inputs of shape {list(graph.input_shape)}, data and preprocessing"
            f" give {list(made)}"
        )
        mistakes.add(("base", "network"), message, _hint(made, rate))


def classes(spec: Manifest, found: Found, mistakes: Mistakes) -> None:
    """Note a base that gives another number of scores than the data have classes."""
    if found.survey is None or not found.gives or spec.task not in TASKS.names():
        return
    try:
        refuse_other_classes(spec.task, found.gives, found.survey.classes)
    except BuildFailed as error:
        name = "tflite" if spec.base.tflite else "args" if spec.base.args else "network"
        mistakes.add(("base", name), error.message, error.hint)


def named_splits(spec: Manifest, recipes: Recipes, mistakes: Mistakes) -> None:
    """Check that every split a step names is one of the manifest's."""
    for variant, steps in recipes.items():
        for index, step in enumerate(steps):
            asked = [
                name
                for name, field in type(step.params).model_fields.items()
                if SPLIT in field.metadata
            ]
            for name, split in ((name, getattr(step.params, name)) for name in asked):
                if split not in spec.data.splits:
                    key: Key = ("variants", variant, index, step.technique, name)
                    mistakes.add(
                        key,
                        f"data.splits has no split {split!r}",
                        nearest(split, tuple(spec.data.splits)),
                    )


def heard(spec: Manifest, graph: Graph) -> Graph:
    """Give the network, with the front end before it where features are made inside the file.

    `data.preprocess` says so; without such features the network stays as it is.

    It also stays as it is where anything is wrong of what `check` notes.
    """
    known = _source(spec)
    if known is None or not known[1] or known[0] is None or any(_misfits(spec, known[1])):
        return graph
    front = front_end.of(spec.data.preprocess, known[0][0], known[1])
    if front is None or front.shape != graph.input_shape or front_end.problem(front) is not None:
        return graph
    return front_end.attached(graph, front)


def _source(spec: Manifest) -> tuple[tuple[int, ...] | None, int] | None:
    """Give (shape of an example where it is known, sample rate) of the source.

    None where anything is wrong.
    """
    if spec.data.source not in SOURCES.names() or not all(
        len(step) == 1 and set(step) <= set(STEPS) for step in spec.data.preprocess
    ):
        return None
    source = SOURCES.get(spec.data.source)
    try:
        args = source.params.model_validate(spec.data.args)
        for step in spec.data.preprocess:
            ((name, raw),) = step.items()
            STEPS[name].model_validate({} if raw is None else raw)
    except ValidationError:
        return None
    return source.shape(args), source.sample_rate(args)


def _misfits(spec: Manifest, rate: int) -> Iterator[tuple[int, str, str]]:
    """Find the steps that do not fit what reaches them: (index, why, what to do)."""
    sound, values, inside = bool(rate), False, False
    for index, step in enumerate(spec.data.preprocess):
        (name,) = step
        if name in FEATURES and not sound:
            again = bool(rate)
            instead = (
                "the step before it made features" if again else f"{spec.data.source} gives images"
            )
            message = f"{name} is of recordings, and {instead}"
            yield (
                index,
                message,
                f"drop {name}"
                + ("" if again else ", or use a source of recordings: fsdd, audio-folder"),
            )
        elif name in FEATURES and values:
            yield (
                index,
                (
                    f"{name} after a step that changes values: features are made of the recordings"
                    " as they are"
                ),
                f"put {name} first",
            )
        elif inside and name not in VALUE_STEPS:
            yield (
                index,
                (
                    f"{name} after features that are made inside the file: only {_VALUES} can go in"
                    " with them"
                ),
                f"drop {name}",
            )
        elif name in FEATURES and _inside(step) and spec.base.tflite:
            yield (
                index,
                "a finished .tflite file takes what it takes: no front end can be put into it",
                "drop inside",
            )
        elif name not in FEATURES and name not in VALUE_STEPS and sound:
            yield (
                index,
                f"{name} is a step for images, and {spec.data.source} gives recordings",
                f"put {_FEATURES} before it, or drop it",
            )
        inside = inside or (name in FEATURES and _inside(step))
        sound = sound and name not in FEATURES
        values = values or name in VALUE_STEPS


def _inside(step: Mapping[str, Any]) -> bool:
    ((name, raw),) = step.items()
    return FEATURES[name].model_validate(raw or {}).inside


def _hint(made: tuple[int, ...], rate: int) -> str:
    fitting: dict[str, Any] = (
        {"frames": made[0], "coefficients": made[1]} if rate else {"resolution": made[0]}
    )
    spelled = ", ".join(f"{name}: {value}" for name, value in fitting.items())
    return f"args: {{{spelled}}} where the network takes them, or change data.preprocess"
