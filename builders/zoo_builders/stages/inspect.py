"""Stage `inspect`: what the finished flatbuffer holds, and whether the recipe promised that."""

import json
from pathlib import Path

from zoo_builders.stage import Job
from zoo_builders.stages.results import write_parts
from zoo_builders.tflite import finite_weights, proof
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine
from zoo_registry.model.errors import ProofFailed


def run(job: Job) -> None:
    """Write `structure.json` and `proofs.json` for the file of input `file`.

    Reads param `promises`.

    Raises:
        BadFile: the file cannot be read.
        ProofFailed: a weight is no number, or the file does not hold what the recipe promises;
            every broken promise is named.
    """
    job.progress(0, 1, "inspect")
    folder = job.inputs["file"]
    file = read((folder / "model.tflite").read_bytes())
    if found := finite_weights.problem(file.main):
        raise ProofFailed(
            f"the finished file: {found}; float16 holds no value above 65504",
            hint="leave that layer in float32, or take another recipe",
        )
    seen = examine(file, _layers(folder / "layers.json"))
    promises = tuple(proof.Promise.model_validate(promise) for promise in job.params["promises"])
    findings = proof.judge(promises, seen)
    proof.demand(findings)
    write_parts(job.out / "structure.json", seen.structure)
    write_parts(job.out / "proofs.json", findings)
    job.progress(1, 1, "inspect")


def _layers(path: Path) -> list[tuple[str, ...]] | None:
    """Read which layers are behind each weight tensor, where the stage that made the file knew."""
    if not path.exists():
        return None
    return [tuple(tensor["layers"]) for tensor in json.loads(path.read_text())["tensors"]]
