"""Everything the verbs share.

It says where things lie in the project's folder, and how manifests become plans.

.zoo/
    cache/stages/            results of stages (see stage_cache)
    cache/digests.json       remembered digests of large files (see inputs)
    logs/                    output of stages, one file each
    builds/<name>/<version>/ finished bundles: <name>.tflite, record.json, golden.npz
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zoo_builders.manifest.reader import Reader, Resolved
from zoo_builders.manifest.source_tree import Digests, Tree, WorkTree
from zoo_builders.planning import toolchain
from zoo_builders.planning.code_digest import Code
from zoo_builders.planning.plan import Plan
from zoo_builders.planning.planner import plan
from zoo_builders.running.pipeline import Pipeline
from zoo_builders.running.stage_cache import StageCache
from zoo_client.settings import Settings
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.suggest import nearest

MANIFESTS = "manifests"


@dataclass
class Project:
    """One project's folder, seen by one run of a verb."""

    settings: Settings = field(default_factory=Settings.read)
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _read: dict[Path, Resolved] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The project's `.zoo`, absolute."""
        return self.settings.home.absolute()

    @cached_property
    def cache(self) -> StageCache:
        """Results of stages."""
        return StageCache(self.home / "cache" / "stages")

    @cached_property
    def digests(self) -> Digests:
        """Remembered digests."""
        return Digests(self.home / "cache" / "digests.json")

    @cached_property
    def tree(self) -> WorkTree:
        """The files as they are now."""
        return WorkTree(self.digests)

    @cached_property
    def code(self) -> Code:
        """This package's source as it is now."""
        return Code(self.tree)

    @cached_property
    def host(self) -> str:
        """Fingerprint of this machine: measurements belong to it."""
        from zoo_client.machine import describe

        return str(describe().fingerprint)

    def pipeline(self) -> Pipeline:
        """Give a pipeline over this project's cache."""
        return Pipeline(self.cache, self.home / "logs")

    def reader(
        self,
        tree: Tree | None = None,
        *,
        judge: bool = True,
        need_data: bool = True,
        refuse: bool = True,
    ) -> Reader:
        """Give a reader of manifests, from the working tree unless told otherwise."""
        return Reader(tree or self.tree, self.env, judge=judge, need_data=need_data, refuse=refuse)

    def read(self, path: Path) -> Resolved:
        """Read one manifest of the working tree, once; InvalidManifest with all its mistakes."""
        try:
            if path not in self._read:
                self._read[path] = self.reader().read(path, str(path))
            return self._read[path]
        finally:
            self.digests.save()

    def plan(
        self, resolved: Resolved, shown: str, *, code: Code | None = None, benchmark: bool = True
    ) -> tuple[Plan, ...]:
        """Plan all variants of a manifest."""
        host = self.host if benchmark else ""
        return plan(
            resolved,
            toolchain.gather(resolved, code or self.code, host),
            shown=shown,
            benchmark=benchmark,
        )

    def plans(
        self, manifests: Sequence[Path], variants: Sequence[str] = (), *, benchmark: bool = True
    ) -> list[Plan]:
        """Plan all variants (or those named) of several manifests.

        Raises:
            InvalidManifest: one has mistakes.
            WrongUse: a variant is named that no manifest has, or two manifests build the same
                artifact.
        """
        found = [
            made
            for path in manifests
            for made in self.plan(self.read(path), str(path), benchmark=benchmark)
        ]
        names = [made.name for made in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            where = ", ".join(made.manifest for made in found if made.name == twice)
            raise WrongUse(
                f"{twice} would be built twice: {where}",
                hint="give each manifest its own model name",
            )
        return chosen(found, variants)


def chosen(plans: Sequence[Plan], variants: Sequence[str]) -> list[Plan]:
    """Take the variants named, or all.

    Raises:
        WrongUse: no manifest has a variant of that name.
    """
    known = list(dict.fromkeys(made.variant for made in plans))
    unknown = next((variant for variant in variants if variant not in known), None)
    if unknown is not None:
        raise WrongUse(f"no variant is called {unknown!r}", hint=nearest(unknown, known))
    return [made for made in plans if not variants or made.variant in variants]


def default_manifests(given: Sequence[Path] | None) -> list[Path]:
    """The manifests asked for, else all in ./manifests.

    Raises:
        WrongUse: there are none.
    """
    found = list(given or sorted(Path(MANIFESTS).glob("*.yaml")))
    if not found:
        raise WrongUse(
            f"no manifest was named and ./{MANIFESTS} holds none", hint="zoo init   # writes one"
        )
    return found
