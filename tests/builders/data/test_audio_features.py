"""The front end of speech models.

Features against independent implementations, shapes, and what is refused.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import fft, signal

from zoo_builders.data.audio_features import LogMel, Mfcc, complete, features, fitted, mel_bank
from zoo_builders.data.examples import BadData
from zoo_builders.data.preprocess import completed, geometry, has_features, shape_after, value_map

RATE = 8000


def noise(count: int = 3, samples: int = 8000, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-32768, 32768, (count, samples, 1, 1), np.int16)


def tone(hertz: float, samples: int = 8000) -> Any:
    wave = 20_000 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)
    return wave.astype(np.int16)[None, :, None, None]


def reference(recording: Any, params: Mfcc) -> Any:
    """SciPy's spectrogram, a filter bank by interpolation, SciPy's DCT.

    No line in common with the front end.
    """
    window = round(RATE * params.window_ms / 1000)
    size = 1 << (window - 1).bit_length()
    step = round(RATE * params.stride_ms / 1000)
    spectra = signal.ShortTimeFFT(
        signal.get_window("hann", window), step, RATE, fft_mode="onesided", mfft=size
    )
    last = 1 + (len(recording) - window) // step
    found = np.abs(
        spectra.stft_detrend(
            recording / 32768, None, p0=0, p1=1 + (len(recording) // step), k_offset=window // 2
        )
    )[:, :last].T
    points = np.linspace(
        *(2595 * np.log10(1 + hertz / 700) for hertz in (params.low_hz, RATE / 2)), params.bins + 2
    )
    place = 2595 * np.log10(1 + np.fft.rfftfreq(size, 1 / RATE) / 700)
    bank = np.array([np.interp(place, points[b : b + 3], [0, 1, 0]) for b in range(params.bins)])
    bank[:, 0] = 0
    cepstrum = fft.dct(np.log(found @ bank.T + params.floor), norm="ortho", axis=1)[
        :, : params.coefficients
    ]
    cepstrum[:, 0] *= np.sqrt(2)
    return cepstrum


@pytest.mark.parametrize(
    ("bins", "coefficients", "stride"), [(40, 10, 20), (20, 13, 10), (26, 26, 25)]
)
def test_mfccs_are_those_of_scipys_parts(bins: int, coefficients: int, stride: int) -> None:
    params = Mfcc(bins=bins, coefficients=coefficients, stride_ms=stride, lifter=0)
    recordings = noise()
    found = features(params, recordings, RATE)
    for recording, ours in zip(recordings[..., 0, 0], found[..., 0], strict=True):
        expected = reference(recording, params)
        assert ours.shape == expected.shape
        assert ours == pytest.approx(expected, abs=2e-3)  # 2595 log10 is 1127 ln to four digits


@pytest.mark.train
def test_features_are_those_of_tf_signal() -> None:
    from zoo_builders.tf import tensorflow as tf

    recordings = noise()
    spectra = tf.abs(
        tf.signal.stft(recordings[..., 0, 0].astype(np.float32) / 32768, 320, 160, 512)
    )
    bands = tf.math.log(
        spectra @ tf.signal.linear_to_mel_weight_matrix(40, 257, RATE, 20.0, 4000.0) + 1e-2
    )
    assert features(LogMel(), recordings, RATE)[..., 0] == pytest.approx(bands.numpy(), abs=1e-4)
    expected = tf.signal.mfccs_from_log_mel_spectrograms(bands).numpy()[..., :10]
    assert features(Mfcc(lifter=0), recordings, RATE)[..., 0] == pytest.approx(expected, abs=1e-4)


def test_the_lifter_multiplies_coefficients_by_htks_rule() -> None:
    plain, lifted = (features(Mfcc(lifter=lifter), noise(), RATE) for lifter in (0, 22))
    rule = 1 + 11 * np.sin(np.pi * np.arange(10) / 22)
    assert lifted[..., 0] == pytest.approx(plain[..., 0] * rule, rel=1e-5)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hertz: float) -> None:
    params = LogMel(bins=20)
    loudest = features(params, tone(hertz), RATE)[0, :, :, 0].mean(axis=0).argmax()
    bank = mel_bank(params, RATE)
    frequencies = np.fft.rfftfreq(2 * (len(bank) - 1), 1 / RATE)
    held = frequencies[bank[:, loudest] > 0]
    assert held.min() <= hertz <= held.max()


def test_silence_is_as_quiet_as_the_floor_says() -> None:
    silent = np.zeros((1, 8000, 1, 1), np.int16)
    assert features(LogMel(floor=1e-2), silent, RATE) == pytest.approx(np.log(1e-2))


def test_recordings_do_not_depend_on_their_neighbours() -> None:
    recordings = noise(130, 1000)
    together = features(Mfcc(), recordings, RATE)
    alone = [
        features(Mfcc(), recording[None], RATE)[0] for recording in recordings[[0, 63, 64, 129]]
    ]
    assert np.array_equal(together[[0, 63, 64, 129]], np.stack(alone))


def distinguishes(params: LogMel) -> bool:
    """Whether a window is long enough to tell that many bands apart."""
    try:
        mel_bank(params, RATE)
    except BadData:
        return False
    return True


@given(
    st.integers(200, 3000),
    st.integers(5, 25),
    st.integers(1, 40),
    st.integers(1, 20),
    st.booleans(),
)
@settings(max_examples=40)
def test_the_shape_is_known_beforehand(
    samples: int, window: int, stride: int, bins: int, cepstral: bool
) -> None:
    about: dict[str, Any] = {"window_ms": window, "stride_ms": stride, "bins": bins, "low_hz": 0}
    steps = [
        {"mfcc": about | {"coefficients": max(1, bins // 2)}} if cepstral else {"log_mel": about}
    ]
    assume(distinguishes(LogMel.model_validate(about)))
    found = geometry(steps, noise(2, samples), RATE)
    assert found.shape[1:] == shape_after(steps, (samples, 1, 1), RATE)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@given(st.integers(1, 50), st.integers(1, 50))
def test_lengths_are_fitted_around_the_middle(length: int, samples: int) -> None:
    pcm = np.arange(1, length + 1, dtype=np.int16)
    found = fitted(pcm, samples)
    kept = found[found > 0]
    assert len(found) == samples
    assert len(kept) == min(length, samples)
    assert np.array_equal(kept, np.arange(kept[0], kept[0] + len(kept)))
    silence = (int(np.argmax(found > 0)), samples - len(kept) - int(np.argmax(found > 0)))
    cut = (int(kept[0]) - 1, length - int(kept[-1]))
    assert all(0 <= right - left <= 1 for left, right in (silence, cut)) or all(
        0 <= left - right <= 1 for left, right in (silence, cut)
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"low_hz": 3000, "high_hz": 2000}, "must be below"),
        ({"coefficients": 50}, "no more than bins"),
        ({"window_ms": 0}, "greater than 0"),
        ({"floor": 0}, "greater than 0"),
        ({"floor": float("nan")}, "greater than 0|finite"),
        ({"windows": 3}, "Extra inputs"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Mfcc.model_validate(wrong)


@pytest.mark.parametrize(
    ("params", "samples", "words"),
    [
        (LogMel(), 319, "hold no window of 320"),
        (LogMel(high_hz=5000), 8000, "holds up to 4000 Hz"),
        (LogMel(bins=200, window_ms=10), 8000, "band 0 of 200 holds no frequency"),
    ],
)
def test_what_the_recordings_cannot_give_is_refused(
    params: LogMel, samples: int, words: str
) -> None:
    with pytest.raises(BadData, match=words) as told:
        features(params, noise(1, samples), RATE)
    assert told.value.hint


def test_steps_that_do_not_fit_the_data_are_refused() -> None:
    with pytest.raises(BadData, match="mfcc is of recordings"):
        geometry([{"mfcc": {}}], np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(BadData, match="resize is a step for images"):
        geometry([{"resize": 8}], noise(), RATE)
    with pytest.raises(BadData, match="log_mel is of recordings"):
        geometry([{"mfcc": {}}, {"log_mel": {}}], noise(), RATE)


def test_a_record_says_everything_the_features_depend_on() -> None:
    steps: list[dict[str, Any]] = [{"mfcc": {"coefficients": 12}}, {"standardize": {}}]
    told = completed(steps, (8000, 1, 1), RATE)
    assert told[1:] == steps[1:]
    assert told[0]["mfcc"] == complete(Mfcc(coefficients=12), RATE, 8000)
    assert (
        told[0]["mfcc"]
        | {"sample_rate": RATE, "samples": 8000, "high_hz": 4000.0, "window_ms": 40.0}
        == told[0]["mfcc"]
    )
    assert set(told[0]["mfcc"]) == {*Mfcc.model_fields} - {"inside"} | {"sample_rate", "samples"}
    assert has_features(steps)
    assert not has_features(steps[1:])


def test_features_can_be_standardized() -> None:
    made = geometry([{"log_mel": {}}], noise(20), RATE)
    mapped = value_map(
        [{"log_mel": {}}, {"standardize": {}}], (float(made.min()), float(made.max())), made
    )(made)
    assert (float(mapped.mean()), float(mapped.std())) == pytest.approx((0, 1), abs=1e-4)
