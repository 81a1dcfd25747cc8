"""Which variants changed since a commit: the plans of then and now, compared.

The old tree is read from git, never checked out.

A variant changed when what makes its file, or what its quality is measured on, has another
    fingerprint: a comment, a description,
a goal or a version changes nothing. Versions of installed libraries count as they are now, for both
sides. Code of this package counts as each side has it when the package lies in the same repository.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from zoo_builders.manifest.source_tree import GitTree, Repository
from zoo_builders.planning.plan import Plan
from zoo_builders.running.past import SUFFIXES, Past
from zoo_builders.running.project import MANIFESTS, Project
from zoo_registry.model.errors import VersionUnchanged
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
    past = Past(project, GitTree(repository, repository.commit(ref), project.tree))
    now = {path: _plans(project, path) for path in manifests}
    found = [change for path in manifests for change in _differing(past, path, now[path])]
    gone = _gone(past.tree, manifests) if deleted else []
    known = {plan.name for plans in now.values() for plan in plans}
    return found + [
        Change(str(path), then.model, then.variant, "deleted", before=then.version)
        for path in (*manifests, *gone)
        for then in past.at(path.absolute()).values()
        if then.name not in known
    ]


def _plans(project: Project, path: Path) -> tuple[Plan, ...]:
    resolved = project.reader(need_data=False).read(path, str(path))
    return project.plan(resolved, str(path), benchmark=False)


def _differing(past: Past, path: Path, plans: Sequence[Plan]) -> Iterator[Change]:
    before = past.of(path.absolute(), {plan.name for plan in plans})
    for plan in plans:
        then = before.get(plan.name)
        if then is not None and then.plan is not None and then.plan.content == plan.content:
            continue
        why: Why = "new" if then is None else "changed"
        version, remark = (then.version, then.remark) if then else ("", "")
        yield Change(plan.manifest, plan.model, plan.variant, why, version, plan.version, remark)


def _gone(tree: GitTree, manifests: Sequence[Path]) -> list[Path]:
    """Manifests that were in the folders of then and are not there now."""
    folders = {path.parent for path in manifests} or {Path(MANIFESTS)}
    inside = [(folder, tree.repository.inside(folder.absolute())) for folder in sorted(folders)]
    return [
        path
        for folder, place in inside
        for name in sorted(tree.entries())
        if name.endswith(SUFFIXES) and PurePosixPath(name).parent == PurePosixPath(place or "/")
        if not (path := folder / PurePosixPath(name).name).exists()
    ]


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
