"""Data: sources, preprocessing and the stage that stores splits."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoo_builders.data import stored
from zoo_builders.data.examples import BadData, Dataset
from zoo_builders.data.preprocess import geometry, shape_after, value_map
from zoo_builders.data.sources import SOURCES
from zoo_builders.stage import Job
from zoo_builders.stages import data as data_stage
from zoo_registry.model.errors import UnknownPlugin

SPLITS = {
    "train": "train[:90%]",
    "validation": "train[90%:]",
    "test": "test",
    "calibration": "train[:20]",
}


def silent(_done: int, _total: int, _note: str = "") -> None:
    """Report nothing."""


def load(source: str, files: Mapping[str, Path], **args: Any) -> Dataset:
    found = SOURCES.get(source)
    return found.load(found.params.model_validate(args), files, silent).checked()


def npz(folder: Path, **arrays: Any) -> dict[str, Path]:
    np.savez(folder / "set.npz", **arrays)
    return {"path": folder / "set.npz"}


ARGS = {"path": "set.npz", "sha256": "0" * 64}


def stream(count: int = 40) -> dict[str, Any]:
    """The JPEG layout: grey images whose brightness is their index, sorted by class."""
    files = []
    for index in range(count):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (index * 5,) * 3).save(out, "JPEG", quality=95)
        files.append(np.frombuffer(out.getvalue(), np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    return {
        "jpeg": np.concatenate(files),
        "offsets": offsets,
        "label": np.repeat([0, 1], count // 2).astype(np.uint8),
        "split": np.tile([0, 0, 0, 1], count // 4).astype(np.uint8),
        "classes": np.array(["cat", "dog"]),
    }


def test_digits_are_split_by_class_and_always_the_same() -> None:
    first, second = load("digits", {}), load("digits", {})
    assert first.digest == second.digest
    assert {name: len(split.labels) for name, split in first.splits.items()} == {
        "train": 1442,
        "test": 355,
    }
    assert np.bincount(first.splits["test"].labels).min() >= 34
    assert set(first.splits["train"].labels[-100:]) == set(range(10))


def test_jpeg_streams_are_decoded_and_mixed(tmp_path: Path) -> None:
    found = load("npz-images", npz(tmp_path, **stream()), **ARGS)
    assert found.classes == ("cat", "dog")
    assert {name: split.images.shape for name, split in found.splits.items()} == {
        "train": (30, 8, 8, 3),
        "test": (10, 8, 8, 3),
    }
    assert set(found.splits["train"].labels[:10]) == {0, 1}
    order = np.argsort(found.splits["test"].images.mean(axis=(1, 2, 3)))
    assert np.array_equal(found.splits["test"].labels[order], np.repeat([0, 1], 5))


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = load("npz-images", npz(tmp_path, **stream()), **ARGS)
    two = load("npz-images", npz(tmp_path / "other", **stream()), **ARGS)
    three = load(
        "npz-images",
        npz(tmp_path, **(stream() | {"label": np.repeat([1, 0], 20).astype(np.uint8)})),
        **ARGS,
    )
    assert one.digest == two.digest != three.digest


def test_plain_arrays(tmp_path: Path) -> None:
    x = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    files = npz(tmp_path, x_train=x, y_train=np.arange(6), x_test=x, y_test=np.arange(6)[:, None])
    found = load("npz-images", files, order="stored", **ARGS)
    assert np.array_equal(found.splits["train"].images[..., 0], x)
    assert np.array_equal(found.splits["test"].labels, np.arange(6))
    assert found.value_range == (0.0, 255.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"offsets": np.zeros(41, np.int64)},
        {"offsets": np.arange(41)[::-1]},
        {"offsets": np.linspace(0, 10**9, 41).astype(np.int64)},
        {"offsets": np.arange(3)},
        {"label": np.full(40, -1)},
        {"label": np.linspace(0, 1, 40)},
        {"split": np.full(40, 7)},
        {"jpeg": np.zeros(100_000, np.uint8)},
        {"classes": np.array(["one"])},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_hostile_stream_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        load("npz-images", npz(tmp_path, **(stream() | wrong)), **ARGS)


def test_pickles_and_non_archives_are_refused(tmp_path: Path) -> None:
    pickled = npz(tmp_path, x_train=np.array([object()], dtype=object), y_train=np.arange(1))
    with pytest.raises(BadData, match="not a readable"):
        load("npz-images", pickled, **ARGS)
    (tmp_path / "set.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(BadData, match="not a readable"):
        load("npz-images", {"path": tmp_path / "set.npz"}, **ARGS)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": np.zeros((2, 2, 2), np.uint8)},
        {"a": np.zeros(1)},
        {"x_a": np.zeros((2, 2)), "y_a": np.zeros(2, int)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        load("npz-images", npz(tmp_path, **arrays), **ARGS)


def test_image_folders(tmp_path: Path) -> None:
    for split, name in ((s, n) for s in ("train", "test") for n in ("cat", "dog")):
        folder = tmp_path / split / name
        folder.mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (10, 6), (200 if name == "dog" else 10,) * 3).save(
                folder / f"{index}.png"
            )
    found = load("image-folder", {"path": tmp_path}, path=".", size=(4, 5))
    assert found.classes == ("cat", "dog")
    assert found.splits["train"].images.shape == (6, 4, 5, 3)
    assert np.array_equal(
        found.splits["test"].images.mean(axis=(1, 2, 3)) > 100, found.splits["test"].labels == 1
    )
    flat = load("image-folder", {"path": tmp_path / "train"}, path=".", size=(4, 5), channels=1)
    assert flat.splits["all"].images.shape == (6, 4, 5, 1)
    (tmp_path / "test/cat/0.png").write_bytes(b"no image")
    with pytest.raises(BadData, match=r"cat/0\.png is not an image"):
        load("image-folder", {"path": tmp_path}, path=".", size=(4, 5))


def pictures(folder: Path, *classes: str) -> Path:
    """Write one picture a class, 8 high and 12 wide: black, its middle square white."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        picture = np.zeros((8, 12), np.uint8)
        picture[:, 2:10] = 255
        Image.fromarray(picture).save(folder / name / "0.png")
    return folder


def test_classes_of_folders_are_numbered_as_a_list_says(tmp_path: Path) -> None:
    folder, names = pictures(tmp_path / "some", "dog", "cat"), tmp_path / "classes.txt"
    names.write_text("bird\ndog\n\ncat \nfish\n")
    found = load(
        "image-folder",
        {"path": folder, "classes": names},
        path="some",
        size=(4, 4),
        classes="classes.txt",
    )
    assert found.classes == ("bird", "dog", "cat", "fish")
    assert sorted(found.splits["all"].labels) == [1, 2]


@pytest.mark.parametrize(
    ("names", "said"),
    {
        "one missing": (
            b"dog\nbird\n",
            "the folder 'cat' is none of the 2 classes that classes.txt names",
        ),
        "one twice": (b"dog\ncat\ndog\n", "names the class 'dog' more than once"),
        "empty": (b"", "the folder 'cat' is none of the 0 classes"),
        "no text": (b"\xff\xfe\x00", "is not a list of classes"),
    }.values(),
)
def test_a_list_of_classes_that_does_not_fit_is_refused(
    names: bytes, said: str, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "some", "dog", "cat")
    (tmp_path / "classes.txt").write_bytes(names)
    with pytest.raises(BadData, match=re.escape(said)):
        load(
            "image-folder",
            {"path": folder, "classes": tmp_path / "classes.txt"},
            path="some",
            size=(4, 4),
            classes="classes.txt",
        )


def test_images_are_stretched_or_their_middle_is_cut_out(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "some", "one")
    whole = (
        load("image-folder", {"path": folder}, path="some", size=(6, 6), channels=1)
        .splits["all"]
        .images
    )
    middle = (
        load("image-folder", {"path": folder}, path="some", size=(6, 6), channels=1, crop=1)
        .splits["all"]
        .images
    )
    inner = (
        load("image-folder", {"path": folder}, path="some", size=(6, 6), channels=1, crop=0.5)
        .splits["all"]
        .images
    )
    assert whole[0, :, 0].max() < 100
    assert middle.min() > 200, "the middle square is white"
    assert inner.min() == 255


def test_the_stage_stores_what_the_model_sees(tmp_path: Path) -> None:
    params = {
        "source": "digits",
        "args": {},
        "splits": SPLITS,
        "preprocess": [{"resize": 16}, {"rescale": [-1, 1]}],
    }
    data_stage.run(Job("data", params, {}, {}, tmp_path, silent))
    about = json.loads((tmp_path / "dataset.json").read_text())
    images, labels = stored.load_split(tmp_path, "test")
    raw, _ = stored.load_raw(tmp_path, "test")
    assert about["shape"] == [16, 16, 1]
    assert about["splits"]["validation"] == {"expression": "train[90%:]", "examples": 145}
    assert about["value_map"] == {"scale": 0.125, "offset": -1.0}
    assert raw.dtype == np.uint8
    assert images.dtype == np.float32
    assert -1 <= images.min() < images.max() <= 1
    assert np.array_equal(images, raw * np.float32(0.125) - np.float32(1))
    assert labels.dtype == np.int64
    assert about["dataset_sha256"] == load("digits", {}).digest
    with pytest.raises(UnknownPlugin, match="no split 'tset'"):
        stored.load_split(tmp_path, "tset")


def test_standardize_gives_mean_zero_and_deviation_one() -> None:
    images = np.random.default_rng(0).integers(0, 255, (50, 4, 4, 3)).astype(np.uint8)
    mapped = value_map([{"rescale": [0, 1]}, {"standardize": {}}], (0, 255), images)(images)
    assert np.allclose(mapped.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    assert np.allclose(mapped.std(axis=(0, 1, 2)), 1, atol=1e-5)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(["resize", "pad"]), st.booleans())
def test_the_shape_is_known_beforehand(height: int, width: int, name: str, gray: bool) -> None:
    images = np.zeros((2, 1, 1, 3), np.uint8)
    steps: list[dict[str, Any]] = [{name: [height, width]}, *([{"grayscale": {}}] if gray else [])]
    assert geometry(steps, images).shape[1:] == shape_after(steps, (1, 1, 3))


@given(st.floats(-10, 10), st.floats(0.1, 10))
def test_rescale_maps_the_ends_of_the_range(low: float, span: float) -> None:
    mapped = value_map([{"rescale": [low, low + span]}], (0, 16), None)(
        np.array([[0], [16]], np.uint8)
    )
    assert np.allclose(mapped.ravel(), [low, low + span], atol=1e-4)


def test_grayscale_weighs_the_colours() -> None:
    image = np.array([[[[255, 0, 0]]]], np.uint8)
    assert geometry([{"grayscale": None}], image).ravel().tolist() == [76]
