"""Examples that splits share, classes without examples, and values that are no numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders import finite
from zoo_builders.data import report
from zoo_builders.data.examples import BadData, Examples, refuse_no_numbers
from zoo_builders.data.stored import load_about
from zoo_builders.stage import Job
from zoo_builders.stages import data as data_stage
from zoo_registry.model.data_report import DataReport

CUTS = {"train": "train", "test": "test", "calibration": "train[:5]"}


def pictures(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)


def stored(
    folder: Path, splits: dict[str, str], said: list[str] | None = None, **more: Any
) -> DataReport:
    """Run the data stage over two splits of 100 pictures; three of `test` are in `train` too."""
    train, test = pictures(100, 1), pictures(100, 2)
    test[[3, 50, 99]] = train[[0, 60, 61]]
    labels = np.arange(100) % 3
    arrays = {"x_train": train, "y_train": labels, "x_test": test, "y_test": labels}
    np.savez(folder / "set.npz", **(arrays | more.pop("arrays", {})))
    params = {
        "source": "npz-images",
        "args": {"path": "file", "sha256": "0" * 64, "order": "stored"},
        "splits": splits,
        "preprocess": [],
        **more,
    }
    out = folder / "out"
    out.mkdir()
    files = {"path": folder / "set.npz"}
    say = (said if said is not None else []).append
    data_stage.run(Job("data", params, files, {}, out, lambda *_: None, say=say))
    return DataReport.model_validate(load_about(out)["report"])


def test_what_test_shares_with_train_is_counted_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    found = stored(tmp_path, CUTS, said, max_overlap=0.05)
    told = [(one.split, one.other, one.examples, one.share) for one in found.overlaps]
    assert told == [("test", "train", 3, 0.03), ("test", "calibration", 1, 0.01)]
    assert said == list(found.words)
    assert said[0] == "3 examples of test (3.0%) are also in train"


def test_more_than_the_stated_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"3 examples of test \(3\.0%\) are also in train, more than"):
        stored(tmp_path, CUTS, max_overlap=0.02)


def test_expressions_that_overlap_are_refused_by_their_examples(tmp_path: Path) -> None:
    cuts = {"train": "train[:90%]", "test": "train[80%:]"}
    with pytest.raises(BadData, match=r"10 examples of test \(50\.0%\).*train\[80%:\]") as found:
        stored(tmp_path, cuts)
    assert "max_overlap: 0.51" in found.value.hint


def test_calibration_out_of_train_and_validation_in_test_are_no_faults(tmp_path: Path) -> None:
    cuts = {"train": "train[:60]", "validation": "test", "test": "test[4:50]"}
    found = stored(tmp_path, cuts | {"calibration": "train[:20]"})
    assert [(one.split, one.other) for one in found.overlaps] == [
        ("test", "validation"),
        ("validation", "train"),
    ]


def test_the_same_bytes_in_another_class_are_shared_too(tmp_path: Path) -> None:
    arrays = {"y_test": (np.arange(100) + 1) % 3}
    assert stored(tmp_path, CUTS, max_overlap=1.0, arrays=arrays).overlaps[0].examples == 3


def test_classes_without_examples_are_named(tmp_path: Path) -> None:
    names = {"classes": np.array(["cat", "dog", "cow", "eel"])}
    found = stored(tmp_path, CUTS | {"test": "test[:2]"}, max_overlap=1.0, arrays=names)
    assert [one.words for one in found.absent] == [
        "no example of eel is in train",
        "no example of cow, eel is in test",
    ]


def test_many_absent_classes_are_told_in_one_line() -> None:
    absent = report.Seen([f"class{i}" for i in range(1000)])
    absent.add("test", Examples(pictures(1, 1), np.array([0])))
    [found] = absent.report(()).absent
    assert (
        found.words
        == "no example of class1, class2, class3, class4, class5 and 994 more is in test"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named_by_its_place(value: float) -> None:
    images = np.zeros((2000, 2, 3, 1), np.float32)
    images[1500, 1, 2, 0] = value
    assert finite.first(images) == (1500, 1, 2, 0)
    with pytest.raises(BadData, match=rf"split 'a': example 1500 holds {value} at \[1, 2, 0\]"):
        refuse_no_numbers(images, "split 'a'")


def test_whole_numbers_are_always_numbers() -> None:
    assert finite.first(np.zeros((2, 2), np.uint8)) is None
    assert finite.first(np.zeros((0, 2), np.float32)) is None


def loaded(folder: Path, **arrays: Any) -> Any:
    from zoo_builders.data.sources import SOURCES

    np.savez(folder / "set.npz", **arrays)
    source = SOURCES.get("npz-images")
    args = source.params.model_validate({"path": "set.npz", "sha256": "0" * 64, "order": "stored"})
    return source.load(args, {"path": folder / "set.npz"}, lambda *_: None)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x_train": np.array([[[0.5, 1]], [[np.nan, 1]]])}, r"x_train: example 1 holds nan"),
        ({"x_train": np.array([[[0.5, 1]], [[0, -np.inf]]])}, r"holds -inf at \[0, 1, 0\]"),
        ({"x_train": np.array([[[0.5, 1]], [[0, 1e300]]])}, r"x_train as float32.*inf"),
        ({"x_train": np.array([[[0, 1]], [[0, 70_000]]])}, r"whole numbers from 0 to 70000"),
        ({"x_train": np.array([[[0, 1]], [[0, -7]]])}, r"whole numbers from -7"),
        ({"y_train": np.array([0, np.nan])}, r"y_train: the label of example 1 is nan"),
        ({"y_train": np.array([0.5, 1])}, r"y_train: the label of example 0 is 0\.5"),
        ({"y_train": np.array([0, -1])}, r"'train': the label of example 1 is -1"),
        ({"y_train": np.array([2, 1]), "classes": np.array(["a", "b"])}, r"is 2, .* 0 to 1"),
        ({"y_train": np.array([0, 10**9])}, r"the highest label is 1000000000"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_wrong_values_are_named_where_they_enter(
    tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    plain = {"x_train": np.array([[[1, 2]], [[3, 4]]]), "y_train": np.array([0, 1])}
    with pytest.raises(BadData, match=said):
        loaded(tmp_path, **(plain | arrays))


@pytest.mark.parametrize(
    ("pixels", "kept", "value_range"),
    [
        (np.array([[[0, 255]]], np.int64), np.uint8, (0.0, 255.0)),
        (np.array([[[0, 65535]]], np.uint16), np.float32, (0.0, 65535.0)),
        (np.array([[[0, 1000]]], np.int32), np.float32, (0.0, 65535.0)),
        (np.array([[[0, 1]]], np.float64), np.float32, (0.0, 1.0)),
    ],
    ids=["int64", "uint16", "int32", "float64"],
)
def test_numbers_of_any_type_are_taken_by_their_range(
    tmp_path: Path, pixels: Any, kept: Any, value_range: tuple[float, float]
) -> None:
    found = loaded(tmp_path, x_train=pixels, y_train=np.array([0.0]))
    images = found.splits["train"].images
    assert images.dtype == kept
    assert np.array_equal(images[..., 0], pixels)
    assert found.value_range == value_range


def test_pictures_of_yes_and_no_are_black_and_white(tmp_path: Path) -> None:
    found = loaded(tmp_path, x_train=np.array([[[False, True]]]), y_train=np.array([0]))
    assert found.splits["train"].images.ravel().tolist() == [0, 255]


def test_calibration_may_share_some_of_test_and_not_half(tmp_path: Path) -> None:
    cuts = {"train": "train", "test": "test[4:50]", "calibration": "test[:12]"}
    assert stored(tmp_path, cuts).overlaps[0].examples == 8
    (tmp_path / "more").mkdir()
    with pytest.raises(BadData, match=r"examples of test .* are also in calibration, more than 20"):
        stored(tmp_path / "more", cuts | {"calibration": "test[:30]"})


def test_examples_that_fixed_no_ranges_are_found() -> None:
    test, calibration = pictures(10, 1), pictures(4, 2)
    test[[2, 7]] = calibration[[0, 3]]
    assert report.fresh(test, calibration).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]


def test_equal_files_are_named(tmp_path: Path) -> None:
    from PIL import Image

    for split, seed in (("train", 1), ("test", 2)):
        for at, image in enumerate(pictures(4, seed)):
            place = tmp_path / "photos" / split / ("cat" if at % 2 else "dog")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{at}.png")
    twin = tmp_path / "photos" / "test" / "cat" / "1.png"
    twin.write_bytes((tmp_path / "photos" / "train" / "dog" / "2.png").read_bytes())
    params = {
        "source": "image-folder",
        "args": {"path": "file", "size": [4, 4]},
        "splits": {"train": "train", "test": "test"},
        "preprocess": [],
    }
    (tmp_path / "out").mkdir()
    files = {"path": tmp_path / "photos"}
    with pytest.raises(BadData, match=r"such as test/cat/1\.png = train/dog/2\.png\)"):
        data_stage.run(Job("data", params, files, {}, tmp_path / "out", lambda *_: None))
