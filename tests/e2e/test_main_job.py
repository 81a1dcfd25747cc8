"""Manifest → build → proof → measure → publish → search → pull.

On the family that `make demo` builds.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.files import digest_file
from zoo_registry.model.record import Record

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(1500)]

VARIANTS = {
    "fp32",
    "fp16",
    "dynamic",
    "int8",
    "int16x8",
    "sparse75",
    "sparse75-fp16",
    "sparse75-int8",
    "clustered16",
    "clustered16-int8",
}


def metric(record: Any, name: str) -> float:
    return next(m["value"] for m in record["metrics"] if m["metric"] == name)


def test_the_demo_builds_publishes_asks_pulls_and_runs(demo: Any) -> None:
    assert {name.removeprefix("digits-cnn-") for name in demo.variants} == VARIANTS
    for words in (
        "zoo build manifests/digits-cnn.yaml --publish",
        "zoo search",
        "zoo pull",
        ", the label says ",
        "/artifacts/digits-cnn-",
    ):
        assert words in demo.output
    assert all(f"digits-cnn-{variant}" in demo.output for variant in VARIANTS)


def test_every_number_belongs_to_one_file(demo: Any) -> None:
    for name in demo.variants:
        record = Record.read((demo.folder(name) / "record.json").read_bytes())
        file = demo.folder(name) / f"{name}.tflite"
        assert digest_file(file) == record.file.sha256
        assert file.stat().st_size == record.file.size
        assert all(
            m.file_sha256 == record.file.sha256 and m.output_check == "passed"
            for m in record.measurements
        )
        assert record.measurements
        assert record.golden is not None
        assert digest_file(demo.folder(name) / "golden.npz") == record.golden.sha256


def test_variants_are_as_good_as_they_should_be(demo: Any) -> None:
    float32 = metric(demo.record("digits-cnn-fp32"), "top1")
    assert float32 > 0.95
    for name in demo.variants:
        record = demo.record(name)
        assert metric(record, "top1") >= float32 - 0.03, name
        low, high = next(m["ci95"] for m in record["metrics"] if m["metric"] == "top1")
        assert low <= metric(record, "top1") <= high
        assert record["fidelity"]["top1_agreement"] > 0.9


def test_what_a_recipe_promises_is_in_the_file(demo: Any) -> None:
    sparse = demo.record("digits-cnn-sparse75")
    pointwise = [
        w
        for w in sparse["structure"]["weights"]
        if w["operator"] == "CONV_2D" and w["shape"][1:3] == [1, 1]
    ]
    assert pointwise
    assert all(weight["sparsity"] >= 0.75 for weight in pointwise)
    clustered = demo.record("digits-cnn-clustered16")
    proven = [finding for finding in clustered["proofs"] if finding["technique"] == "cluster"]
    weights = {weight["name"]: weight for weight in clustered["structure"]["weights"]}
    assert proven
    assert all(weights[finding["tensor"]]["distinct"] <= 16 for finding in proven)
    assert demo.record("digits-cnn-int8")["structure"]["tensors_by_dtype"]["int8"] > 5
    assert demo.record("digits-cnn-int16x8")["structure"]["tensors_by_dtype"]["int16"] > 5


def test_the_second_build_makes_nothing(demo: Any) -> None:
    plans = demo.zoo.json("plan", "manifests/digits-cnn.yaml")["plans"]
    assert all(stage["cached"] for made in plans for stage in made["stages"])
    stages = sorted(
        path.stat().st_mtime_ns for path in demo.zoo.home.glob("cache/stages/??/*/stage.json")
    )
    demo.zoo.run("build", "manifests/digits-cnn.yaml")
    assert (
        sorted(
            path.stat().st_mtime_ns for path in demo.zoo.home.glob("cache/stages/??/*/stage.json")
        )
        == stages
    )


@pytest.mark.parametrize(
    ("edit", "rebuilt"),
    [
        (("epochs: 5}", "epochs: 6}"), {"clustered16", "clustered16-int8"}),
        (("seed: 7", "seed: 8"), VARIANTS),
        (("# Handwritten", "# Hand-written"), set()),
        (("version: 1.1.0", "version: 1.2.0"), set()),
    ],
    ids=["one technique's epochs", "the seed", "a comment", "the version"],
)
def test_an_edit_rebuilds_what_it_can_change(
    demo: Any, tmp_path: Path, edit: tuple[str, str], rebuilt: set[str]
) -> None:
    text = (demo.zoo.folder / "manifests/digits-cnn.yaml").read_text()
    assert edit[0] in text
    (tmp_path / "digits-cnn.yaml").write_text(text.replace(*edit))
    plans = demo.zoo.json("plan", str(tmp_path / "digits-cnn.yaml"))["plans"]
    assert {
        made["variant"] for made in plans if not all(stage["cached"] for stage in made["stages"])
    } == rebuilt


def test_a_budget_is_a_query(demo: Any) -> None:
    slowest = max(
        demo.record(name)["measurements"][0]["latency_ms"]["median"] for name in demo.variants
    )
    everything = demo.zoo.json(
        "search",
        "--task",
        "image-classification",
        "--device",
        "host-cpu",
        "--max-latency",
        str(slowest * 1.01),
    )
    assert {item["variant"] for item in everything["items"]} == VARIANTS
    nothing = demo.zoo.json(
        "search", "--device", "host-cpu", "--max-latency", "0.0000001", code=None
    )
    assert nothing["items"] == []
    assert nothing["near_misses"]
    assert nothing["near_misses"][0]["misses"][0]["limit"] == "max_latency_ms"


@pytest.mark.s3
def test_one_artifact_three_places_one_digest(
    demo: Any,
    zoo_in: Callable[[str], Any],
    registry_server: Any,
    s3_server: Any,
    s3_prefix: Callable[[], str],
    hub: Any,
    tmp_path: Path,
) -> None:
    name = "digits-cnn-sparse75-int8"
    env = s3_server.environment | hub.environment | {"HF_HOME": str(tmp_path / "hf")}
    places = (registry_server.url, s3_prefix(), "hub://zoo/digits-cnn", f"file://{tmp_path}/shelf")
    targets = [word for place in places for word in ("--to", place)]
    first = demo.zoo.json(
        "publish", "manifests/digits-cnn.yaml", "--variant", "sparse75-int8", *targets, env=env
    )["published"]
    again = demo.zoo.json(
        "publish", "manifests/digits-cnn.yaml", "--variant", "sparse75-int8", *targets, env=env
    )["published"]
    assert [item["created"] for item in first] == [True] * len(places)
    assert [item["created"] for item in again] == [False] * len(places)
    pulled = set()
    for index, place in enumerate(places):
        reader, target = zoo_in(f"reader{index}"), tmp_path / f"pulled{index}.tflite"
        reader.folder.mkdir()
        said = reader.json("pull", name, "--from", place, "--to", str(target), env=env)
        pulled.add((said["sha256"], said["record_sha256"], digest_file(target)))
    record = (demo.folder(name) / "record.json").read_bytes()
    file = Record.read(record).file.sha256
    assert pulled == {(file, Digest.of(record), file)}


def test_a_tampered_blob_is_refused_and_the_old_copy_stays(
    demo: Any, zoo_in: Callable[[str], Any], tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    demo.zoo.run(
        "publish",
        "manifests/digits-cnn.yaml",
        "--variant",
        "int8",
        "--variant",
        "fp16",
        "--to",
        f"file://{shelf}",
    )
    reader, target = zoo_in("reader"), tmp_path / "model.tflite"
    reader.folder.mkdir()
    reader.run("pull", "digits-cnn-fp16", "--from", f"file://{shelf}", "--to", str(target))
    old = target.read_bytes()
    digest = demo.record("digits-cnn-int8")["file"]["sha256"]
    blob = shelf / "blobs/sha256" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"\0" * blob.stat().st_size)
    said = reader.run(
        "pull", "digits-cnn-int8", "--from", f"file://{shelf}", "--to", str(target), code=1
    )
    assert digest in said
    assert target.read_bytes() == old


def test_other_bytes_under_a_published_version_are_refused(
    demo: Any, zoo_in: Callable[[str], Any], tmp_path: Path
) -> None:
    shelf = f"file://{tmp_path}/shelf"
    demo.zoo.run("publish", "manifests/digits-cnn.yaml", "--variant", "int8", "--to", shelf)
    other = zoo_in("other")
    shutil.copytree(demo.zoo.home / "builds", other.home / "builds")
    shutil.copytree(demo.zoo.folder / "manifests", other.folder / "manifests")
    folder = other.home / "builds/digits-cnn-int8/1.1.0"
    source = json.loads((other.home / "builds/digits-cnn-fp16/1.1.0/record.json").read_bytes())
    forged = Record.read(
        json.dumps(source | {"name": "digits-cnn-int8", "variant": "int8"}).encode()
    )
    for path in folder.iterdir():
        path.unlink()
    (folder / "record.json").write_bytes(forged.to_bytes())
    shutil.copy(
        demo.folder("digits-cnn-fp16") / "digits-cnn-fp16.tflite", folder / "digits-cnn-int8.tflite"
    )
    shutil.copy(demo.folder("digits-cnn-fp16") / "golden.npz", folder / "golden.npz")
    said = other.run(
        "publish", "manifests/digits-cnn.yaml", "--variant", "int8", "--to", shelf, code=1
    )
    assert "is released with the file" in said
    assert "zoo bump" in said
