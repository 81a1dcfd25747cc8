"""Rounding weights so that errors cancel.

On the converter's grid, the largest weight untouched, less lost on inputs never seen.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_builders.converting.rounding import (
    FEW,
    LEVELS,
    Array,
    chosen,
    compensated,
    nearest,
    step_of,
)

SIZES = st.integers(2, 24)
SEEDS = st.integers(0, 2**31)


def inputs(seed: int, count: int, *, positive: bool = True) -> Array:
    """Values of a layer behind a ReLU: correlated, most of them positive."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(400, count)) @ random.normal(size=(count, count)) + random.normal(
        size=count
    )
    return np.maximum(mixed, 0) if positive else mixed


def lost(kernel: Array, rounded: Array, rows: Array) -> float:
    return float((((rounded - kernel).T @ rows.T) ** 2).mean())


@given(SEEDS, SIZES, st.integers(1, 5))
@settings(max_examples=30)
def test_every_weight_stands_on_the_grid_that_the_converter_will_find(
    seed: int, count: int, outputs: int
) -> None:
    kernel, rows = np.random.default_rng(seed).normal(size=(count, outputs)), inputs(seed, count)
    rounded = compensated(kernel, rows.T @ rows)
    step = step_of(kernel)
    np.testing.assert_allclose(step_of(rounded), step, rtol=1e-12)
    levels = rounded / step
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert np.abs(levels).max() <= LEVELS + 1e-9
    np.testing.assert_allclose(nearest(rounded, step_of(rounded)), rounded, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_compensated_loses_less_than_nearest_on_inputs_it_never_saw(seed: int) -> None:
    kernel, rows = np.random.default_rng(seed).normal(size=(32, 16)) * 3, inputs(seed, 32)
    seen, unseen = rows[:200], rows[200:]
    ours = lost(kernel, compensated(kernel, seen.T @ seen / 200), unseen)
    assert ours < 0.7 * lost(kernel, nearest(kernel, step_of(kernel)), unseen)


@given(SEEDS, st.integers(2, FEW))
@settings(max_examples=30)
def test_nothing_between_up_and_down_is_better_than_what_is_chosen(seed: int, count: int) -> None:
    kernel, rows = np.random.default_rng(seed).normal(size=count), inputs(seed, count)
    moments = rows.T @ rows / len(rows)
    best = chosen(kernel, moments)
    plain = nearest(kernel[:, None], step_of(kernel[:, None]))[:, 0]
    damping = np.eye(count) * 1e-4 * np.mean(np.diag(moments))
    assert (best - kernel) @ (moments + damping) @ (best - kernel) <= (plain - kernel) @ (
        moments + damping
    ) @ (plain - kernel) + 1e-12
    assert np.abs(best - kernel).max() <= step_of(kernel[:, None])[0] * (1 + 1e-9)


def test_large_kernels_of_one_channel_are_compensated() -> None:
    kernel, rows = np.random.default_rng(0).normal(size=25), inputs(0, 25)
    np.testing.assert_array_equal(
        chosen(kernel, rows.T @ rows), compensated(kernel[:, None], rows.T @ rows)[:, 0]
    )


def test_inputs_that_never_vary_and_channels_of_zeros_are_no_trouble() -> None:
    kernel = np.array([[0.3, 0.0], [-0.2, 0.0], [0.11, 0.0]])
    rounded = compensated(kernel, np.zeros((3, 3)))
    assert np.isfinite(rounded).all()
    assert not rounded[:, 1].any()
    np.testing.assert_allclose(rounded[:, 0], nearest(kernel, step_of(kernel))[:, 0])
    assert not chosen(np.zeros(9), np.zeros((9, 9))).any()
