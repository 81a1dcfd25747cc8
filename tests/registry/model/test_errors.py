import inspect
import pickle

import pytest

from zoo_registry.model import errors
from zoo_registry.model.errors import InvalidManifest, OtherSide, ZooError, from_problem
from zoo_registry.model.plugins import Kind

CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ZooError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_drawing_shows_every_error(kind: type[ZooError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_travels_by_its_slug(kind: type[ZooError]) -> None:
    back = from_problem(kind.slug, "what happened", "what to type")
    assert type(back) is kind
    assert str(back) == "what happened\n  hint: what to type"
    assert back.exit_code in (1, 2, 3)


def test_an_unknown_slug_blames_the_other_side() -> None:
    assert type(from_problem("from-the-future", "x")) is OtherSide


def test_slugs_are_unique() -> None:
    slugs = [kind.slug for kind in CLASSES]
    assert len(set(slugs)) == len(slugs)


def test_a_manifest_error_starts_where_editors_jump() -> None:
    error = InvalidManifest(
        "expected a number",
        file="m.yaml",
        line=3,
        key="base.train.epochs",
        hint="zoo validate m.yaml",
    )
    assert (
        str(error) == "m.yaml:3: base.train.epochs: expected a number\n  hint: zoo validate m.yaml"
    )


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_cross_processes(kind: type[ZooError]) -> None:
    error = from_problem(kind.slug, "m", "h")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert (type(back), back.message, back.hint) == (kind, "m", "h")


def test_a_name_taken_twice_is_refused() -> None:
    kind: Kind[int] = Kind("number", "numbers", "email")
    kind.add("one", 1)
    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        kind.add("one", 2)


def test_an_unknown_plugin_names_the_nearest() -> None:
    kind: Kind[int] = Kind("number", "numbers", "wsgiref")
    kind.add("seven", 7)
    with pytest.raises(errors.UnknownPlugin, match="did you mean 'seven'"):
        kind.get("sevn")
