"""Sources of recordings.

Spoken digits and folders of wavs, their order and lengths, and files that are not what they say.
"""

import struct
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo_builders.data import stored as stored_data
from zoo_builders.data.examples import UNLABELLED, BadData, Dataset
from zoo_builders.data.sources import SOURCES
from zoo_builders.stage import Job
from zoo_builders.stages import data as data_stage
from zoo_registry.model.errors import ZooError

RATE = 8000


def silent(_done: int, _total: int, _note: str = "") -> None:
    """Report nothing."""


def load(source: str, path: Path, **args: Any) -> Dataset:
    found = SOURCES.get(source)
    return found.load(
        found.params.model_validate({"path": path.name, **args}), {"path": path}, silent
    ).checked()


def spoken(takes: int = 7) -> dict[str, Any]:
    """Two speakers, ten digits.

    Recording i holds the value i throughout, and is i + 1 samples longer than a tenth of a second.
    """
    count = 2 * 10 * takes
    lengths = 801 + np.arange(count)
    return {
        "pcm": np.repeat(np.arange(count, dtype=np.int16), lengths),
        "offsets": np.cumsum([0, *lengths]),
        "digit": np.tile(np.repeat(np.arange(10), takes), 2).astype(np.uint8),
        "speaker": np.repeat(["ann", "bob"], count // 2),
        "index": np.tile(np.arange(takes), 20).astype(np.uint8),
    }


def npz(folder: Path, arrays: Mapping[str, Any]) -> Path:
    np.savez(folder / "fsdd.npz", **arrays)
    return folder / "fsdd.npz"


FSDD = {"sha256": "0" * 64}


def test_the_official_test_set_is_the_first_five_takes(tmp_path: Path) -> None:
    arrays = spoken()
    found = load("fsdd", npz(tmp_path, arrays), seconds=0.1, **FSDD)
    assert {name: split.images.shape for name, split in found.splits.items()} == {
        "train": (40, 800, 1, 1),
        "test": (100, 800, 1, 1),
    }
    for name, split in found.splits.items():
        origin = split.images[:, 400, 0, 0]
        assert np.array_equal(split.labels, arrays["digit"][origin])
        assert np.array_equal(arrays["index"][origin] < 5, np.full(len(origin), name == "test"))
    assert set(found.splits["test"].labels[:40]) == set(range(10)), "any slice holds all digits"
    assert (found.sample_rate, found.classes) == (RATE, tuple("0123456789"))


def test_short_recordings_lie_in_the_middle_of_silence(tmp_path: Path) -> None:
    found = (
        load("fsdd", npz(tmp_path, spoken()), seconds=0.3, **FSDD).splits["train"].images[..., 0, 0]
    )
    held = (found != 0).sum(axis=1)
    first, last = (found != 0).argmax(axis=1), 2400 - (found[:, ::-1] != 0).argmax(axis=1)
    assert set(held - found.max(axis=1)) == {801}
    assert (np.abs(first - (2400 - last)) <= 1).all()


@pytest.mark.data
def test_the_real_set_has_its_official_sizes() -> None:
    import os

    found = load("fsdd", Path(os.environ["ZOO_DATA"]) / "fsdd.npz", **FSDD)
    assert {name: split.images.shape for name, split in found.splits.items()} == {
        "train": (2700, 8000, 1, 1),
        "test": (300, 8000, 1, 1),
    }
    assert np.bincount(found.splits["test"].labels).tolist() == [30] * 10
    assert np.bincount(found.splits["train"].labels).tolist() == [270] * 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"offsets": np.zeros(141, np.int64)},
        {"offsets": np.arange(141)[::-1]},
        {"offsets": np.linspace(0, 10**12, 141).astype(np.int64)},
        {"offsets": np.arange(141) - 1},
        {"pcm": np.zeros(10**5, np.float32)},
        {"pcm": np.zeros((10, 10), np.int16)},
        {"digit": np.full(140, 10)},
        {"digit": np.full(140, -1)},
        {"digit": np.linspace(0, 1, 140)},
        {"index": np.arange(7)},
        {"index": np.array(["a"] * 140)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_hostile_stream_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        load("fsdd", npz(tmp_path, spoken() | wrong), **FSDD)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="speaker is missing"):
        load(
            "fsdd",
            npz(tmp_path, {name: array for name, array in spoken().items() if name != "speaker"}),
            **FSDD,
        )
    with pytest.raises(BadData, match="not a readable"):
        load(
            "fsdd",
            npz(tmp_path, spoken() | {"speaker": np.array([object()] * 140, dtype=object)}),
            **FSDD,
        )
    (tmp_path / "x.npz").write_bytes(b"RIFF")
    with pytest.raises(BadData, match="not a readable"):
        load("fsdd", tmp_path / "x.npz", **FSDD)


def write_wav(
    path: Path, values: Any, *, rate: int = RATE, width: int = 2, channels: int = 1
) -> Path:
    """Write samples (shares of full scale, [frames] or [frames.

    Channels]) as PCM of `width` bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = np.round(np.asarray(values, np.float64).ravel() * (2 ** (8 * width - 1) - 1)).astype(
        np.int64
    )
    stored = (
        (scaled + 128).astype(np.uint8)
        if width == 1
        else scaled.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    )
    with wave.open(str(path), "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        sound.writeframes(np.ascontiguousarray(stored).tobytes())
    return path


def only(folder: Path, **args: Any) -> Any:
    """Read the single recording in a folder, as shares of full scale."""
    (examples,) = load("audio-folder", folder, **args).splits.values()
    assert len(examples.labels) == 1
    return examples.images[0, :, 0, 0] / 32768


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_of_pcm_means_the_same_sound(tmp_path: Path, width: int) -> None:
    wanted = 0.5 * np.sin(np.arange(800) / 5)
    write_wav(tmp_path / "yes/a.wav", wanted, width=width)
    assert only(tmp_path, sample_rate=RATE, seconds=0.1) == pytest.approx(
        wanted, abs=0.01 if width == 1 else 1e-4
    )


def test_channels_are_averaged(tmp_path: Path) -> None:
    write_wav(
        tmp_path / "yes/a.wav",
        np.stack([np.full(800, 0.5), np.full(800, -0.1)], axis=1),
        channels=2,
    )
    assert only(tmp_path, sample_rate=RATE, seconds=0.1) == pytest.approx(
        np.full(800, 0.2), abs=1e-4
    )


@pytest.mark.parametrize("rate", [4000, 11_025, 16_000, 44_100])
def test_another_rate_is_brought_to_the_one_asked_for(tmp_path: Path, rate: int) -> None:
    write_wav(
        tmp_path / "yes/a.wav", 0.5 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate), rate=rate
    )
    found = only(tmp_path, sample_rate=RATE, seconds=0.5)
    assert found == pytest.approx(
        0.5 * np.sin(2 * np.pi * 500 * (np.arange(4000) + 2000) / RATE), abs=0.01
    )


def test_folders_of_classes_and_of_splits(tmp_path: Path) -> None:
    for split, word in ((s, w) for s in ("train", "test") for w in ("no", "yes")):
        for take in range(4):
            write_wav(
                tmp_path / split / word / f"{take}.wav", np.full(80, 0.5 if word == "yes" else -0.5)
            )
    (tmp_path / "train/yes/notes.txt").write_text("not a recording")
    found = load("audio-folder", tmp_path, sample_rate=RATE, seconds=0.01)
    assert found.classes == ("no", "yes")
    assert {name: len(split.labels) for name, split in found.splits.items()} == {
        "train": 8,
        "test": 8,
    }
    for split in found.splits.values():
        assert np.array_equal(split.images[:, 40, 0, 0] > 0, split.labels == 1)
    assert set(load("audio-folder", tmp_path / "train", sample_rate=RATE).splits) == {"all"}


def lying_header(frames: int) -> bytes:
    """A header that promises more sound than there is."""
    head = (
        b"RIFF"
        + struct.pack("<I", 36 + 2 * frames)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    )
    return head + b"data" + struct.pack("<I", 2 * frames) + b"\0\0" * 10


def header(
    tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, data: bytes = b"\0\0" * 10
) -> bytes:
    head = struct.pack(
        "<IHHIIHH", 16, tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + head
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an uncompressed PCM wav: it ends too early"),
        (b"no sound at all", "not an uncompressed PCM wav"),
        (b"RIFF\x10\0\0\0WAVEjunk", "not an uncompressed PCM wav"),
        (header(tag=85), "not an uncompressed PCM wav: unknown format: 85"),
        (header(data=b""), "is empty"),
        (header(rate=0), "is empty"),
        (header(channels=0), "wav|empty"),
        (header(bits=64, data=b"\0" * 80), "64 bits a sample"),
        (lying_header(20), "is cut short"),
        (lying_header(2**30), "at most 600 s"),
        (header()[:30], "not an uncompressed PCM wav"),
    ],
    ids=[
        "empty file",
        "text",
        "chunk",
        "mp3",
        "no frames",
        "rate 0",
        "no channels",
        "64 bits",
        "cut",
        "endless",
        "half a header",
    ],
)
def test_hostile_files_are_named_with_the_reason(tmp_path: Path, data: bytes, words: str) -> None:
    write_wav(tmp_path / "no/fine.wav", np.zeros(80))
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes/bad.wav").write_bytes(data)
    with pytest.raises(BadData, match=words) as told:
        load("audio-folder", tmp_path)
    assert "yes/bad.wav" in told.value.message
    assert told.value.hint


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yes").mkdir()
    with pytest.raises(BadData, match=r"no \.wav files"):
        load("audio-folder", tmp_path)


def test_the_stage_stores_features_and_says_how_they_were_made(tmp_path: Path) -> None:
    splits = {
        "train": "train[:30]",
        "validation": "train[30:]",
        "test": "test",
        "calibration": "train[:5]",
    }
    steps: list[dict[str, Any]] = [{"mfcc": {"bins": 20}}, {"standardize": {}}]
    params = {
        "source": "fsdd",
        "args": {"path": "x", "seconds": 0.1, **FSDD},
        "splits": splits,
        "preprocess": steps,
    }
    data_stage.run(Job("data", params, {"path": npz(tmp_path, spoken())}, {}, tmp_path, silent))
    about, (features, labels) = (
        stored_data.load_about(tmp_path),
        stored_data.load_split(tmp_path, "train"),
    )
    raw, _ = stored_data.load_raw(tmp_path, "train")
    assert about["shape"] == [4, 10, 1]
    assert features.shape == (30, 4, 10, 1)
    assert len(labels) == 30
    assert about["value_range"] == [float(raw.min()), float(raw.max())]
    assert about["preprocess"][0]["mfcc"]["sample_rate"] == RATE
    assert (float(features.mean()), float(features.std())) == pytest.approx((0, 1), abs=1e-4)


def test_pictures_without_class_folders_are_examples_without_labels(tmp_path: Path) -> None:
    for index in range(5):
        Image.new("RGB", (4, 4), (index * 20,) * 3).save(tmp_path / f"{index}.png")
    found = load("image-folder", tmp_path, size=(4, 4))
    assert found.classes == ()
    assert set(found.splits["all"].labels) == {UNLABELLED}
    params = {
        "source": "image-folder",
        "args": {"path": "x", "size": [4, 4]},
        "splits": {"test": "all"},
        "preprocess": [],
    }
    (tmp_path / "out").mkdir()
    data_stage.run(Job("data", params, {"path": tmp_path}, {}, tmp_path / "out", silent))
    assert not stored_data.labelled(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="holds no images"):
        load("image-folder", tmp_path / "empty", size=(4, 4))


@pytest.mark.train
def test_nothing_is_trained_on_data_without_labels(tmp_path: Path) -> None:
    from zoo_builders.stages import base as base_stage

    for index in range(4):
        Image.new("L", (8, 8), index * 20).save(tmp_path / f"{index}.png")
    params: dict[str, Any] = {
        "source": "image-folder",
        "args": {"path": "x", "size": [8, 8], "channels": 1},
        "preprocess": [],
    }
    params["splits"] = dict.fromkeys(("train", "validation", "test", "calibration"), "all")
    params["max_overlap"] = 1.0
    for folder in ("data", "out"):
        (tmp_path / folder).mkdir()
    data_stage.run(Job("data", params, {"path": tmp_path}, {}, tmp_path / "data", silent))
    base = {
        "network": "digits_cnn",
        "args": {"width": 4},
        "weights": {"source": "train"},
        "train": {"epochs": 1},
    }
    base |= {"task": "image-classification"}
    with pytest.raises(ZooError, match="no labels to train on"):
        base_stage.run(Job("base", base, {}, {"data": tmp_path / "data"}, tmp_path / "out", silent))
    with pytest.raises(
        ZooError, match=r"takes inputs of shape \[49, 10, 1\], the data give \[8, 8, 1\]"
    ):
        base_stage.run(
            Job(
                "base",
                base | {"network": "ds_cnn", "args": {}},
                {},
                {"data": tmp_path / "data"},
                tmp_path / "out",
                silent,
            )
        )
