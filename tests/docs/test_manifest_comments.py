"""What a comment in a shipped manifest tells the reader to write works when it is written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from zoo_builders.data import stored
from zoo_builders.running.project import Project
from zoo_builders.stage import Job
from zoo_builders.stages import data as data_stage

ROOT = Path(__file__).parents[2]
LITE0 = ROOT / "manifests" / "efficientnet-lite0.yaml"


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three of a thousand classes, forty pictures each."""
    names = [f"n{number:08}" for number in range(1000)]
    (tmp_path / "imagenet-classes.txt").write_text("\n".join(names))
    for number in (7, 500, 999):
        (tmp_path / "imagenet" / names[number]).mkdir(parents=True)
        for index in range(40):
            Image.new("RGB", (300, 260), (index, number % 256, 0)).save(
                tmp_path / "imagenet" / names[number] / f"{index}.png"
            )
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    return tmp_path


def written(manifest: Path) -> dict[str, Any]:
    """Give the manifest with what its comment says in the place of what stands there."""
    text = manifest.read_text()
    comment = "\n".join(line[4:] for line in re.findall(r"^#   .*$", text, re.MULTILINE))
    said: dict[str, Any] = yaml.safe_load(comment)
    return yaml.safe_load(text) | said


def test_a_folder_of_photographs_of_ones_own(own_folder: Path) -> None:
    spec = written(LITE0)
    assert spec["task"] == "image-classification"
    (own_folder / "lite0.yaml").write_text(yaml.safe_dump(spec))
    assert "int8" in Project().read(own_folder / "lite0.yaml").recipes
    out = own_folder / "data"
    out.mkdir()
    files = {"path": own_folder / "imagenet", "classes": own_folder / "imagenet-classes.txt"}
    data_stage.run(Job("data", spec["data"], files, {}, out, lambda *_: None))
    _, labels = stored.load_split(out, "test")
    assert np.unique(labels).tolist() == [7, 500, 999]
    assert len(stored.load_about(out)["classes"]) == 1000
