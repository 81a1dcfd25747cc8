"""Evaluation runs the file itself: metrics, fidelity, golden vectors, and loud failures."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.metrics import wilson
from zoo_builders.stage import Job
from zoo_builders.stages.evaluate import SQNR_CEILING_DB, Evaluation, measure, run, sqnr_db
from zoo_builders.tasks import TASKS
from zoo_builders.tflite import golden, litert
from zoo_builders.tflite.agreement import judge
from zoo_builders.tflite.inspection import inspect
from zoo_registry.model.errors import BuildFailed, MeasureFailed, Unsupported
from zoo_registry.model.record import Values

PARAMS = {"task": "image-classification", "split": "test", "calibration": "calibration"}
Files = Mapping[str, bytes]
MakeJob = Callable[..., Job]


def evaluated(job: Job) -> Evaluation:
    run(job)
    return Evaluation.model_validate_json((job.out / "evaluation.json").read_bytes())


def test_the_float_file_agrees_with_itself(files: Files, data: Path, make_job: MakeJob) -> None:
    found = evaluated(
        make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=data)
    )
    assert found.fidelity.top1_agreement == 1
    assert found.fidelity.sqnr_db == SQNR_CEILING_DB
    assert found.file.sha256 == hashlib.sha256(files["fp32"]).hexdigest()
    assert found.signature.labels == tuple("abcdef")
    assert found.signature.preprocess == ({"rescale": [-1, 1]},)
    assert found.signature.values == Values(scale=2 / 255, offset=-1, low=0, high=255)
    assert [m.metric for m in found.metrics] == ["top1", "macro_recall", "top5", "worst_recall"]
    assert {(m.examples, m.split) for m in found.metrics} == {(60, "test")}


def test_metrics_are_those_of_the_files_own_outputs(
    files: Files, data: Path, make_job: MakeJob
) -> None:
    found = evaluated(
        make_job("evaluate", PARAMS, file=files["int8"], baseline=files["fp32"], data=data)
    )
    session = litert.Session(files["int8"])
    inputs = np.load(data / "test_x.npy").astype(np.float32) * np.float32(2 / 255) + np.float32(-1)
    best = [int(np.argmax(session.run([session.inputs[0].store(one[None])])[0])) for one in inputs]
    assert found.metrics[0].value == pytest.approx(
        np.mean(np.array(best) == np.load(data / "test_y.npy"))
    )
    assert found.metrics[0].ci95[0] <= found.metrics[0].value <= found.metrics[0].ci95[1]
    by_class = next(m for m in found.metrics if m.metric == "macro_recall").classes
    truth = np.load(data / "test_y.npy")
    assert {one.label: one.value for one in by_class} == pytest.approx(
        {
            "abcdef"[label]: np.mean(np.array(best)[truth == label] == label)
            for label in np.unique(truth)
        }
    )
    assert sum(one.examples for one in by_class) == len(truth)
    assert found.fidelity.top1_agreement is not None
    assert 0.5 <= found.fidelity.top1_agreement <= 1
    assert 20 < found.fidelity.sqnr_db < SQNR_CEILING_DB


def test_equal_jobs_write_equal_bytes(files: Files, data: Path, make_job: MakeJob) -> None:
    written = []
    for _ in range(2):
        job = make_job("evaluate", PARAMS, file=files["sparse"], baseline=files["fp32"], data=data)
        run(job)
        written.append({path.name: path.read_bytes() for path in job.out.iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"evaluation.json", "golden.npz"}


def test_golden_vectors_are_real_examples_and_every_path_gives_them(
    files: Files, data: Path, make_job: MakeJob
) -> None:
    job = make_job("evaluate", PARAMS, file=files["sparse"], baseline=files["fp32"], data=data)
    found, vectors = evaluated(job), golden.load(job.out)
    assert found.golden.sha256 == hashlib.sha256((job.out / "golden.npz").read_bytes()).hexdigest()
    calibration = np.load(data / "calibration_x.npy").astype(np.float32) * np.float32(
        2 / 255
    ) + np.float32(-1)
    assert np.array_equal(vectors.inputs[0][0][0], calibration[0])
    kinds: tuple[litert.Kernels, ...] = ("xnnpack", "builtin", "reference")
    for kernels in kinds:
        session = litert.Session(files["sparse"], kernels=kernels)
        found = litert.outputs(session, vectors.inputs)
        judge(found, vectors.outputs, vectors.atol, vectors.rule)


def test_another_files_outputs_are_not_the_golden_ones(
    files: Files, data: Path, make_job: MakeJob
) -> None:
    job = make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=data)
    run(job)
    vectors = golden.load(job.out)
    for other in ("sparse", "int8"):
        outputs = litert.outputs(litert.Session(files[other]), vectors.inputs)
        with pytest.raises(MeasureFailed, match="half of 20 golden examples are off by"):
            judge(outputs, vectors.outputs, vectors.atol, vectors.rule)
        with pytest.raises(MeasureFailed, match=r"golden example \d+, output 0: found"):
            judge(outputs, vectors.outputs, 1e-4)


@pytest.mark.train
@pytest.mark.parametrize("name", ["fp16", "dynamic", "int8-io", "int16x8", "sparse-int8"])
def test_every_kind_of_file_is_evaluated(
    name: str, converted: Mapping[str, bytes], files: Files, data: Path, make_job: MakeJob
) -> None:
    found = evaluated(
        make_job("evaluate", PARAMS, file=converted[name], baseline=files["fp32"], data=data)
    )
    sparse = name.startswith("sparse")
    assert (found.fidelity.top1_agreement or 0) >= (0.3 if sparse else 0.9)
    stored = {"int8-io": "int8"}.get(name, "float32")
    assert (found.signature.inputs[0].dtype, found.signature.outputs[0].dtype) == (stored, stored)


@pytest.fixture
def unlabelled(data: Path, tmp_path: Path) -> Path:
    """The same noise from a folder without classes."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for split in ("test", "calibration"):
        images = np.load(data / f"{split}_x.npy")
        np.save(folder / f"{split}_x.npy", images)
        np.save(folder / f"{split}_y.npy", np.full(len(images), -1))
    about = json.loads((data / "dataset.json").read_text()) | {"classes": []}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def test_without_labels_fidelity_is_what_there_is_to_say(
    files: Files, data: Path, unlabelled: Path, make_job: MakeJob
) -> None:
    params = PARAMS | {"task": "fidelity"}
    found = evaluated(
        make_job("evaluate", params, file=files["int8"], baseline=files["fp32"], data=unlabelled)
    )
    labelled = evaluated(
        make_job("evaluate", PARAMS, file=files["int8"], baseline=files["fp32"], data=data)
    )
    assert found.metrics == ()
    assert found.fidelity == labelled.fidelity
    assert found.golden == labelled.golden


def test_a_task_with_metrics_refuses_data_without_labels(
    files: Files, unlabelled: Path, make_job: MakeJob
) -> None:
    with pytest.raises(BuildFailed, match="no labels") as told:
        run(
            make_job(
                "evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=unlabelled
            )
        )
    assert "task: fidelity" in told.value.hint


def test_a_file_with_other_classes_than_the_data_is_refused_before_it_runs(
    files: Files, data: Path, make_job: MakeJob, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "other")
    about = json.loads((data / "dataset.json").read_text()) | {"classes": list("abc")}
    (other / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(BuildFailed, match="the data have 3 classes, the network gives 6 scores"):
        run(make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=other))


def test_a_split_that_is_empty_or_unknown_is_refused(
    files: Files, data: Path, make_job: MakeJob, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for split in ("test", "calibration"):
        np.save(empty / f"{split}_x.npy", np.zeros((0, 16, 16, 3), np.uint8))
        np.save(empty / f"{split}_y.npy", np.zeros(0, np.int64))
    (empty / "dataset.json").write_bytes((data / "dataset.json").read_bytes())
    with pytest.raises(BuildFailed, match="'test' is empty"):
        run(make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=empty))


def test_data_of_another_shape_are_refused(
    files: Files, data: Path, make_job: MakeJob, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in data.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    np.save(other / "test_x.npy", np.zeros((60, 8, 8, 3), np.uint8))
    with pytest.raises(
        Unsupported, match=r"takes inputs of shape \[\(1, 16, 16, 3\)\], the data are \(8, 8, 3\)"
    ):
        run(make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=other))


def nan_file(data: bytes) -> bytes:
    """Make every weight of the dense layer a NaN."""
    from zoo_builders.tflite.flatbuffer import read

    graph = read(data).main
    dense = next(operator for operator in graph.operators if operator.code == "FULLY_CONNECTED")
    weights = graph.tensors[dense.inputs[1]].data
    assert data.count(weights) == 1
    return data.replace(weights, np.full(len(weights) // 4, np.nan, np.float32).tobytes())


def test_outputs_that_are_not_numbers_are_no_result(
    files: Files, data: Path, make_job: MakeJob
) -> None:
    with pytest.raises(MeasureFailed, match="not numbers"):
        run(
            make_job(
                "evaluate", PARAMS, file=nan_file(files["fp32"]), baseline=files["fp32"], data=data
            )
        )


def test_the_runtimes_own_words_come_through(files: Files) -> None:
    with pytest.raises(MeasureFailed, match="cannot prepare the file"):
        litert.Session(files["fp32"][:64])
    session = litert.Session(files["fp32"])
    with pytest.raises(MeasureFailed, match=r"input .* Dimension mismatch"):
        session.feed([np.zeros((1, 2), np.float32)])
    with pytest.raises(MeasureFailed, match="2 inputs given, the file takes 1"):
        session.feed([np.zeros(1), np.zeros(1)])


def test_coverage_tells_what_the_delegate_took(files: Files) -> None:
    for data in files.values():
        operators = sum(inspect(data).operators.values())
        assert litert.Session(data).coverage() == litert.Coverage(operators, operators, 1)
        assert litert.Session(data, kernels="builtin").coverage() == litert.Coverage(
            0, operators, 0
        )


def test_sizes_are_those_of_the_standard_tools(files: Files) -> None:
    import gzip

    import zstandard

    found = measure(files["fp32"])
    assert found.size == len(files["fp32"])
    assert found.size_gzip == len(gzip.compress(files["fp32"], 9, mtime=0)) < found.size
    assert found.size_zstd == len(zstandard.compress(files["fp32"], 19))


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilsons_interval_holds_the_share_and_stays_inside(total: int, share: float) -> None:
    hits = round(share * total)
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1
    assert low < high


def test_wilsons_interval_by_the_book() -> None:
    assert wilson(81, 263) == pytest.approx(
        (0.2553, 0.3662), abs=1e-4
    )  # Newcombe 1998, table I, method 3


def test_sqnr_is_in_decibels() -> None:
    signal = np.ones((2, 5), np.float32)
    assert sqnr_db(signal, signal * np.float32(0.9)) == pytest.approx(20, abs=1e-3)
    assert sqnr_db(signal, signal) == SQNR_CEILING_DB
    assert sqnr_db(signal * 0, signal) == -SQNR_CEILING_DB


def test_top5_counts_the_five_best_and_is_left_out_of_five_classes() -> None:
    task = TASKS.get("image-classification")
    outputs = np.tile(np.arange(7, 0, -1, dtype=np.float32), (7, 1))
    found = task.score(outputs, np.arange(7), tuple("abcdefg"))
    assert {name: found[name].value for name in ("top1", "top5")} == {
        "top1": pytest.approx(1 / 7),
        "top5": pytest.approx(5 / 7),
    }
    assert "top5" not in task.score(outputs[:, :5], np.arange(7) % 5, tuple("abcde"))


def test_what_is_written_is_plain_json(files: Files, data: Path, make_job: MakeJob) -> None:
    job = make_job("evaluate", PARAMS, file=files["fp32"], baseline=files["fp32"], data=data)
    run(job)
    plain: dict[str, Any] = json.loads((job.out / "evaluation.json").read_bytes())
    assert set(plain) == {"file", "signature", "metrics", "fidelity", "golden", "runtime_version"}
