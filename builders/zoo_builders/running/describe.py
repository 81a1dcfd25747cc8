"""Results become a record, with where the file comes from.

`compose` is pure; `describe` and `provenance` read results and notes of a plan's stages, so that
building again from the cache changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from zoo_builders.data.stored import load_about
from zoo_builders.manifest.source_tree import Repository
from zoo_builders.planning.plan import FLOAT, Plan
from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stages.evaluate import Evaluation
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, InvalidRecord, ZooError
from zoo_registry.model.record import (
    Baseline,
    DataReport,
    FileInfo,
    Finding,
    Git,
    Measurement,
    NotMeasured,
    Parent,
    Provenance,
    Quantization,
    Record,
    Structure,
    explain,
)

_FINDINGS = TypeAdapter(tuple[Finding, ...])
_MEASUREMENTS = TypeAdapter(tuple[Measurement, ...])
_NOT_MEASURED = TypeAdapter(tuple[NotMeasured, ...])
_BENCHMARK = "benchmark "


@dataclass(frozen=True, slots=True)
class Results:
    """What the stages found out about one file.

    Attributes:
        encodings: encoding tried (`dense`, `sparse`) → raw bytes.
        encoding: the one that was kept.
        quantization: how it was quantized; None where it was not.
        data: what is to be known of the examples; None where there is nothing to tell.
    """

    structure: Structure
    proofs: tuple[Finding, ...]
    evaluation: Evaluation
    measurements: tuple[Measurement, ...]
    not_measured: tuple[NotMeasured, ...]
    encodings: Mapping[str, int]
    encoding: str
    quantization: Quantization | None = None
    data: DataReport | None = None


def describe(plan: Plan, results: Mapping[str, Path], provenance: Provenance) -> Record:
    """Make the record of a plan whose stages have results.

    `results` maps the plan's parts to folders.

    Raises:
        BuildFailed: a result lacks a file, or holds something else than its stage writes.
        InvalidRecord: the results speak of different files, or a proof does not hold.
    """
    try:
        return compose(plan, _gather(results), provenance)
    except (OSError, KeyError, json.JSONDecodeError, ValidationError) as error:
        raise BuildFailed(
            f"{plan.name}: a stage's result is damaged: {error}", hint="zoo cache verify"
        ) from error


def compose(plan: Plan, results: Results, provenance: Provenance) -> Record:
    """Put together what is known. Pure: equal arguments give equal records.

    Raises:
        InvalidRecord: the results speak of different files, or a proof does not hold.
    """
    seen = results.evaluation
    file = FileInfo.model_validate(
        {
            **seen.file.model_dump(),
            "path": f"{plan.name}.tflite",
            "encodings": dict(results.encodings),
            "encoding": results.encoding,
        }
    )
    baseline = plan.name if plan.is_baseline else f"{plan.model}-{FLOAT}"
    try:
        return Record(
            name=plan.name,
            version=plan.version,
            model=plan.model,
            variant=plan.variant,
            task=plan.task,
            license=plan.license,
            description=plan.description,
            file=file,
            signature=seen.signature,
            metrics=seen.metrics,
            fidelity=seen.fidelity,
            data=results.data,
            recipe=plan.recipe,
            structure=results.structure,
            proofs=results.proofs,
            measurements=_named(results.measurements, baseline),
            not_measured=results.not_measured,
            golden=seen.golden,
            provenance=provenance,
            reproducible=plan.reproducible,
            remarks=plan.remarks,
            quantization=results.quantization,
        )
    except ValidationError as error:
        raise InvalidRecord(explain(error)) from error


def _named(measurements: Sequence[Measurement], baseline: str) -> tuple[Measurement, ...]:
    """Call the baseline by its artifact's name: a stage knows its digest only."""
    return tuple(
        m.model_copy(update={"baseline": Baseline(name=baseline, sha256=m.baseline.sha256)})
        for m in measurements
    )


def _gather(results: Mapping[str, Path]) -> Results:
    encodings = _read(results["convert"] / "encodings.json")
    sizes = {
        name: int(encodings[name]["bytes"]) for name in ("dense", "sparse") if encodings.get(name)
    }
    parts = sorted(part for part in results if part.startswith(_BENCHMARK))
    return Results(
        structure=Structure.model_validate(_read(results["inspect"] / "structure.json")),
        proofs=_FINDINGS.validate_python(_read(results["inspect"] / "proofs.json")),
        evaluation=Evaluation.model_validate(_read(results["evaluate"] / "evaluation.json")),
        measurements=tuple(
            m
            for part in parts
            for m in _MEASUREMENTS.validate_python(_read(results[part] / "measurements.json"))
        ),
        not_measured=tuple(
            row for part in parts for row in _rows(results[part] / "not_measured.json")
        ),
        encodings=sizes,
        encoding=str(encodings["chosen"]),
        quantization=_quantization(results["convert"] / "quantization.json"),
        data=_data(results["data"]),
    )


def _data(folder: Path) -> DataReport | None:
    """Read what a data stage found; results of older programs say nothing."""
    found = DataReport.model_validate(load_about(folder).get("report", {}))
    return found if found.words else None


def _quantization(path: Path) -> Quantization | None:
    return Quantization.model_validate(_read(path)) if path.exists() else None


def _rows(path: Path) -> tuple[NotMeasured, ...]:
    """Read what a device could not measure; results from before there was such a file have none."""
    return _NOT_MEASURED.validate_python(_read(path)) if path.exists() else ()


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


BASES = ("model.keras", "model.tflite", "function.zip")
"""What a base stage may leave: a Keras model, an imported file, or a function."""


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
        tools={
            name: version for stage in plan.stages for name, version in sorted(stage.tools.items())
        },
        host=notes[plan.parts["convert"]].host,
        started=min(note.started for note in notes.values()),
        duration_s=round(sum(note.duration_s for note in notes.values()), 3),
        parents=tuple(
            Parent(stage=s.name, fingerprint=s.fingerprint, reproducible=s.reproducible)
            for s in stages
        ),
        platforms=tuple(sorted({note.platform for note in notes.values() if note.platform})),
    )


def git_state(manifest: Path) -> Git:
    """Commit and cleanliness of the repository around a manifest; empty outside one."""
    try:
        repository = Repository.around(manifest.absolute())
        return Git(commit=repository.commit("HEAD"), dirty=repository.dirty())
    except ZooError:
        return Git()
