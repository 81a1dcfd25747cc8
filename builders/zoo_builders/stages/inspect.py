"""Stage `inspect`: what the finished flatbuffer holds.

It also says whether that is what the recipe promised.
"""

import json
from collections.abc import Iterable
from typing import Any

from zoo_builders.stage import Job
from zoo_builders.tflite import proof
from zoo_builders.tflite.inspection import examine
from zoo_registry.model.files import write_bytes
from zoo_registry.model.record import Finding, Part


def run(job: Job) -> None:
    """Write `structure.json` and `proofs.json` for the file of input `file`.

    Reads param `promises`.

    Raises:
        BadFile: the file cannot be read.
        ProofFailed: it does not hold what the recipe promises; every broken promise is named.
    """
    job.progress(0, 1, "inspect")
    seen = examine((job.inputs["file"] / "model.tflite").read_bytes())
    promises = tuple(proof.Promise.model_validate(promise) for promise in job.params["promises"])
    findings = proof.judge(promises, seen.structure, seen.signature, seen.activations, seen.zeros)
    proof.demand(findings)
    write_bytes(job.out / "structure.json", _spell(seen.structure))
    write_bytes(job.out / "proofs.json", _spell(findings))
    job.progress(1, 1, "inspect")


def _spell(value: Part | Iterable[Finding]) -> bytes:
    plain: Any = (
        value.model_dump(mode="json")
        if isinstance(value, Part)
        else [finding.model_dump(mode="json") for finding in value]
    )
    return (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
