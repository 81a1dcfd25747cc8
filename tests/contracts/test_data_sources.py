"""Every data source keeps the contract, by being there.

Sources that download are fed by their own library's way of working offline.
"""

import sys
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo_builders.data.examples import Dataset
from zoo_builders.data.sources import SOURCES

COUNT = 12
CLASSES = 3
Fed = tuple[dict[str, Any], Mapping[str, Path]]


def _pictures(seed: int, count: int = COUNT) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 8, 8, 3), np.uint8), np.arange(count) % CLASSES


@contextmanager
def feed_digits(folder: Path) -> Iterator[Fed]:
    del folder
    yield {}, {}


@contextmanager
def feed_drawn(folder: Path) -> Iterator[Fed]:
    del folder
    yield {"shape": [4, 6, 1], "examples": COUNT, "high": 255, "whole": True}, {}


@contextmanager
def feed_npz_images(folder: Path) -> Iterator[Fed]:
    (x_train, y_train), (x_test, y_test) = _pictures(1), _pictures(2)
    np.savez(folder / "set.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    yield {"path": "set.npz", "sha256": "0" * 64}, {"path": folder / "set.npz"}


@contextmanager
def feed_image_folder(folder: Path) -> Iterator[Fed]:
    for split, seed in (("train", 1), ("test", 2)):
        for index, (picture, label) in enumerate(zip(*_pictures(seed), strict=True)):
            place = folder / "photos" / split / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / f"{index}.png")
    yield {"path": "photos", "size": [8, 8]}, {"path": folder / "photos"}


@contextmanager
def feed_fsdd(folder: Path) -> Iterator[Fed]:
    """Four speakers, three digits, seven takes.

    The official rule sends five takes of each to the test split.
    """
    random = np.random.default_rng(1)
    speakers, digits, takes = np.meshgrid(
        ["ann", "bob", "cyd", "dan"], np.arange(CLASSES), np.arange(7), indexing="ij"
    )
    lengths = random.integers(50, 12_000, digits.size)
    np.savez(
        folder / "fsdd.npz",
        pcm=random.integers(-32768, 32768, lengths.sum(), np.int16),
        offsets=np.cumsum([0, *lengths]),
        digit=digits.ravel().astype(np.uint8),
        speaker=speakers.ravel(),
        index=takes.ravel().astype(np.uint8),
    )
    yield {"path": "fsdd.npz", "sha256": "0" * 64}, {"path": folder / "fsdd.npz"}


@contextmanager
def feed_audio_folder(folder: Path) -> Iterator[Fed]:
    random = np.random.default_rng(1)
    for split, index in ((s, i) for s in ("train", "test") for i in range(COUNT)):
        place = folder / "words" / split / f"word{index % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        with wave.open(str(place / f"{index}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(
                random.integers(-32768, 32768, 300 * (index + 1), np.int16).astype("<i2").tobytes()
            )
    yield {"path": "words", "sample_rate": 4000, "seconds": 0.5}, {"path": folder / "words"}


@contextmanager
def feed_keras(folder: Path) -> Iterator[Fed]:
    """Put a small file of Keras' own layout where Keras would have put its download."""
    from zoo_builders import tf

    assert tf.keras.datasets.mnist
    (x_train, y_train), (x_test, y_test) = _pictures(1), _pictures(2)
    np.savez(
        folder / "mnist.npz",
        x_train=x_train[..., 0],
        y_train=y_train,
        x_test=x_test[..., 0],
        y_test=y_test,
    )
    module = sys.modules["tf_keras.src.datasets.mnist"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "get_file", lambda *_, **__: str(folder / "mnist.npz"))
        yield {"name": "mnist"}, {}


@contextmanager
def feed_tfds(folder: Path) -> Iterator[Fed]:
    """Prepare a set of our own the library's way, as its download would have."""
    tfds = pytest.importorskip("tensorflow_datasets")

    # the library has no types
    class TinyPictures(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        """Twelve pictures a split."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            label = tfds.features.ClassLabel(num_classes=CLASSES)
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {"image": tfds.features.Image(shape=(8, 8, 3)), "label": label}
                )
            )

        def _split_generators(self, _manager: Any) -> Any:
            return {"train": self._generate_examples(1), "test": self._generate_examples(2)}

        def _generate_examples(self, seed: int) -> Any:
            for index, (picture, label) in enumerate(zip(*_pictures(seed), strict=True)):
                yield index, {"image": picture, "label": int(label)}

    try:
        TinyPictures(data_dir=str(folder)).download_and_prepare()
        tfds.core.add_data_dir(str(folder))
        yield {"name": "tiny_pictures"}, {}
    finally:
        tfds.core.utils.file_utils.clear_registered_data_dirs()
        tfds.core.registered._DATASET_REGISTRY.pop("tiny_pictures", None)


@contextmanager
def feed_photographs(folder: Path) -> Iterator[Fed]:
    del folder
    yield {"size": [8, 8], "count": COUNT + 2}, {}


FEEDS: Mapping[str, Callable[[Path], Any]] = {
    "digits": feed_digits,
    "npz-images": feed_npz_images,
    "image-folder": feed_image_folder,
    "drawn": feed_drawn,
    "fsdd": feed_fsdd,
    "audio-folder": feed_audio_folder,
    "keras": feed_keras,
    "photographs": feed_photographs,
    "tfds": feed_tfds,
}
HEAVY = {"keras", "tfds"}
NAMES = [
    pytest.param(name, marks=[pytest.mark.train] if name in HEAVY else [])
    for name in SOURCES.names()
]


def test_every_source_is_fed() -> None:
    assert set(FEEDS) == set(SOURCES.names()), "a new source needs a feed here"


def _load(name: str, folder: Path, seen: list[tuple[int, int]]) -> tuple[Any, Dataset]:
    source = SOURCES.get(name)
    with FEEDS[name](folder) as (args, files):
        checked = source.params.model_validate(args)
        return (
            checked,
            source.load(
                checked, files, lambda done, total, _note="": seen.append((done, total))
            ).checked(),
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings(
    "ignore"
)  # TensorFlow Datasets and its protocol buffers warn of their own futures
def test_a_source_keeps_the_contract(name: str, tmp_path: Path) -> None:
    source, seen = SOURCES.get(name), list[tuple[int, int]]()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    checked, found = _load(name, tmp_path / "one", seen)
    assert set(source.splits) <= set(found.splits)
    assert {"train", "test"} <= set(found.splits)
    low, high = found.value_range
    for examples in found.splits.values():
        assert len(examples.labels) >= COUNT
        assert low <= examples.images.min() <= examples.images.max() <= high
        known = source.shape(checked)
        assert known is None or known == examples.images.shape[1:], (
            "what it says beforehand is what it gives"
        )
    assert source.sample_rate(checked) == found.sample_rate
    assert not seen or seen[-1][0] == seen[-1][1], "progress reaches its end"
    assert source.doc
    _, again = _load(name, tmp_path / "two", [])
    assert again.digest == found.digest, "the same data have the same digest, wherever they lie"


@pytest.mark.parametrize("name", SOURCES.names())
def test_an_unknown_argument_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        SOURCES.get(name).params.model_validate({"nonsense": 1})
