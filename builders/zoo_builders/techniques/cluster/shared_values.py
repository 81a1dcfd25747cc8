"""Which weights of an output channel shall share a value: one-dimensional k-means.

Pure: numpy arrays in and out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

_ROUNDS = 30
"""Lloyd's steps; on one dimension and a channel's few hundred weights they settle well before."""


def groups_by_channel(kernel: Any, values: int, init: str, seed: int, *, keep_zeros: bool) -> Any:
    """Number the weights of each output channel (the last axis); equal numbers share a value.

    At most `values` numbers occur in a channel.

    Numbers of different channels differ. With `keep_zeros` the zeros of a channel are a group of
    their own, with nothing else in it.
    """
    columns = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    numbers = np.empty(columns.shape, np.int64)
    for channel, column in enumerate(columns.T):
        random = np.random.default_rng([seed, channel])
        numbers[:, channel] = _groups(
            column, values, init, random, keep_zeros=keep_zeros
        ) + channel * (values + 1)
    return np.unique(numbers, return_inverse=True)[1].reshape(kernel.shape)


def _groups(column: Any, values: int, init: str, random: Any, *, keep_zeros: bool) -> Any:
    zero = (column == 0) & keep_zeros
    rest = column[~zero]
    numbers = np.zeros(column.shape, np.int64)
    numbers[~zero] = 1 + kmeans(rest, values - int(zero.any()), init, random) if rest.size else 0
    return numbers


def groups_in(kernel: Any, most: int) -> tuple[Any, int]:
    """Find which weights share a value.

    (a number for each weight, how many values), in the whole kernel or else in each output channel.

    (None, 0) where neither has at most `most` values and fewer than weights: the kernel is not
    clustered.
    """
    values, numbers = np.unique(kernel, return_inverse=True)
    if len(values) <= most and len(values) < kernel.size:
        return numbers.reshape(kernel.shape), len(values)
    channel = kernel.size // kernel.shape[-1]
    by_channel = numbers.reshape(kernel.shape) + np.arange(kernel.shape[-1]) * len(values)
    found = [len(np.unique(column)) for column in by_channel.reshape(-1, kernel.shape[-1]).T]
    if max(found) > most or max(found) >= channel:
        return None, 0
    return np.unique(by_channel, return_inverse=True)[1].reshape(kernel.shape), max(found)


def kmeans(weights: Any, values: int, init: str, random: Any) -> Any:
    """Number each weight [n] by the nearest of at most `values` centres.

    The centres are the means of their weights (Lloyd 1982).
    """
    distinct = np.unique(weights)
    if len(distinct) <= values:
        return np.searchsorted(distinct, weights)
    centres = np.sort(_STARTS[init](weights, values, random))
    for _ in range(_ROUNDS):
        numbers = _nearest(weights, centres)
        counts = np.bincount(numbers, minlength=values)
        means = np.bincount(numbers, weights, minlength=values) / np.maximum(counts, 1)
        moved = np.sort(np.where(counts, means, centres))
        if np.array_equal(moved, centres):
            break
        centres = moved
    return _nearest(weights, centres)


def _nearest(weights: Any, centres: Any) -> Any:
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, weights)


def _spread(weights: Any, values: int, random: Any) -> Any:
    """k-means++ (Arthur & Vassilvitskii 2007).

    Each next centre is drawn with the square of the distance to those drawn.
    """
    centres = [random.choice(weights)]
    distance = (weights - centres[0]) ** 2
    for _ in range(values - 1):
        centres.append(random.choice(weights, p=distance / distance.sum()))
        distance = np.minimum(distance, (weights - centres[-1]) ** 2)
    return np.asarray(centres)


_STARTS: dict[str, Callable[[Any, int, Any], Any]] = {
    "kmeans++": _spread,
    "linear": lambda weights, values, _: np.linspace(weights.min(), weights.max(), values),
    "density": lambda weights, values, _: np.quantile(weights, (np.arange(values) + 0.5) / values),
    "random": lambda weights, values, random: random.uniform(weights.min(), weights.max(), values),
}
