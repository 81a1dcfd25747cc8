"""Reading a manifest: YAML with lines → types → every file it names.

Found and hashed → one `Resolved`, or all mistakes at once.

Nothing here imports TensorFlow. Validating runs the manifest's own network file (it gives a graph,
see `networks`).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from zoo_builders.manifest import (
    data_checks,
    files,
    finished_bases,
    goals,
    names,
    own_algorithms,
    split_checks,
    targets,
    yaml_lines,
)
from zoo_builders.manifest.diagnostics import Mistakes, fields_at, validate
from zoo_builders.manifest.files import Found
from zoo_builders.manifest.own_algorithms import Own
from zoo_builders.manifest.recipes import Recipes, judge, on_stored, read_recipes
from zoo_builders.manifest.schema import Manifest
from zoo_builders.manifest.source_tree import Tree
from zoo_builders.manifest.yaml_lines import Document, Key
from zoo_builders.networks import own_imports
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidManifest, NotFound
from zoo_registry.model.suggest import close

_STAND_INS = {"schema": "edgezoo/v1", "model": "model", "version": "1.0.0", "license": "none"}
"""Filled in for wrong or missing keys after they were noted.

It serves only to go on looking for further mistakes.
"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A manifest without mistakes, and everything it names.

    Attributes:
        path: absolute path of the manifest.
        sha256: of its bytes.
        spec: what it says, defaults filled in.
        recipes: variant → resolved steps.
        found: network, graph and files.
        own: technique → the algorithm of the user that it is.
    """

    path: Path
    sha256: Digest
    spec: Manifest
    recipes: Recipes
    found: Found
    own: Mapping[str, Own] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """How manifests are read.

    Attributes:
        tree: where files are read from.
        env: for ${ZOO_DATA}.
        judge: call the network and ask the techniques; False for an old commit, whose code is not
            run.
        need_data: data files must be there; False lets a declared sha256 stand for a file this
            machine lacks.
        refuse: what a technique objects to is a mistake; False for who lists the objections itself
            (`preflight`).
    """

    tree: Tree
    env: Mapping[str, str]
    judge: bool = True
    need_data: bool = True
    refuse: bool = True

    def read(self, path: Path, shown: str = "") -> Resolved:
        """Read one manifest; `shown` is how messages name it.

        Raises:
            InvalidManifest: with every mistake it holds, each with file, line, key and hint.
        """
        shown = shown or str(path)
        path = path.absolute()
        raw = self._raw(path, shown)
        document = yaml_lines.read(raw, shown)
        if b"python:" in raw:
            own_imports.reach(path.parent)
        mistakes = Mistakes(shown, document)
        own = own_algorithms.Finder(path.parent, self.tree, self.env)
        variants = document.data.get("variants") if isinstance(document.data, dict) else None
        recipes = read_recipes(variants, mistakes, of_file=_of_file(document.data), own=own)
        spec = _spec(document, mistakes)
        found = self._look(spec, path, recipes, mistakes) if spec else None
        mistakes.finish()
        if spec is None or found is None:
            raise InvalidManifest("not a manifest", file=shown, line=1, hint="zoo init")
        return Resolved(path, Digest.of(raw), spec, recipes, found, own.found)

    def _raw(self, path: Path, shown: str) -> bytes:
        try:
            return self.tree.read(path)
        except NotFound as error:
            raise InvalidManifest(
                f"cannot be read: {error.message}",
                file=shown,
                hint="zoo init   # writes a manifest to start from",
            ) from error

    def _look(self, spec: Manifest, path: Path, recipes: Recipes, mistakes: Mistakes) -> Found:
        names.words(spec, mistakes)
        if self.judge:
            targets.check(spec.publish, mistakes)
        data_checks.named_splits(spec, recipes, mistakes)
        found = files.Finder(
            spec, path.parent, self.tree, self.env, mistakes, need_data=self.need_data
        ).find(with_graph=self.judge)
        if found.model is not None and self.judge:
            finished_bases.check(spec.base, found.model, recipes, mistakes)
        if self.judge:
            found = self._surveyed(spec, found, mistakes)
            data_checks.classes(spec, found, mistakes)
            data_checks.check(spec, found.graph, mistakes, found.takes, found.survey)
        if found.stored_already:
            on_stored(found.stored_already, spec.variants, mistakes)
        if found.graph is not None:
            found = replace(found, graph=data_checks.heard(spec, found.graph))
        if found.graph is not None and self.judge and self.refuse:
            judge(recipes, found.graph, mistakes)
        return found

    def _surveyed(self, spec: Manifest, found: Found, mistakes: Mistakes) -> Found:
        """Add what lies on disk, and what is to be told of the splits."""
        survey = split_checks.survey(spec.data, found.data, mistakes) if self.need_data else None
        told = split_checks.check(spec, survey, mistakes)
        return replace(found, survey=survey, told=told)


def _of_file(data: Any) -> bool:
    """Whether the base is a finished .tflite file, of which fewer techniques know what to do."""
    return (
        isinstance(data, dict) and isinstance(data.get("base"), dict) and "tflite" in data["base"]
    )


def _spec(document: Document, mistakes: Mistakes) -> Manifest | None:
    """Check against the types.

    Wrong parts are noted and left out, so that the rest can still be looked at.
    """
    data = copy.deepcopy(document.data)
    try:
        return _manifest(data)
    except ValidationError as error:
        keys = mistakes.add_validation(_one_goal_kind(error), Manifest)
    if not isinstance(data, dict):
        return None
    for key in keys:
        _leave_out(data, key)
    data = {**_STAND_INS, **data}
    try:
        return _manifest(data)
    except ValidationError:
        return None


def _manifest(data: Any) -> Manifest:
    checked = validate(Manifest, data)
    return checked if isinstance(checked, Manifest) else Manifest.model_validate(checked)


def _leave_out(data: Any, key: Key) -> None:
    """Take one wrong key out; a misspelled one takes the name it was meant to have."""
    for part in key[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return
    if key and isinstance(data, dict) and key[-1] in data:
        value = data.pop(key[-1])
        meant = close(str(key[-1]), fields_at(Manifest, key[:-1]))
        if meant not in {"", key[-1]}:
            data.setdefault(meant, value)


def _one_goal_kind(error: ValidationError) -> ValidationError:
    """Keep, of the three kinds a goal could be, the findings of the kind its name says."""
    kept = [
        {"type": item["type"], "loc": loc, "input": item["input"], "ctx": item.get("ctx", {})}
        for item in error.errors(include_url=False)
        for loc in [item["loc"]]
        if loc[:1] != ("goals",) or not _other_kinds(str(loc[1])).intersection(map(str, loc[2:3]))
    ]
    # built from the same findings
    return ValidationError.from_exception_data(error.title, kept)  # type: ignore[arg-type]


def _other_kinds(goal: str) -> set[str]:
    meant = goals.kind_of(goal, (goal,))
    return {kind.__name__ for kind in get_args(goals.Goal) if kind is not meant}
