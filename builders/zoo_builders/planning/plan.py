"""What is to be built, as data: one plan for each variant of a manifest, made of stages.

Version, description, licence, goals and publishing targets are in the plan and in no fingerprint:
raising a version builds nothing anew. Variants share the stages they have in common: `sparse75` and
`sparse75-int8` prune once.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from zoo_builders.stage import Reproducible, Stage
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.canonical import digest_of
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Step

FLOAT = "fp32"

_ORDER: Mapping[Reproducible, int] = {"bitwise": 0, "weights": 1, "metrics": 2}


class Plan(BaseModel):
    """One variant of one manifest, complete.

    It says what will run, in which order, and what the file must hold at the end.

    Attributes:
        manifest: path as the user gave it.
        stages: every stage it needs, each after those it reads.
        parts: what a stage is to this variant → its fingerprint: `data`, `base`, `model` (after the
            last technique), `convert`, `inspect`, `evaluate`, `baseline`, `baseline_evaluate`, and
            `benchmark DEVICE THREADS` for each measurement.
        promises: what the techniques say the file will hold.
        remarks: what a user should know although nothing is wrong.
        told: what a user should know of the data, as far as it is known before they are read.
        files: role → file of the user.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    manifest: str
    manifest_sha256: Digest
    model: str
    variant: str
    version: str
    task: str
    license: str
    description: str
    seed: int
    recipe: tuple[Step, ...]
    preprocess: tuple[dict[str, Any], ...]
    promises: tuple[Promise, ...]
    remarks: tuple[str, ...]
    told: tuple[str, ...] = ()
    goals: dict[str, dict[str, Any]]
    publish: tuple[str, ...]
    stages: tuple[Stage, ...]
    parts: dict[str, Digest]

    @property
    def name(self) -> str:
        """Name of the artifact: <model>-<variant>."""
        return f"{self.model}-{self.variant}"

    @property
    def key(self) -> Digest:
        """Fingerprint of the stage that makes the file.

        Equal keys mean equal files (as far as the stages are reproducible).
        """
        return self.parts["convert"]

    @property
    def content(self) -> Digest:
        """What a release is made of.

        It is how the file comes about, and on what its quality is measured.
        """
        return digest_of(
            {"file": self.parts["convert"], "evaluation": self.stage("evaluate").params}
        )

    @property
    def is_baseline(self) -> bool:
        """Whether its file is the float baseline itself."""
        return self.parts["convert"] == self.parts["baseline"]

    @property
    def reproducible(self) -> Reproducible:
        """The weakest class of the stages that make the file."""
        classes = [stage.reproducible for stage in self.upstream("convert")]
        return max(classes, key=lambda name: _ORDER[name])

    def stage(self, part: str) -> Stage:
        """Give the stage that is `part` of this variant."""
        return next(stage for stage in self.stages if stage.fingerprint == self.parts[part])

    def upstream(self, part: str) -> tuple[Stage, ...]:
        """Give the stages that the result of `part` depends on, itself included.

        They come in the order they run.
        """
        by_fingerprint = {stage.fingerprint: stage for stage in self.stages}
        needed, waiting = set[Digest](), [self.parts[part]]
        while waiting:
            fingerprint = waiting.pop()
            if fingerprint not in needed:
                needed.add(fingerprint)
                waiting.extend(by_fingerprint[fingerprint].inputs.values())
        return tuple(stage for stage in self.stages if stage.fingerprint in needed)
