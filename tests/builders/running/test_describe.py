"""Results of stages become a record, or an error that says which result is damaged."""

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.planning.plan import Plan
from zoo_builders.running.describe import describe
from zoo_builders.stage import Stage
from zoo_builders.stages import benchmark, evaluate, inspect
from zoo_builders.tflite import inspection
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, InvalidRecord
from zoo_registry.model.record import Provenance, Record, Step

pytestmark = pytest.mark.process

ONE = Digest.of(b"one")


@pytest.fixture
def plan() -> Plan:
    stage = Stage(
        kind="convert", name="convert int8", params={}, code=ONE, tools={}, reproducible="bitwise"
    )
    return Plan(
        manifest="m.yaml",
        manifest_sha256=ONE,
        model="tiny",
        variant="int8",
        version="1.2.3",
        task="image-classification",
        license="mit",
        description="A tiny network.",
        seed=7,
        recipe=(Step(technique="quantize", params={"dtype": "int8"}),),
        preprocess=(),
        promises=(),
        remarks=(),
        goals={},
        publish=(),
        stages=(stage,),
        parts={"convert": stage.fingerprint, "baseline": ONE},
    )


PROVENANCE = Provenance(
    fingerprint=ONE,
    manifest_sha256=ONE,
    base_sha256=ONE,
    dataset_sha256=ONE,
    seed=7,
    tools={"python": "3.11"},
    host="here",
    started=datetime(2026, 1, 2, tzinfo=UTC),
    duration_s=1.5,
)


@pytest.fixture(scope="module")
def made(
    files: Mapping[str, bytes],
    data: Path,
    job_maker: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Run the real stages of the committed int8 file, once."""
    root = tmp_path_factory.mktemp("stages")
    make_job = job_maker(root)
    promises = [{"technique": "quantize", "kind": "weights_dtype", "value": "int8"}]
    params = {"task": "image-classification", "split": "test", "calibration": "calibration"}
    looked = make_job("inspect", {"promises": promises}, file=files["int8"])
    inspect.run(looked)
    judged = make_job("evaluate", params, file=files["int8"], baseline=files["fp32"], data=data)
    evaluate.run(judged)
    float_judged = make_job(
        "evaluate", params, file=root / "baseline", baseline=files["fp32"], data=data
    )
    evaluate.run(float_judged)
    folders = {
        "file": root / "file",
        "golden": judged.out,
        "baseline": root / "baseline",
        "baseline_golden": float_judged.out,
    }
    timed = make_job(
        "benchmark",
        {"device": "host-cpu", "threads": 1, "runs": 10, "rounds": 5, "warmup": 5},
        **folders,
    )
    benchmark.run(timed)
    encodings = {
        "chosen": "dense",
        "why": "never asked for",
        "dense": {"bytes": len(files["int8"])},
        "sparse": None,
    }
    (root / "file" / "encodings.json").write_text(json.dumps(encodings))
    return {
        "convert": root / "file",
        "inspect": looked.out,
        "evaluate": judged.out,
        "data": data,
        "benchmark host-cpu 1": timed.out,
    }


@pytest.fixture
def results(made: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copy the results, so that a test may damage them."""
    return {part: shutil.copytree(folder, tmp_path / part) for part, folder in made.items()}


def test_a_record_is_made_of_what_the_stages_found(
    plan: Plan, results: dict[str, Path], files: Mapping[str, bytes]
) -> None:
    record = describe(plan, results, PROVENANCE)
    assert (record.name, record.file.path) == ("tiny-int8", "tiny-int8.tflite")
    assert record.file.sha256 == Digest.of(files["int8"])
    assert record.file.encodings == {"dense": len(files["int8"])}
    assert record.structure == inspection.inspect(files["int8"])
    assert [finding.held for finding in record.proofs] == [True] * 6
    assert record.measurements[0].baseline.name == "tiny-fp32"
    assert record.measurements[0].baseline.sha256 == Digest.of(files["fp32"])
    assert record.golden is not None
    assert record.golden.sha256 == Digest.of((results["evaluate"] / "golden.npz").read_bytes())
    assert Record.written(json.loads(record.to_bytes())) == record
    assert describe(plan, results, PROVENANCE).to_bytes() == record.to_bytes()


def test_what_the_data_stage_found_is_in_the_record(plan: Plan, results: dict[str, Path]) -> None:
    """Shared examples and files that were not read; a stage of an older program says nothing."""
    path = results["data"] / "dataset.json"
    about = json.loads(path.read_text())
    shared = {"split": "test", "other": "train", "examples": 2, "share": 0.005}
    for said, words in (
        ({"overlaps": [shared], "notes": ["1 files were not read: 1 .heic"]}, 2),
        ({}, 0),
        (None, 0),
    ):
        about.pop("report", None)
        path.write_text(json.dumps(about | ({} if said is None else {"report": said})))
        record = describe(plan, results, PROVENANCE)
        assert Record.read(record.to_bytes()) == record
        assert (b'"data":' in record.to_bytes()) == bool(words)
        assert len(record.data.words if record.data else ()) == words


def test_numbers_of_another_file_make_no_record(plan: Plan, results: dict[str, Path]) -> None:
    path = results["benchmark host-cpu 1"] / "measurements.json"
    other = json.loads(path.read_text())
    other[0]["file_sha256"] = str(ONE)
    path.write_text(json.dumps(other))
    with pytest.raises(InvalidRecord, match="is not this file's"):
        describe(plan, results, PROVENANCE)


def test_a_device_that_cannot_run_the_file_is_in_the_record(
    plan: Plan, results: dict[str, Path], files: Mapping[str, bytes]
) -> None:
    folder = results["benchmark host-cpu 1"]
    row = {
        "file_sha256": Digest.of(files["int8"]),
        "device": "web-wasm",
        "threads": 1,
        "kind": "interface",
        "message": "no int8",
    }
    (folder / "measurements.json").write_text("[]")
    (folder / "not_measured.json").write_text(json.dumps([row | {"when": "2026-01-01T00:00:00Z"}]))
    record = describe(plan, results, PROVENANCE)
    assert record.measurements == ()
    assert [(found.device, found.kind) for found in record.not_measured] == [
        ("web-wasm", "interface")
    ]
    (folder / "not_measured.json").unlink()  # results from before there was such a file
    assert describe(plan, results, PROVENANCE).not_measured == ()


@pytest.mark.parametrize(
    ("part", "name"),
    [("inspect", "proofs.json"), ("evaluate", "evaluation.json"), ("convert", "encodings.json")],
)
def test_a_damaged_result_is_named(
    part: str, name: str, plan: Plan, results: dict[str, Path]
) -> None:
    for damage in (b"{", b"{}", None):
        path = results[part] / name
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(BuildFailed, match="tiny-int8: a stage's result is damaged"):
            describe(plan, results, PROVENANCE)
