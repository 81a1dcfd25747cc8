"""Which layers to leave in float: as few as bring the metric back.

Pure: what a choice costs is asked of a function.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.record import LayerError, Trial

Cost = Callable[[frozenset[str]], float]
"""How far the metric falls below the float file's with these layers left in float."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a choice must reach, and at most how many layers it may take."""

    max_drop: float
    most: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The layers to leave in float, worst first, and everything that was tried on the way."""

    kept: tuple[str, ...]
    trials: tuple[Trial, ...]


def worst_first(errors: Sequence[LayerError]) -> tuple[str, ...]:
    """Order tensors by how badly quantization treats their channels.

    Not by RMSE over scale: a channel a thousand times larger than the others stretches the grid
    until the others round to zero, and that error is small against the stretched scale. The average
    signal to noise of the channels shows it.
    """
    return tuple(error.tensor for error in sorted(errors, key=lambda error: error.sqnr_channels_db))


def choose(
    order: Sequence[str], cost: Cost, limits: Limits, *, metric: str = "the metric"
) -> Choice:
    """Find few layers whose staying in float keeps the metric.

    The shortest prefix of `order` that does, then without its needless ones.

    The prefix is found by halving, which supposes that more layers in float never hurt much;
    whatever is returned was itself tried. Costs about log2(most) + length of the prefix trials.

    Raises:
        BuildFailed: not even the `most` worst layers in float keep it.
    """
    search = _Search(cost)
    if search.drop(()) <= limits.max_drop:
        return Choice((), tuple(search.trials))
    longest = min(limits.most, len(order))
    if search.drop(order[:longest]) > limits.max_drop:
        raise _not_enough(search, order[:longest], limits, metric)
    prefix = _shortest(order, search, limits.max_drop, longest)
    kept = _without_needless(order[:prefix], search, limits.max_drop)
    return Choice(kept, tuple(search.trials))


@dataclass(slots=True)
class _Search:
    """Remembers what was tried."""

    cost: Cost
    trials: list[Trial]
    known: dict[frozenset[str], float]

    def __init__(self, cost: Cost) -> None:
        self.cost, self.trials, self.known = cost, [], {}

    def drop(self, kept: Sequence[str]) -> float:
        chosen = frozenset(kept)
        if chosen not in self.known:
            self.known[chosen] = self.cost(chosen)
            self.trials.append(Trial(kept=len(chosen), drop=round(self.known[chosen], 6)))
        return self.known[chosen]


def _shortest(order: Sequence[str], search: _Search, max_drop: float, longest: int) -> int:
    """Give the length of the shortest prefix that keeps the metric.

    One of length `longest` does.
    """
    low, high = 0, longest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if search.drop(order[:middle]) <= max_drop else (middle, high)
    return high


def _without_needless(prefix: Sequence[str], search: _Search, max_drop: float) -> tuple[str, ...]:
    """Take out, the least bad first, every layer without which the metric is kept too."""
    kept = list(prefix)
    for name in reversed(prefix):
        rest = [other for other in kept if other != name]
        if rest and search.drop(rest) <= max_drop:
            kept = rest
    return tuple(kept)


def _not_enough(search: _Search, tried: Sequence[str], limits: Limits, metric: str) -> BuildFailed:
    before, after = search.drop(()), search.drop(tried)
    message = (
        f"keep_float: auto: with all in int8 {metric} falls by {before:.4f}, with the {len(tried)}"
        f" worst layers in float still by {after:.4f}; at most {limits.max_drop} was allowed"
    )
    return BuildFailed(
        message,
        hint=(
            f"raise max_float_layers (now {limits.most}) or max_drop, or try quantize_aware or"
            " dtype: int16x8"
        ),
    )
