"""Which variants changed since a commit: the plans of then and now, compared.

The old tree is read from git, never checked out.

A variant changed when what makes its file, or what its quality is measured on, has another
    fingerprint: a comment, a description,
a goal or a version changes nothing. Versions of installed libraries count as they are now, for both
sides. Code of this package counts as each side has it when the package lies in the same repository.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo_builders.manifest.source_tree import GitTree, Repository
from zoo_builders.planning.code_digest import ROOT, Code
from zoo_builders.planning.plan import Plan
from zoo_builders.running.project import MANIFESTS, Project
from zoo_registry.model.errors import VersionUnchanged, ZooError
from zoo_registry.model.ref import parse_version

Why = Literal["new", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    """One variant that is not what it was.

    Attributes:
        manifest: path as the user gave it.
        why: `new` (manifest or variant), `changed`, or `deleted`.
        before: its version then, empty when new.
        now: its version now, empty when deleted.
    """

    manifest: str
    model: str
    variant: str
    why: Why
    before: str = ""
    now: str = ""
    remark: str = ""

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return f"{self.model}-{self.variant}"

    @property
    def to_build(self) -> bool:
        """Whether there is something to build."""
        return self.why != "deleted"

    @property
    def version_unchanged(self) -> bool:
        """Whether other content would be published under a version that exists already."""
        return (
            self.why == "changed"
            and bool(self.before)
            and parse_version(self.now) <= parse_version(self.before)
        )


def changes(
    project: Project, ref: str, manifests: Sequence[Path], *, deleted: bool
) -> list[Change]:
    """Compare every variant of `manifests` with commit `ref`.

    With `deleted`, manifests that are gone from their folders are compared too.

    Raises:
        InvalidManifest: a manifest of today has mistakes.
        WrongUse: not in a git repository, or git knows no such commit.
    """
    anchor = manifests[0] if manifests else Path(MANIFESTS)
    repository = Repository.around(anchor.absolute())
    tree = GitTree(repository, repository.commit(ref), project.tree)
    found = [change for path in manifests for change in _of_manifest(project, tree, path)]
    return found + (_gone(project, tree, manifests) if deleted else [])


def _of_manifest(project: Project, tree: GitTree, path: Path) -> list[Change]:
    resolved = project.reader(need_data=False).read(path, str(path))
    now = {plan.variant: plan for plan in project.plan(resolved, str(path), benchmark=False)}
    before, version, remark = _before(project, tree, path)
    return [
        *_differing(now, before, version, remark),
        *(_lost(path, before[name]) for name in before if name not in now),
    ]


def _differing(
    now: Mapping[str, Plan], before: Mapping[str, Plan], version: str, remark: str
) -> list[Change]:
    found = []
    for name, plan in now.items():
        old = before.get(name)
        if old is not None and old.content == plan.content:
            continue
        known = old is not None or bool(remark and version)
        why: Why = "changed" if known else "new"
        found.append(
            Change(
                plan.manifest, plan.model, name, why, version if known else "", plan.version, remark
            )
        )
    return found


def _lost(path: Path, plan: Plan) -> Change:
    return Change(str(path), plan.model, plan.variant, "deleted", before=plan.version)


def _before(project: Project, tree: GitTree, path: Path) -> tuple[dict[str, Plan], str, str]:
    """Plan the manifest of then.

    Variants, version, and why it could not be planned (then everything counts as changed).
    """
    if not tree.exists(path.absolute()):
        return {}, "", ""
    try:
        resolved = project.reader(tree, judge=False, need_data=False).read(path, str(path))
        plans = project.plan(resolved, str(path), code=_code(project, tree), benchmark=False)
    except ZooError as error:
        return (
            {},
            _version_of(tree, path),
            f"could not be planned as of then: {error.message.splitlines()[0]}",
        )
    return {plan.variant: plan for plan in plans}, resolved.spec.version, ""


def _code(project: Project, tree: GitTree) -> Code:
    return Code(tree) if tree.repository.inside(ROOT) is not None else project.code


def _version_of(tree: GitTree, path: Path) -> str:
    """The version an old manifest names, even when the rest of it means nothing today."""
    from zoo_builders.manifest import yaml_lines

    try:
        data = yaml_lines.read(tree.read(path.absolute()), str(path)).data
        return str(parse_version(data["version"]))
    except (ZooError, KeyError, TypeError):
        return ""


def _gone(project: Project, tree: GitTree, manifests: Sequence[Path]) -> list[Change]:
    """Manifests that were in the folders of then and are not there now."""
    folders = {path.parent for path in manifests} or {Path(MANIFESTS)}
    found = []
    for folder in sorted(folders):
        inside = tree.repository.inside(folder.absolute())
        for name in sorted(tree.entries()):
            path = folder / Path(name).name
            here = inside is not None and str(Path(name).parent) == inside
            if here and name.endswith((".yaml", ".yml")) and not path.exists():
                before, _, _ = _before(project, tree, path)
                found += [_lost(path, plan) for plan in before.values()]
    return found


def demand_versions(found: Sequence[Change]) -> None:
    """Insist that what changed has a new version.

    Raises:
        VersionUnchanged: it does not; the hint is the command that raises it.
    """
    stale = [change for change in found if change.version_unchanged]
    if not stale:
        return
    names = ", ".join(f"{change.name} (still {change.now})" for change in stale)
    manifests = " ".join(dict.fromkeys(change.manifest for change in stale))
    raise VersionUnchanged(
        f"content changed under an unchanged version: {names}", hint=f"zoo bump {manifests}"
    )


def matrix(found: Sequence[Change]) -> dict[str, list[dict[str, str]]]:
    """What GitHub Actions takes as `strategy.matrix`."""
    return {
        "include": [
            {"manifest": c.manifest, "variant": c.variant, "name": c.name}
            for c in found
            if c.to_build
        ]
    }


def resolved_variants(found: Sequence[Change]) -> set[tuple[str, str]]:
    """(manifest, variant) of everything there is to build."""
    return {(change.manifest, change.variant) for change in found if change.to_build}
