"""A base that is a finished Keras model: which recipes take it, and whether it is trained.

It is taken as it is, unless the manifest says how long it is trained (`train: {epochs: …}`,
`weights: {source: train}`, or `fine_tune`). Words without effect are refused. Pure.
"""

from collections.abc import Iterator

from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.recipes import Recipes
from zoo_builders.manifest.schema import Base
from zoo_builders.networks.keras_config import Finished
from zoo_builders.pretrained.sources import TRAIN
from zoo_builders.techniques import TECHNIQUES


def epochs(base: Base) -> int:
    """How many epochs the manifest trains a finished model; 0 takes it as it is."""
    weights = base.weights
    if weights.source == TRAIN and not weights.fine_tune and _writes_train(base):
        return base.train.epochs
    return weights.fine_tune


def _writes_train(base: Base) -> bool:
    """Whether training is asked for, and not only settings that techniques train with."""
    named = "weights" in base.model_fields_set and "source" in base.weights.model_fields_set
    return named or ("train" in base.model_fields_set and "epochs" in base.train.model_fields_set)


def check(base: Base, model: Finished, recipes: Recipes, mistakes: Mistakes) -> None:
    """Note what a finished model cannot do, and what is written without effect."""
    if base.args:
        mistakes.add(
            ("base", "args"),
            "a finished model is not built, and takes no arguments",
            "drop args, or name a network that takes them",
        )
    why = model.why
    message, hint = (why.message, why.hint) if why else ("", "")
    if model.trainable:
        _without_effect(base, mistakes, trains=any(_training(recipes)))
    elif key := _asks_training(base):
        mistakes.add(key, f"this base cannot be trained: {message}", hint)
    unknown = [*_training(recipes), *_rounding(recipes)] if model.graph is None else ()
    for variant, index, technique in unknown:
        mistakes.add(
            ("variants", variant, index, technique),
            f"{technique} cannot be applied: {message}",
            hint,
        )


def _asks_training(base: Base) -> tuple[str, ...]:
    if base.weights.fine_tune:
        return ("base", "weights", "fine_tune")
    if "weights" in base.model_fields_set:
        return ("base", "weights")
    return ("base", "train") if "train" in base.model_fields_set else ()


def _without_effect(base: Base, mistakes: Mistakes, *, trains: bool) -> None:
    """Refuse settings of a training that never happens."""
    written = sorted(base.train.model_fields_set - {"seed"})
    if "train" in base.model_fields_set and written and not trains and not epochs(base):
        mistakes.add(
            ("base", "train"),
            f"{', '.join(written)}: nothing is trained with it: a finished model is taken as it is",
            "write epochs: N below train, to train it; or drop train",
        )


def _training(recipes: Recipes) -> Iterator[tuple[str, int, str]]:
    """Find the steps that change the Keras model: (variant, index, technique)."""
    for variant, steps in recipes.items():
        for index, step in enumerate(steps):
            if TECHNIQUES.get(step.technique).work is not None:
                yield variant, index, step.technique


def _rounding(recipes: Recipes) -> Iterator[tuple[str, int, str]]:
    """Find the steps that round weights layer by layer, for which layers must be known."""
    for variant, steps in recipes.items():
        for index, step in enumerate(steps):
            if getattr(step.params, "rounding", "nearest") != "nearest":
                yield variant, index, step.technique
