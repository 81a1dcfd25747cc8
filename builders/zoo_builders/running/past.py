"""What a commit says of artifacts, whichever manifest they stood in then.

An artifact is its name. A manifest that was renamed, moved or split holds the same artifacts, so
that renaming is no way around the guard of versions.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_builders.manifest import yaml_lines
from zoo_builders.manifest.source_tree import GitTree
from zoo_builders.planning.code_digest import ROOT, Code
from zoo_builders.planning.plan import Plan
from zoo_builders.running.project import Project
from zoo_registry.model.errors import ZooError
from zoo_registry.model.ref import parse_version

SUFFIXES = (".yaml", ".yml")
_SCHEMA = "edgezoo/v"


@dataclass(frozen=True, slots=True)
class Then:
    """One artifact as a commit has it.

    Attributes:
        variant: its variant.
        model: its model.
        version: its version; empty where the manifest names none that means something.
        plan: None where the manifest cannot be planned today.
        remark: why not.
    """

    model: str
    variant: str
    version: str
    plan: Plan | None = None
    remark: str = ""

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return f"{self.model}-{self.variant}"


@dataclass(slots=True)
class Past:
    """The artifacts of a commit, read when they are asked for and once."""

    project: Project
    tree: GitTree
    _named: dict[Path, dict[str, Then]] | None = None
    _planned: dict[Path, dict[str, Then]] = field(default_factory=dict)

    def at(self, path: Path) -> Mapping[str, Then]:
        """Give the artifacts of the manifest that stood at `path`, by name; none where none did."""
        if path not in self._planned:
            named = self._read(path) if self.tree.exists(path) else {}
            self._planned[path] = self._plan(path, named) if named else {}
        return self._planned[path]

    def of(self, path: Path, names: Collection[str]) -> Mapping[str, Then]:
        """Give those artifacts of `names` that there were then.

        The manifest at `path` counts first, then those that have gone since, then the others.
        """
        found = {name: then for name, then in self.at(path).items() if name in names}
        for other in self._others(path):
            wanted = set(names) - set(found)
            if wanted & set(self._all()[other]):
                found |= {name: then for name, then in self.at(other).items() if name in wanted}
        return found

    def _others(self, path: Path) -> Iterator[Path]:
        yield from sorted(set(self._all()) - {path}, key=lambda other: (other.exists(), other))

    def _all(self) -> Mapping[Path, Mapping[str, Then]]:
        """Every manifest of the commit, with what it names."""
        if self._named is None:
            files = self.tree.naming(_SCHEMA, SUFFIXES)
            self._named = {path: named for path in files if (named := self._read(path))}
        return self._named

    def _read(self, path: Path) -> dict[str, Then]:
        """Read what a manifest names, even when the rest of it means nothing today."""
        try:
            data = yaml_lines.read(self.tree.read(path), str(path)).data
            found = [Then(data["model"], variant, _version(data)) for variant in data["variants"]]
            return {then.name: then for then in found}
        except (ZooError, KeyError, TypeError):
            return {}

    def _plan(self, path: Path, named: Mapping[str, Then]) -> dict[str, Then]:
        project = self.project
        reader = project.reader(self.tree, judge=False, need_data=False)
        code = Code(self.tree) if self.tree.repository.inside(ROOT) is not None else project.code
        try:
            plans = project.plan(reader.read(path), str(path), code=code, benchmark=False)
        except ZooError as error:
            why = f"could not be planned as of then: {error.message.splitlines()[0]}"
            return {
                name: Then(then.model, then.variant, then.version, remark=why)
                for name, then in named.items()
            }
        return {plan.name: Then(plan.model, plan.variant, plan.version, plan) for plan in plans}


def _version(data: Mapping[str, Any]) -> str:
    try:
        return str(parse_version(data["version"]))
    except (ZooError, KeyError, TypeError):
        return ""
