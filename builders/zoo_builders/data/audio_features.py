"""The front end of speech models: recordings become log-mel spectrograms or MFCCs.

Pure but for numpy.

For each window of a recording, samples as shares of full scale (int16 / 32768), w samples long, n
of them one step apart:

    n       = 1 + floor((samples - w) / step)                    no window reaches over an end,
            nothing is padded here
    S[k]    = |DFT of the windowed samples, zero-padded to the next power of two|
            magnitudes
    hann(i) = 0.5 - 0.5 cos(2 pi i / w)                          the periodic Hann window (Harris
    1978)
    mel(f)  = 1127 ln(1 + f / 700)                               (Stevens 1937, the constants of
            HTK)
    M[b]    = sum over k of S[k] * triangle_b(mel(f_k))          triangles over equal steps of mel,
            half overlapping, peak 1, none at 0 Hz
    log-mel = ln(M[b] + floor)
    mfcc[c] = sqrt(2 / bins) * sum over b of log-mel[b] * cos(pi c (b + 0.5) / bins)       DCT-II
    (Davis & Mermelstein 1980)
              * (1 + lifter / 2 * sin(pi c / lifter))            high coefficients are small: lifted
                to the size of the low (HTK's rule)

But for the lifter the same as `tf.signal.stft`, `linear_to_mel_weight_matrix` and
`mfccs_from_log_mel_spectrograms`, to rounding.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from zoo_builders.data.examples import BadData
from zoo_builders.spec import Spec

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FULL_SCALE = 32768.0
_CHUNK = 64
"""Recordings worked on at once: the spectra of thousands would not fit into memory."""

Milliseconds = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class LogMel(Spec):
    """Logarithm of the energy in bands of equal width to the ear: [frames, bins, 1]."""

    window_ms: Milliseconds = 40.0
    stride_ms: Milliseconds = 20.0
    bins: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=40, description="bands between low_hz and high_hz"
    )
    low_hz: Hertz = 20.0
    high_hz: Hertz | None = Field(
        default=None, description="default: half the sample rate, the highest there is"
    )
    floor: Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)] = Field(
        default=1e-2, description="added to every band before the logarithm: how quiet silence is"
    )
    inside: bool = Field(
        default=False,
        description=(
            "make the features inside the file, as layers that nothing trains: it then takes"
            " recordings (value steps go along)"
        ),
    )

    @model_validator(mode="after")
    def _rises(self) -> "LogMel":
        if self.high_hz is not None and self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz {self.low_hz:g} must be below high_hz {self.high_hz:g}")
        return self

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return self.bins

    def frames(self, sample_rate: int, samples: int) -> int:
        """Give the number of windows that fit into a recording; 0 when none does."""
        window, step = self.window(sample_rate), self.step(sample_rate)
        return 1 + (samples - window) // step if samples >= window else 0

    def window(self, sample_rate: int) -> int:
        """Length of a window in samples."""
        return max(1, round(sample_rate * self.window_ms / 1000))

    def step(self, sample_rate: int) -> int:
        """Samples from the start of a window to that of the next."""
        return max(1, round(sample_rate * self.stride_ms / 1000))


class Mfcc(LogMel):
    """The first cosine coefficients of the log-mel spectrum, the 0th included.

    It gives [frames, coefficients, 1].
    """

    coefficients: Annotated[int, Field(ge=1, le=1024)] = 10
    lifter: Annotated[int, Field(ge=0, le=1024)] = Field(
        default=22,
        description=(
            "lifts the high coefficients, which are small, so that int8 inputs resolve them; 0:"
            " none"
        ),
    )

    @model_validator(mode="after")
    def _no_more_than_bins(self) -> "Mfcc":
        if self.coefficients > self.bins:
            raise ValueError(
                f"{self.coefficients} coefficients of {self.bins} bins: there are no more than bins"
            )
        return self

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return self.coefficients


def complete(params: LogMel, sample_rate: int, samples: int) -> dict[str, Any]:
    """Spell everything the features depend on.

    The parameters, and what they need to know of the recordings.
    """
    high = sample_rate / 2 if params.high_hz is None else params.high_hz
    return {
        **params.model_dump(mode="json", exclude={"inside"}),
        "high_hz": high,
        "sample_rate": sample_rate,
        "samples": samples,
    }


def features(params: LogMel, recordings: "Array", sample_rate: int) -> "Array":
    """Turn recordings (int16 [N, samples, 1, 1]) into float32 [N, frames, width, 1].

    Raises:
        BadData: a recording is shorter than a window, or a band holds no frequency.
    """
    import numpy as np

    samples = recordings.shape[1]
    frames = params.frames(sample_rate, samples)
    if not frames:
        raise BadData(
            f"recordings of {samples} samples hold no window of {params.window(sample_rate)}",
            hint="raise seconds of the data",
        )
    bank = mel_bank(params, sample_rate)
    cosines = dct(params) if isinstance(params, Mfcc) else np.eye(params.bins)
    found = np.empty((len(recordings), frames, params.width, 1), np.float32)
    for start in range(0, len(recordings), _CHUNK):
        chunk = recordings[start : start + _CHUNK, :, 0, 0]
        bands = _magnitudes(params, chunk, sample_rate) @ bank
        found[start : start + _CHUNK, ..., 0] = np.log(bands + params.floor) @ cosines
    return found


def _magnitudes(params: LogMel, pcm: "Array", sample_rate: int) -> "Array":
    """Give |spectrum| of every window, float64 [N, frames, fft / 2 + 1]."""
    import numpy as np

    window, step = params.window(sample_rate), params.step(sample_rate)
    framed = np.lib.stride_tricks.sliding_window_view(pcm, window, axis=1)[:, ::step]
    return np.abs(np.fft.rfft(framed / FULL_SCALE * _hann(window), _fft(window)))


def _hann(window: int) -> "Array":
    import numpy as np

    weights: Array = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return weights


def spectrum_basis(params: LogMel, sample_rate: int) -> "tuple[Array, Array]":
    """Give the two matrices of the discrete Fourier transform, float64 [window, fft / 2 + 1].

    They turn a window of samples into the real and the negative imaginary part of its spectrum.
    """
    import numpy as np

    window = params.window(sample_rate)
    fft = _fft(window)
    angles = 2 * np.pi * np.arange(window)[:, None] * np.arange(fft // 2 + 1) / fft
    weights = _hann(window)[:, None]
    return np.cos(angles) * weights, np.sin(angles) * weights


def _fft(window: int) -> int:
    return int(2 ** math.ceil(math.log2(window)))


def mel_bank(params: LogMel, sample_rate: int) -> "Array":
    """Give the weights of every frequency in every band, float64 [fft / 2 + 1, bins].

    Raises:
        BadData: a band holds no frequency of the spectrum, or lies above half the sample rate.
    """
    import numpy as np

    high = sample_rate / 2 if params.high_hz is None else params.high_hz
    if not params.low_hz < high <= sample_rate / 2:
        raise BadData(
            f"bands from {params.low_hz:g} to {high:g} Hz of a recording at {sample_rate} Hz, which"
            f" holds up to {sample_rate / 2:g} Hz",
            hint=f"write high_hz: {sample_rate / 2:g}",
        )
    fft = _fft(params.window(sample_rate))
    frequencies = np.arange(fft // 2 + 1) * sample_rate / fft
    edges = np.linspace(_mel(params.low_hz), _mel(high), params.bins + 2)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    place = _mel(frequencies)[:, None]
    bank: Array = np.maximum(
        0.0, np.minimum((place - left) / (peak - left), (right - place) / (right - peak))
    )
    bank[0] = 0.0
    empty = np.flatnonzero(~bank.any(axis=0))
    if len(empty):
        raise BadData(
            f"band {empty[0]} of {params.bins} holds no frequency of the spectrum",
            hint="fewer bins, or a longer window_ms",
        )
    return bank


def _mel(hertz: Any) -> Any:
    import numpy as np

    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def dct(params: Mfcc) -> "Array":
    """Give what turns log-mel bands into coefficients, float64 [bins, coefficients].

    The DCT-II, lifted.
    """
    import numpy as np

    order = np.arange(params.coefficients)
    angles = np.pi * order * (np.arange(params.bins)[:, None] + 0.5) / params.bins
    lift = (
        1 + params.lifter / 2 * np.sin(np.pi * order / params.lifter)
        if params.lifter
        else np.ones(len(order))
    )
    scaled: Array = np.sqrt(2.0 / params.bins) * np.cos(angles) * lift
    return scaled


def fitted(pcm: "Array", samples: int) -> "Array":
    """Bring one recording [length] to `samples`.

    The middle of a longer one, a shorter one in the middle of silence.
    """
    import numpy as np

    excess = len(pcm) - samples
    if excess >= 0:
        return pcm[excess // 2 : excess // 2 + samples]
    return np.pad(pcm, (-excess // 2, -excess - -excess // 2))


FEATURES: Mapping[str, type[LogMel]] = {"log_mel": LogMel, "mfcc": Mfcc}
