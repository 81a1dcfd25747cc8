"""Which range a histogram of activations gives: pure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.converting.activation_ranges import kept


def histogram(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return np.histogram(values, 4096, (low, high))[0], low, high


@given(st.integers(0, 2**31), st.floats(0.1, 1000), st.floats(-5, 5), st.floats(90, 99.999))
def test_a_range_lies_within_what_was_seen_and_holds_zero(
    seed: int, scale: float, shift: float, percentile: float
) -> None:
    counts, low, high = histogram(np.random.default_rng(seed).normal(shift, 1, 500) * scale)
    found = kept(counts, low, high, percentile)
    assert low - 1e-9 <= found[0] <= 0 <= found[1] <= high + 1e-9
    assert found[0] < found[1]


@pytest.mark.parametrize("percentile", [99.99, 99.9, 99])
def test_a_percentile_cuts_its_share_of_the_values(percentile: float) -> None:
    values = np.random.default_rng(0).normal(size=1_000_000)
    low, high = kept(*histogram(values), percentile)
    outside = float(np.mean((values < low) | (values > high)))
    assert outside == pytest.approx(1 - percentile / 100, rel=0.25)


def test_what_is_all_in_one_place_keeps_its_range() -> None:
    assert kept(np.array([0, 0, 0, 9]), 0, 6, 99.9) == (0, 6)
