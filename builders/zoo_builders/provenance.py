"""Where a file comes from: read from the notes of the stages that made it, so that building again from the cache changes nothing."""

from pathlib import Path

from zoo_builders.data_stage import load_about
from zoo_builders.inputs import Repository
from zoo_builders.plan import Plan
from zoo_builders.stage_cache import StageCache
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import ZooError
from zoo_registry.model.record import Git, Parent, Provenance

BASES = ("model.keras", "model.tflite")
"""What a base stage may leave: a Keras model, or the finished file that was imported."""


def provenance(plan: Plan, cache: StageCache, git: Git) -> Provenance:
    """Gather what is known of how a plan's file was made; all its stages must have results."""
    stages = plan.upstream("convert")
    notes = {stage.fingerprint: cache.note(stage.fingerprint) for stage in stages}
    base = cache.note(plan.parts["base"])
    return Provenance(
        fingerprint=plan.key,
        manifest_sha256=plan.manifest_sha256,
        git=git,
        base_sha256=next(base.files[name].sha256 for name in BASES if name in base.files),
        dataset_sha256=Digest(load_about(cache.folder(plan.parts["data"]))["dataset_sha256"]),
        seed=plan.seed,
        tools={name: version for stage in plan.stages for name, version in sorted(stage.tools.items())},
        host=notes[plan.parts["convert"]].host,
        started=min(note.started for note in notes.values()),
        duration_s=round(sum(note.duration_s for note in notes.values()), 3),
        parents=tuple(Parent(stage=s.name, fingerprint=s.fingerprint, reproducible=s.reproducible) for s in stages),
    )


def git_state(manifest: Path) -> Git:
    """Commit and cleanliness of the repository around a manifest; empty outside one."""
    try:
        repository = Repository.around(manifest.absolute())
        return Git(commit=repository.commit("HEAD"), dirty=repository.dirty())
    except ZooError:
        return Git()
