"""Uncompressed wav files as programs write them, headers that say too little or too much included.

Read by the RIFF and WAVE specifications (Microsoft 1991; WAVE_FORMAT_EXTENSIBLE; EBU 3306, RF64):

    sample      PCM of 8 (unsigned), 16, 24 or 32 bits, left-justified in its bytes; floats of 32 or
                64 bits, where 1.0 is full scale
    length      that of the chunk `data`; one of `_STREAMED` means: to the end of the file
    cut short   a chunk that promises more than there is, is refused

SciPy's and the standard library's readers refuse some of these and read less than was promised
without a word of others.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zoo_builders.data.examples import BadData
from zoo_builders.data.tally import Tally

LONGEST = 600
"""Seconds: a longer file is no keyword, and would fill the memory while it is resampled."""

LOUDEST = 8.0
"""Floats up to this are clipped at 1, as players do; above, they are no samples of full scale 1."""

_RATES = (1_000, 768_000)
_TO_WAV = "ffmpeg -i FILE -c:a pcm_s16le OUT.wav   # or any tool that writes uncompressed PCM"
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format's number in a sub-format (RFC 2361)."""

_STREAMED = (range(1), range(0x7FFFF000, 0x80000000), range(0xFFFFF000, 0x1_0000_0000))
"""Lengths that sox, arecord, ffmpeg and others write before they know one."""

_FORMAT_BYTES, _EXTENSIBLE_BYTES, _HEADER = 16, 40, 8
_NAMES = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "ADPCM", 0x55: "MP3", 0x2000: "AC-3"}


@dataclass(frozen=True, slots=True)
class _Format:
    """What the chunk `fmt ` says. `width`: bytes of one sample of one channel."""

    kind: int
    channels: int
    rate: int
    width: int
    order: str

    @property
    def frame(self) -> int:
        return self.channels * self.width


def read(file: Path, told: str, tally: Tally) -> tuple[Any, int]:
    """Give (float64 [frames, channels] in units of int16, sample rate).

    Raises:
        BadData: it is not an uncompressed wav, is empty, cut short or longer than ten minutes, or
            holds what is no number; the message names it as `told`.
    """
    try:
        with file.open("rb") as sound:
            found, data = _parts(sound, told, tally)
    except (OSError, struct.error) as error:
        raise BadData(
            f"{told} is not an uncompressed PCM wav: it ends too early ({error})", hint=_TO_WAV
        ) from error
    return _values(data, found, told, tally).reshape(-1, found.channels), found.rate


def _parts(sound: IO[bytes], told: str, tally: Tally) -> tuple[_Format, bytes]:
    start = sound.read(12)
    if len(start) < 12:  # noqa: PLR2004  four bytes each: RIFF, size, WAVE
        raise BadData(f"{told} is not an uncompressed PCM wav: it ends too early", hint=_TO_WAV)
    if start[:4] not in {b"RIFF", b"RIFX", b"RF64", b"BW64"} or start[8:] != b"WAVE":
        raise BadData(
            f"{told} is not an uncompressed PCM wav: it begins with {start[:12]!r}", hint=_TO_WAV
        )
    order, found, long = ">" if start[:4] == b"RIFX" else "<", None, 0
    for name, size in _chunks(sound, order):
        if name == b"ds64":  # RF64: sizes of 64 bits, that of the data second
            long = int(struct.unpack("<QQ", sound.read(16))[1])
        elif name == b"fmt ":
            found = _format(sound.read(min(size, _EXTENSIBLE_BYTES)), order, told)
        elif name == b"data" and found is not None:
            return found, _data(sound, long or size, found, told, tally)
    missing = "data" if found else "fmt"
    raise BadData(
        f"{told} is not an uncompressed PCM wav: it has no chunk {missing!r}", hint=_TO_WAV
    )


def _chunks(sound: IO[bytes], order: str) -> Iterator[tuple[bytes, int]]:
    """Give (name, size) of each chunk, with the file at its first byte."""
    place = sound.tell()
    while len(head := _at(sound, place, _HEADER)) == _HEADER:
        name, size = head[:4], int(struct.unpack(f"{order}I", head[4:])[0])
        yield name, size
        place += _HEADER + size + size % 2


def _at(sound: IO[bytes], place: int, count: int) -> bytes:
    sound.seek(place)
    return sound.read(count)


def _format(chunk: bytes, order: str, told: str) -> _Format:
    kind, channels, rate, _, align, bits = struct.unpack_from(f"{order}HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= _EXTENSIBLE_BYTES:
        kind = struct.unpack_from(f"{order}I", chunk, 24)[0]
        if order == "<" and chunk[26:40] != _GUID_TAIL:
            kind = _EXTENSIBLE
    if not channels or not rate:
        raise BadData(f"{told} is empty: {channels} channels at {rate} Hz", hint=f"remove {told}")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise BadData(
            f"{told}: its header says {rate} samples a second; expected {_RATES[0]} to {_RATES[1]}",
            hint=_TO_WAV,
        )
    least = -(-bits // 8)
    width = align // channels if align % channels == 0 and align // channels >= least else least
    known = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}.get(kind)
    if known is None:
        raise BadData(
            f"{told} is not an uncompressed PCM wav: unknown format: {kind}"
            f" ({_NAMES.get(kind, 'no name known')})",
            hint=_TO_WAV,
        )
    if width not in known:
        what = "floats" if kind == _FLOAT else "whole numbers"
        raise BadData(
            f"{told}: {what} of {bits} bits a sample; expected whole numbers of 8, 16, 24 or 32"
            " bits, or floats of 32 or 64",
            hint=_TO_WAV,
        )
    return _Format(kind, channels, rate, width, order)


def _data(sound: IO[bytes], size: int, found: _Format, told: str, tally: Tally) -> bytes:
    """Read the samples: as many whole frames as the chunk promises, or as there are."""
    place, held = sound.tell(), os.fstat(sound.fileno()).st_size - sound.tell()
    streamed = any(size in marks for marks in _STREAMED) and size != held
    if not size and _is_chunk(sound, place, held):
        streamed = False
    frames = (held if streamed else size) // found.frame
    if frames > LONGEST * found.rate:
        raise BadData(
            f"{told} lasts {frames / found.rate:.0f} s; at most {LONGEST} s are read",
            hint="cut it into keywords",
        )
    if size > held and not streamed:
        raise BadData(
            f"{told} is cut short: its header promises {size} bytes, it holds {held}",
            hint=f"fetch {told} again",
        )
    if not frames:
        raise BadData(
            f"{told} is empty: {found.channels} channels, 0 frames at {found.rate} Hz",
            hint=f"remove {told}",
        )
    if streamed:
        tally.add("its header gives no length, so it was read to its end")
    return _at(sound, place, frames * found.frame)


def _is_chunk(sound: IO[bytes], place: int, held: int) -> bool:
    """Whether another chunk follows that ends within the file: then no samples are there."""
    head = _at(sound, place, _HEADER)
    return (
        len(head) == _HEADER
        and head[:4].isalnum()
        and struct.unpack("<I", head[4:])[0] <= held - _HEADER
    )


def _values(data: bytes, found: _Format, told: str, tally: Tally) -> Any:
    """Turn samples into float64 in units of int16."""
    import numpy as np

    if found.kind == _FLOAT:
        return _floats(np.frombuffer(data, f"{found.order}f{found.width}"), told, tally)
    if found.width == 1:  # unsigned, by the format's own rule
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128.0) * 256.0
    if found.width == 3:  # noqa: PLR2004  24 bits: the upper three bytes of 32
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        inside = slice(1, 4) if found.order == "<" else slice(0, 3)
        padded[:, inside] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return padded.view(f"{found.order}i4")[:, 0] / 65536.0
    whole = np.frombuffer(data, f"{found.order}i{found.width}")
    return whole / (1.0 if found.width == 2 else 65536.0)  # noqa: PLR2004  bytes of int16


def _floats(values: Any, told: str, tally: Tally) -> Any:
    import numpy as np

    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise BadData(
            f"{told}: sample {wrong[0]} is {values[wrong[0]]}; every sample must be a number"
            f" ({len(wrong)} are not)",
            hint=f"record or export {told} again",
        )
    loudest = float(np.abs(values).max())
    if loudest > LOUDEST:
        raise BadData(
            f"{told} holds floats up to {loudest:g}; full scale is 1.0",
            hint="divide the samples by 32768 where they were whole numbers",
        )
    if loudest > 1:
        tally.add("louder than full scale, clipped")
    return values.astype(np.float64) * 32768.0
