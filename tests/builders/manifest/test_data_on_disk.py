"""What lies on disk is held against the manifest at `zoo validate`: splits, classes, channels."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo_builders.running.project import Project
from zoo_registry.model.errors import InvalidManifest

MANIFEST = """schema: edgezoo/v1
model: some
version: 1.0.0
license: mit
base: {{network: digits_cnn, args: {args}}}
data:
  source: {source}
  args: {data}
  splits: {{train: "{train}", validation: "{train}", test: {test}, calibration: "{train}"}}
  preprocess: {steps}
variants: {{fp32: []}}
"""
SAID: dict[str, Any] = {
    "args": "{}",
    "source": "npz-images",
    "data": "{path: set.npz, sha256: SHA}",
    "train": "train[:20]",
    "test": "test",
    "steps": "[]",
}
Mistakes = Callable[..., list[tuple[str, str, str]]]


@pytest.fixture
def mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mistakes:
    """Read a manifest; give (key, message, hint) of each mistake."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / ".zoo"))

    def read(**said: str) -> list[tuple[str, str, str]]:
        path = tmp_path / "some.yaml"
        stored = tmp_path / "set.npz"
        sha256 = hashlib.sha256(stored.read_bytes()).hexdigest() if stored.exists() else ""
        path.write_text(MANIFEST.format(**SAID | said).replace("SHA", sha256))
        try:
            Project().read(path)
        except InvalidManifest as error:
            return [(one.key, one.reason, one.hint) for one in error.mistakes or (error,)]
        return []

    return read


def store(
    folder: Path, *, channels: int = 1, classes: int = 10, names: Any = None, **arrays: Any
) -> None:
    images = np.zeros((40, 8, 8, channels) if channels > 1 else (40, 8, 8), np.uint8)
    labels = np.arange(40) % classes
    given = {"x_train": images, "y_train": labels, "x_test": images + 1, "y_test": labels}
    given |= {"classes": np.array(names)} if names else {}
    np.savez(folder / "set.npz", **given | arrays)


def test_what_fits_is_taken(mistakes: Mistakes, tmp_path: Path) -> None:
    store(tmp_path)
    assert mistakes() == []
    store(tmp_path, classes=3)
    assert mistakes(args="{classes: 3}") == []


def test_channels_that_the_network_does_not_take(mistakes: Mistakes, tmp_path: Path) -> None:
    store(tmp_path, channels=3)
    [(key, message, _)] = mistakes()
    assert key == "base.network"
    assert "takes inputs of shape [8, 8, 1], data and preprocessing give [8, 8, 3]" in message


@pytest.mark.parametrize("named", [True, False])
def test_classes_that_the_network_does_not_give(
    named: bool, mistakes: Mistakes, tmp_path: Path
) -> None:
    store(tmp_path, classes=7, names=list("abcdefg") if named else None)
    [(key, message, hint)] = mistakes()
    assert key == "base.network"
    assert "the data have 7 classes, the network gives 10 scores" in message
    assert "classes: …" in hint


def test_labels_that_are_none(mistakes: Mistakes, tmp_path: Path) -> None:
    store(tmp_path, y_train=np.linspace(0, 1, 40))
    [(key, message, _)] = mistakes()
    assert (key, "whole numbers" in message) == ("data.args", True)


@pytest.mark.parametrize(
    ("train", "test", "key", "words", "hint"),
    [
        ("trian", "test", "data.splits.train", "on disk are test (40), train (40)", "'train'"),
        ("train", "val", "data.splits.test", "has no split 'val'", "known here: test, train"),
        ("train[90:]", "test", "data.splits.train", "takes no example", "train[:200]"),
    ],
)
def test_splits_that_are_not_there(
    train: str, test: str, key: str, words: str, hint: str, mistakes: Mistakes, tmp_path: Path
) -> None:
    store(tmp_path)
    found = [one for one in mistakes(train=train, test=test) if one[0] == key]
    assert len(found) == 1
    assert words in found[0][1]
    assert hint in found[0][2]


def test_folders_that_are_no_splits_are_named(mistakes: Mistakes, tmp_path: Path) -> None:
    for index in range(20):
        folder = tmp_path / "photos" / ("cat" if index % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), index).save(folder / f"{index}.png")
    folders = {"source": "image-folder", "data": "{path: photos, size: [8, 8]}"}
    found = mistakes(**folders, args="{classes: 2}")
    assert {key for key, _, _ in found} >= {f"data.splits.{name}" for name in ("train", "test")}
    assert all("on disk are all (20)" in why for key, why, _ in found if "splits" in key)


def test_the_digits_are_known_without_a_file(mistakes: Mistakes) -> None:
    digits = {"source": "digits", "data": "{}"}
    assert mistakes(**digits) == []
    [(key, message, _)] = mistakes(**digits, args="{classes: 12}")
    assert (key, "the data have 10 classes" in message) == ("base.args", True)
    assert "takes no example" in mistakes(**digits, train="train[5000:]")[0][1]


def test_the_digits_are_as_many_as_is_said() -> None:
    from zoo_builders.data.sources import SOURCES

    source = SOURCES.get("digits")
    loaded, said = source.load(source.params(), {}, lambda *_: None), source.survey(None, {})
    assert said is not None
    assert {name: len(split.labels) for name, split in loaded.splits.items()} == said.counts
    assert loaded.classes == said.classes
