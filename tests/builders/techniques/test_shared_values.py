"""Which weights of a channel share a value.

Never more groups than asked for, zeros apart, near weights together.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zoo_builders.techniques.cluster.shared_values import groups_by_channel, groups_in, kmeans

INITS = ["kmeans++", "linear", "density", "random"]
KERNELS = hnp.arrays(
    np.float32,
    st.tuples(*[st.integers(1, 4)] * 4),
    elements=st.sampled_from([0.0, 0.5, -0.25]) | st.floats(-2, 2, width=32),
)


@given(KERNELS, st.integers(3, 6), st.sampled_from(INITS), st.booleans())
def test_a_channel_never_has_more_groups_than_asked_for_and_shares_none_with_another(
    kernel: np.ndarray, values: int, init: str, keep_zeros: bool
) -> None:
    groups = groups_by_channel(kernel, values, init, 7, keep_zeros=keep_zeros)
    assert groups.shape == kernel.shape
    by_channel = [set(groups[..., channel].ravel()) for channel in range(kernel.shape[-1])]
    assert all(len(found) <= values for found in by_channel)
    assert len(set().union(*by_channel)) == sum(map(len, by_channel))
    if keep_zeros:
        for number in np.unique(groups[kernel == 0]):
            assert (kernel[groups == number] == 0).all()


@pytest.mark.parametrize("init", INITS)
def test_weights_in_heaps_are_grouped_by_heap(init: str) -> None:
    heaps = np.repeat([-1.0, 0.2, 0.9], 40) + np.random.default_rng(0).normal(0, 0.01, 120)
    numbers = kmeans(heaps, 3, init, np.random.default_rng(1))
    found = [set(numbers[start : start + 40]) for start in (0, 40, 80)]
    assert [len(heap) for heap in found] == [1, 1, 1]
    assert len(set().union(*found)) == 3


def test_a_channel_with_few_weights_keeps_each_and_one_of_zeros_is_one_group() -> None:
    kernel = np.zeros((3, 1, 1, 2), np.float32)
    kernel[:, 0, 0, 0] = [0.1, 0.2, 0.3]
    groups = groups_by_channel(kernel, 8, "kmeans++", 0, keep_zeros=True)
    assert [len(np.unique(groups[..., channel])) for channel in (0, 1)] == [3, 1]


def test_shared_values_are_found_in_the_kernel_or_else_in_its_channels() -> None:
    random = np.random.default_rng(0)
    whole = random.choice([0.5, -0.5, 0.0], size=(3, 3, 4, 8))
    groups, values = groups_in(whole, 3)
    assert values == len(np.unique(groups)) == 3
    channels = whole * random.uniform(1, 2, size=8)
    groups, values = groups_in(channels, 3)
    assert (values, len(np.unique(groups))) == (3, 24)
    assert all(len(np.unique(channels[groups == number])) == 1 for number in range(24))


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 1, 8), (2, 1)])
def test_a_kernel_of_weights_of_their_own_is_not_clustered(shape: tuple[int, ...]) -> None:
    assert groups_in(np.random.default_rng(0).normal(size=shape), 16) == (None, 0)
