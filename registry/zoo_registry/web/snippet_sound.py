"""The lines of a program that turn a recording into a speech model's input.

They compute it as the builders' front end does. The module is pure.

A record's `mfcc` or `log_mel` step says everything the features depend on; the formulas are those
of `zoo_builders.data.audio_features`, and a test holds the two against each other.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

STEPS = frozenset({"log_mel", "mfcc"})
IMPORTS = ("import sys", "import wave", "")
PCM_RANGE = (-32768.0, 32767.0)
"""The values of recordings that reach the model as they are.

They are no picture, although their shape could be one's.
"""

_NUMBERS = (
    "sample_rate",
    "samples",
    "window_ms",
    "stride_ms",
    "bins",
    "low_hz",
    "high_hz",
    "floor",
)
_COEFFICIENTS = ("coefficients", "lifter")
_LARGEST = 1e7


def step_of(steps: Sequence[tuple[str, Any]]) -> tuple[str, Mapping[str, float]] | None:
    """Find the step that makes features, with its numbers.

    None where there is none that says all it must.
    """
    for name, value in steps:
        if name in STEPS and isinstance(value, Mapping):
            wanted = _NUMBERS + (_COEFFICIENTS if name == "mfcc" else ())
            found = {key: value.get(key) for key in wanted}
            if (
                all(isinstance(n, int | float) and 0 <= n <= _LARGEST for n in found.values())
                and found["sample_rate"]
                and found["bins"]
            ):
                return name, {
                    key: float(number) for key, number in found.items() if number is not None
                }
    return None


def lines(name: str, numbers: Mapping[str, float]) -> list[str]:
    """Write reading, cutting to length, and the features as `x` [frames, width]."""
    rate, samples, bins = (int(numbers[key]) for key in ("sample_rate", "samples", "bins"))
    window, stride = (
        max(1, round(rate * numbers[key] / 1000)) for key in ("window_ms", "stride_ms")
    )
    fft = int(2 ** math.ceil(math.log2(window)))
    made = [
        *_read(rate, samples),
        f"windows = np.lib.stride_tricks.sliding_window_view(pcm / 32768, {window})[::{stride}]",
        f"hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange({window}) / {window})",
        f"spectrum = np.abs(np.fft.rfft(windows * hann, {fft}))",
        *_bank(numbers, rate, fft, bins),
        f"x = np.log(spectrum @ bank + {numbers['floor']!r})",
    ]
    return [*made, *(_cosines(numbers, bins) if name == "mfcc" else []), "x = x.astype(np.float32)"]


def heard(rate: int, samples: int) -> list[str]:
    """Write reading and cutting to length, and the samples as `x`.

    This is for a file that makes the features itself.
    """
    return [*_read(rate, samples), "x = pcm.astype(np.float32)"]


def _read(rate: int, samples: int) -> list[str]:
    return [
        'with wave.open(sys.argv[1], "rb") as sound:',
        (
            "    if (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) != (1, 2,"
            f" {rate}):"
        ),
        (
            f'        raise SystemExit("expected 16 bit, mono, {rate} Hz: ffmpeg -i IN -ac 1 -ar'
            f' {rate} -c:a pcm_s16le OUT.wav")'
        ),
        '    pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")',
        (
            f"excess = len(pcm) - {samples}  # a longer recording: its middle; a shorter one: in"
            " the middle of silence"
        ),
        (
            f"pcm = pcm[excess // 2 :][:{samples}] if excess > 0 else np.pad(pcm, (-excess // 2,"
            " -excess - -excess // 2))"
        ),
    ]


def _bank(numbers: Mapping[str, float], rate: int, fft: int, bins: int) -> list[str]:
    return [
        "mel = lambda hertz: 1127 * np.log1p(hertz / 700)",
        f"edges = np.linspace(mel({numbers['low_hz']!r}), mel({numbers['high_hz']!r}), {bins + 2})",
        "left, peak, right = edges[:-2], edges[1:-1], edges[2:]",
        f"place = mel(np.arange({fft // 2 + 1}) * {rate} / {fft})[:, None]",
        (
            "bank = np.maximum(0, np.minimum((place - left) / (peak - left), (right - place) /"
            " (right - peak)))"
        ),
        "bank[0] = 0",
    ]


def _cosines(numbers: Mapping[str, float], bins: int) -> list[str]:
    coefficients, lifter = int(numbers["coefficients"]), int(numbers["lifter"])
    lift = f" * (1 + {lifter} / 2 * np.sin(np.pi * order / {lifter}))" if lifter else ""
    return [
        f"order = np.arange({coefficients})",
        (
            f"cosines = np.sqrt(2 / {bins}) * np.cos(np.pi * order * (np.arange({bins})[:, None] +"
            f" 0.5) / {bins})"
        ),
        f"x = x @ (cosines{lift})",
    ]
