"""From results of stages to finished bundles.

Describe, judge the goals, write `.zoo/builds/<name>/<version>/`.

<name>.tflite    the artifact
record.json      its record, canonical
golden.npz       input and output vectors
bundle.json      {key}: what it was made from; an unchanged key is not described again
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from zoo_builders.manifest import goals
from zoo_builders.planning.plan import Plan
from zoo_builders.running.describe import describe, git_state, provenance
from zoo_builders.running.pipeline import Outcome
from zoo_builders.running.publish import GOLDEN, RECORD
from zoo_builders.running.stage_cache import StageCache, flush
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.errors import ZooError
from zoo_registry.model.files import sync_folder
from zoo_registry.model.record import Record

NOTE = "bundle.json"
_GOAL: TypeAdapter[goals.Goal] = TypeAdapter(goals.Goal)


@dataclass(slots=True)
class Built:
    """One variant after a build: its record and folder, or why there is none."""

    plan: Plan
    record: Record | None = None
    folder: Path | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether it is there and met its goals (or was allowed not to)."""
        return self.error is None and self.record is not None


@dataclass(slots=True)
class Finisher:
    """Turns plans whose stages have results into bundles.

    Attributes:
        cache: where the results are.
        root: `.zoo/builds`.
        allow_missed: keep variants that miss a goal, marked as such.
    """

    cache: StageCache
    root: Path
    allow_missed: bool = False
    _records: dict[str, dict[str, Record]] = field(default_factory=dict)

    def finish(
        self, plans: Sequence[Plan], wanted: Sequence[Plan], outcome: Outcome
    ) -> list[Built]:
        """Describe all plans (goals compare variants).

        Then judge and write those that are wanted.
        """
        described = [self._describe(plan, outcome) for plan in plans]
        for built in described:
            if built.record is not None:
                self._records.setdefault(built.plan.manifest, {})[built.plan.variant] = built.record
        names = {plan.name for plan in wanted}
        return [self._judged(built) for built in described if built.plan.name in names]

    def _describe(self, plan: Plan, outcome: Outcome) -> Built:
        error = outcome.error_of(plan)
        if error is not None:
            return Built(plan, error=error)
        known = self._known(plan)
        if known is not None:
            return Built(plan, known)
        try:
            results = {
                part: self.cache.folder(fingerprint) for part, fingerprint in plan.parts.items()
            }
            return Built(
                plan,
                describe(
                    plan, results, provenance(plan, self.cache, git_state(Path(plan.manifest)))
                ),
            )
        except ZooError as error:
            return Built(plan, error=error)

    def _key(self, plan: Plan) -> str:
        words = plan.model_dump(
            mode="json",
            include={"parts", "version", "description", "license", "promises", "remarks"},
        )
        return digest_of(words)

    def folder(self, plan: Plan) -> Path:
        """Where a plan's bundle is, or would be."""
        return self.root / plan.name / plan.version

    def _known(self, plan: Plan) -> Record | None:
        """The record of an earlier run over the same results.

        None when there is none or it is damaged.
        """
        folder = self.folder(plan)
        with suppress(OSError, ValueError, KeyError, ZooError):
            if json.loads((folder / NOTE).read_bytes())["key"] == self._key(plan):
                record = Record.read((folder / RECORD).read_bytes())
                sizes = (folder / record.file.path).stat().st_size, record.file.size
                return record.model_copy(update={"goals": ()}) if sizes[0] == sizes[1] else None
        return None

    def _judged(self, built: Built) -> Built:
        if built.record is None:
            return built
        plan = built.plan
        siblings = self._records[plan.manifest]
        results = goals.check(_goals(plan.goals), built.record, siblings)
        built.record = built.record.model_copy(update={"goals": results})
        missed = goals.missed(plan.name, results)
        if missed is not None and not self.allow_missed:
            built.error = missed
            return built
        built.folder = self._write(plan, built.record)
        return built

    def _write(self, plan: Plan, record: Record) -> Path:
        folder = self.folder(plan)
        data = record.to_bytes()
        with suppress(OSError):
            if (folder / RECORD).read_bytes() == data and self._known(plan) is not None:
                return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{plan.version}.", suffix=".tmp", dir=folder.parent))
        try:
            self._fill(made, plan, record, data)
            _swap(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return folder

    def _fill(self, made: Path, plan: Plan, record: Record, data: bytes) -> None:
        made.chmod(0o755)
        shutil.copyfile(
            self.cache.folder(plan.parts["convert"]) / "model.tflite", made / record.file.path
        )
        shutil.copyfile(self.cache.folder(plan.parts["evaluate"]) / "golden.npz", made / GOLDEN)
        (made / RECORD).write_bytes(data)
        (made / NOTE).write_text(json.dumps({"key": self._key(plan)}) + "\n", encoding="utf-8")
        for path in made.iterdir():
            flush(path)


def _swap(made: Path, folder: Path) -> None:
    """Put a finished folder in place of an old one.

    At worst a crash leaves none, never half of one.
    """
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    with suppress(FileNotFoundError):
        folder.rename(old / "old")
    made.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _goals(plain: Mapping[str, Mapping[str, object]]) -> dict[str, goals.Goal]:
    return {name: _GOAL.validate_python(dict(goal)) for name, goal in plain.items()}


def with_references(chosen: Sequence[Plan], every: Sequence[Plan]) -> list[Plan]:
    """Add the variants that goals compare the chosen ones with: they must be described too."""
    versus = {
        (plan.manifest, str(goal["versus"]))
        for plan in chosen
        for goal in plan.goals.values()
        if goal.get("versus")
    }
    names = {plan.name for plan in chosen}
    return [plan for plan in every if plan.name in names or (plan.manifest, plan.variant) in versus]
