"""`zoo import`: a finished file enters the zoo as it is, or is refused and leaves nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from plugins import edited_files
from plugins.edited_files import committed, edited, with_archive
from zoo_builders.commands.import_file import import_file
from zoo_builders.tflite.attachments import labels
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.record import Record

GIVEN = {"publish": False, "benchmark": False, "to": None, "json": False}


def test_a_file_with_labels_and_two_outputs_is_judged_published_and_pulled(zoo: Any) -> None:
    from PIL import Image

    for label, index in ((label, index) for label in ("ant", "bee") for index in range(5)):
        place = zoo.folder / f"photos/{label}/{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(
            np.full((20, 20, 3), 40 * index + len(label) + ord(label[0]) % 5, np.uint8)
        ).save(place)
    names = ["zebra", "bee", "yak", "ant", "fox", "wolf"]
    data = edited(committed(), edited_files.second_output, edited_files.open_batch)
    given = with_archive(data, {"labels.txt": "\n".join(names).encode()})
    (zoo.folder / "given.tflite").write_bytes(given)
    options = ("--data", "image-folder:photos", "--rescale", "-1", "1", "--output", "scores")
    said = ("--name", "guest", "--no-benchmark", "--publish", "--json")
    done = zoo("import", "given.tflite", *options, *said)
    assert done.returncode == 0, done.stderr
    [built] = json.loads(done.stdout)["built"]
    record = Record.read((Path(built["folder"]) / "record.json").read_bytes())
    assert (record.variant, record.signature.output) == ("fp32", "scores")
    assert list(record.signature.labels) == names
    assert record.signature.inputs[0].shape == (1, 16, 16, 3)
    manifest = yaml.safe_load((zoo.folder / "manifests/guest.yaml").read_text())
    assert manifest["data"]["args"]["size"] == [16, 16]
    pulled = zoo("pull", "guest-fp32", "--to", "pulled.tflite")
    assert pulled.returncode == 0, pulled.stderr
    assert list(labels((zoo.folder / "pulled.tflite").read_bytes())) == names


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name": ({"name": "Guest"}, "not a model name"),
    "a source": ({"data": "digit"}, "digit"),
    "lost data": ({"data": "npz-images:lost.npz"}, "lost.npz"),
    "another shape": ({"data": "image-folder: {path: ., size: [8, 8]}"}, r"give \[8, 8, 3\]"),
    "a signature": ({"signature": "nope"}, "no signature 'nope'"),
    "an output": ({"output": "nope"}, "no output 'nope'"),
    "no file": ({"file": "lost.tflite"}, "lost.tflite"),
    "a web page": ({"file": "page.tflite"}, "an HTML page"),
    "a manifest": ({"name": "tiny"}, "is there already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, words = REFUSED[case]
    (tmp_path / "project/manifests").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    Path("manifests/tiny.yaml").write_text("model: tiny\n")
    (tmp_path / "given.tflite").write_bytes(committed())
    (tmp_path / "page.tflite").write_bytes(b"<!doctype html>")
    options = {"file": "given.tflite", "name": "guest", **changes}
    with pytest.raises(WrongUse, match=words) as caught:
        import_file(tmp_path / options.pop("file"), **options, **GIVEN)
    assert caught.value.hint
    assert [path.name for path in Path("manifests").rglob("*.*")] == ["tiny.yaml"]
