"""Wav files of every kind of sample, and headers that say too little or too much."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.data import wav
from zoo_builders.data.examples import BadData, Dataset
from zoo_builders.data.sources import SOURCES
from zoo_builders.data.tally import Tally

RATE = 8000
GUID = bytes.fromhex("000000001000800000aa00389b71")
HALVES = [0.0, 0.5, -0.5, -1.0]
"""Every kind of sample holds these exactly."""


def chunk(name: bytes, data: bytes, size: int | None = None, order: str = "<") -> bytes:
    told = len(data) if size is None else size
    return name + struct.pack(f"{order}I", told) + data + b"\0" * (len(data) % 2)


def form(
    kind: int, bits: int, channels: int = 1, rate: int = RATE, order: str = "<", **said: int
) -> bytes:
    align = said.get("align", channels * -(-bits // 8))
    speed = said.get("speed", rate * align)
    return struct.pack(f"{order}HHIIHH", kind, channels, rate, speed, align, bits)


def extensible(kind: int, bits: int, valid: int, order: str = "<") -> bytes:
    rest = struct.pack(f"{order}HHII", 22, valid, 0, kind)
    return form(0xFFFE, bits, order=order) + rest + GUID[2:]


def file(*chunks: bytes, head: bytes = b"RIFF", size: int = 0) -> bytes:
    order = ">" if head == b"RIFX" else "<"
    return head + struct.pack(f"{order}I", size) + b"WAVE" + b"".join(chunks)


def pcm(values: list[float], bits: int, order: str = "<") -> bytes:
    """Samples by the specification: 8 bits unsigned around 128, more bits signed."""
    whole = [round(value * 2 ** (bits - 1)) for value in values]
    if bits == 8:
        return bytes(value + 128 for value in whole)
    name = "little" if order == "<" else "big"
    return b"".join(value.to_bytes(bits // 8, name, signed=True) for value in whole)  # type: ignore[arg-type]


def heard(path: Path, data: bytes) -> tuple[list[list[float]], Tally]:
    """Give the samples as shares of full scale, [frames][channels]."""
    path.write_bytes(data)
    tally = Tally("recording")
    values, rate = wav.read(path, "yes/some.wav", tally)
    assert rate == RATE
    return (values / 32768).tolist(), tally


floats = np.array(HALVES)
KINDS: dict[str, bytes] = {
    "8 bits": file(chunk(b"fmt ", form(1, 8)), chunk(b"data", pcm(HALVES, 8))),
    "16 bits": file(chunk(b"fmt ", form(1, 16)), chunk(b"data", pcm(HALVES, 16))),
    "24 bits": file(chunk(b"fmt ", form(1, 24)), chunk(b"data", pcm(HALVES, 24))),
    "32 bits": file(chunk(b"fmt ", form(1, 32)), chunk(b"data", pcm(HALVES, 32))),
    "20 bits in 24": file(chunk(b"fmt ", form(1, 20)), chunk(b"data", pcm(HALVES, 24))),
    "12 bits in 16": file(chunk(b"fmt ", form(1, 12)), chunk(b"data", pcm(HALVES, 16))),
    "24 bits in 32": file(chunk(b"fmt ", form(1, 24, align=4)), chunk(b"data", pcm(HALVES, 32))),
    "floats of 32": file(
        chunk(b"fmt ", form(3, 32)), chunk(b"data", floats.astype("<f4").tobytes())
    ),
    "floats of 64": file(
        chunk(b"fmt ", form(3, 64)), chunk(b"data", floats.astype("<f8").tobytes())
    ),
    "extensible, 24 bits": file(
        chunk(b"fmt ", extensible(1, 24, 24)), chunk(b"data", pcm(HALVES, 24))
    ),
    "extensible, 24 of 32 bits": file(
        chunk(b"fmt ", extensible(1, 32, 24)), chunk(b"data", pcm(HALVES, 32))
    ),
    "extensible, floats": file(
        chunk(b"fmt ", extensible(3, 32, 32)), chunk(b"data", floats.astype("<f4").tobytes())
    ),
    "big-endian": file(
        chunk(b"fmt ", form(1, 24, order=">"), order=">"),
        chunk(b"data", pcm(HALVES, 24, ">"), order=">"),
        head=b"RIFX",
    ),
    "big-endian, extensible": file(
        chunk(b"fmt ", extensible(1, 16, 16, ">"), order=">"),
        chunk(b"data", pcm(HALVES, 16, ">"), order=">"),
        head=b"RIFX",
    ),
    "other chunks around": file(
        chunk(b"JUNK", b"odd"),
        chunk(b"fmt ", form(1, 16) + b"\0\0"),
        chunk(b"LIST", b"INFOsome"),
        chunk(b"data", pcm(HALVES, 16)),
        chunk(b"id3 ", b"trailing"),
    ),
    "a wrong byte rate": file(
        chunk(b"fmt ", form(1, 16, speed=1)), chunk(b"data", pcm(HALVES, 16))
    ),
    "no alignment": file(chunk(b"fmt ", form(1, 16, align=0)), chunk(b"data", pcm(HALVES, 16))),
    "64-bit sizes": file(
        chunk(b"ds64", struct.pack("<QQQI", 0, 8, 4, 0)),
        chunk(b"fmt ", form(1, 16)),
        chunk(b"data", pcm(HALVES, 16), 0xFFFFFFFF),
        chunk(b"LIST", b"not sound"),
        head=b"RF64",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_is_what_was_recorded(kind: str, tmp_path: Path) -> None:
    found, tally = heard(tmp_path / "some.wav", KINDS[kind])
    assert found == [[value] for value in HALVES]
    assert not tally.notes


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFF00, 0xFFFFFFFF, 0xFFFFFFDB])
def test_a_stream_without_a_length_is_read_to_its_end(size: int, tmp_path: Path) -> None:
    data = file(chunk(b"fmt ", form(1, 16)), chunk(b"data", pcm(HALVES, 16), size)) + b"\7"
    found, tally = heard(tmp_path / "some.wav", data)
    assert found == [[value] for value in HALVES]
    assert tally.notes == ("1 recording: its header gives no length, so it was read to its end",)


def test_floats_above_full_scale_are_told(tmp_path: Path) -> None:
    loud = np.array([0.5, 1.5], "<f4").tobytes()
    _, tally = heard(tmp_path / "some.wav", file(chunk(b"fmt ", form(3, 32)), chunk(b"data", loud)))
    assert tally.notes == ("1 recording: louder than full scale, clipped",)


WHOLE = chunk(b"fmt ", form(1, 16))
WRONG: dict[str, tuple[bytes, str]] = {
    "cut short": (file(WHOLE, chunk(b"data", b"\0" * 8, 100)), r"promises 100 bytes, it holds 8"),
    "empty": (file(WHOLE, chunk(b"data", b"")), r"is empty: 1 channels, 0 frames"),
    "empty before others": (
        file(WHOLE, chunk(b"data", b""), chunk(b"LIST", b"INFO")),
        r"is empty: 1 channels, 0 frames",
    ),
    "no data": (file(WHOLE), r"no chunk 'data'"),
    "data first": (file(chunk(b"data", b"\0" * 8)), r"no chunk 'fmt'"),
    "a short format": (file(chunk(b"fmt ", b"\1\0")), r"not an uncompressed PCM wav"),
    "no channels": (file(chunk(b"fmt ", form(1, 16, 0))), r"0 channels"),
    "no rate": (file(chunk(b"fmt ", form(1, 16, rate=0))), r"at 0 Hz"),
    "a rate beyond reason": (
        file(chunk(b"fmt ", form(1, 16, rate=2**31, speed=0))),
        r"2147483648 samples a second",
    ),
    "mu-law": (file(chunk(b"fmt ", form(7, 8))), r"unknown format: 7 \(mu-law\)"),
    "another format": (file(chunk(b"fmt ", form(0x1234, 16))), r"unknown format: 4660"),
    "floats of 16": (file(chunk(b"fmt ", form(3, 16))), r"floats of 16 bits"),
    "a foreign sub-format": (
        file(chunk(b"fmt ", extensible(1, 16, 16)[:-1] + b"\0")),
        r"unknown format: 65534",
    ),
    "no wav": (b"OggS" + b"\0" * 40, r"it begins with b'OggS"),
    "nothing": (b"", r"it ends too early"),
    "nan": (
        file(chunk(b"fmt ", form(3, 32)), chunk(b"data", struct.pack("<2f", 0, np.nan))),
        r"sample 1 is nan",
    ),
    "whole numbers as floats": (
        file(chunk(b"fmt ", form(3, 32)), chunk(b"data", struct.pack("<2f", 0, 12000))),
        r"floats up to 12000; full scale is 1\.0",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_heard_is_named(name: str, tmp_path: Path) -> None:
    data, said = WRONG[name]
    with pytest.raises(BadData, match=rf"yes/some\.wav.*{said}"):
        heard(tmp_path / "some.wav", data)


def folder(root: Path, **args: Any) -> Dataset:
    source = SOURCES.get("audio-folder")
    params = source.params.model_validate({"path": ".", **args})
    return source.load(params, {"path": root}, lambda *_: None).checked()


def test_channels_and_rates_are_brought_together_and_told(tmp_path: Path) -> None:
    """A tone of 440 Hz at 44.1 kHz in stereo is the tone at 8 kHz."""
    time = np.arange(44_100) / 44_100
    tone = (np.sin(2 * np.pi * 440 * time) * 12_000).astype("<i2")
    both = np.stack([tone, tone], 1).tobytes()
    for name, data in (
        ("no", file(WHOLE, chunk(b"data", b"\1\0" * 8000))),
        ("yes", file(chunk(b"fmt ", form(1, 16, 2, 44_100)), chunk(b"data", both))),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").write_bytes(data)
    found = folder(tmp_path, sample_rate=8000)
    split = found.splits["all"]
    heard_tone = split.images[split.labels == 1][0, :, 0, 0].astype(np.float64)
    wanted = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000) * 12_000
    assert np.abs(heard_tone - wanted)[100:-100].max() < 60
    assert found.notes == (
        "1 recording: of another rate, resampled to 8000 Hz",
        "1 recording: several channels, averaged",
    )
