"""What comes first where numbers have intervals: nothing is ranked by noise. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from zoo_registry.model import formatting
from zoo_registry.model.answers import Mark
from zoo_registry.model.query import Query
from zoo_registry.model.summary import Summary
from zoo_registry.model.timing import Standing, Timing, fastest, standing, surely_faster

Timed = tuple[Summary, Timing | None]
_ORDER: dict[Standing, int] = {"quiet": 0, "noisy": 1, "unmeasured": 2}


@dataclass(frozen=True, slots=True)
class Placing:
    """An artifact in the plane of a cost (better small) and a metric (better large).

    `timing` is there where the cost is a time, and then it, not `x`, says what is faster.
    """

    item: Summary
    x: float
    y: float
    timing: Timing | None = None


def marks(placed: Sequence[Placing]) -> tuple[Mark, ...]:
    """Say of each where it stands among those of its platform.

    `front`: nothing as good is surely faster; of those as good that cannot be told apart, the
    smallest. `band`: not on the front, yet nothing as good is surely faster. `noisy`: only noisy
    sessions, which rank nothing. All else is `beaten`.
    """
    found = dict[int, Mark]()
    for key in {one.item.platform for one in placed}:
        here = [number for number, one in enumerate(placed) if one.item.platform == key]
        found |= zip(here, _marks([placed[number] for number in here]), strict=True)
    return tuple(found[number] for number in range(len(placed)))


def _marks(placed: Sequence[Placing]) -> tuple[Mark, ...]:
    """Mark the placings of one platform."""
    ranked = [one for one in placed if one.timing is None or not one.timing.noisy]
    front = _front(ranked)
    return tuple(_mark(one, ranked, front) for one in placed)


def _mark(one: Placing, ranked: Sequence[Placing], front: Sequence[Placing]) -> Mark:
    if one.timing is not None and one.timing.noisy:
        return "noisy"
    if any(one is other for other in front):
        return "front"
    exact = one.timing is None
    beaten = exact or any(other.y >= one.y and _faster(other, one) for other in ranked)
    return "beaten" if beaten else "band"


def _front(ranked: Sequence[Placing]) -> list[Placing]:
    """Go from the best metric down; what comes later must be surely faster than all before."""
    front: list[Placing] = []
    for _, group in groupby(sorted(ranked, key=lambda one: -one.y), key=lambda one: one.y):
        able = [one for one in group if all(_faster(one, other) for other in front)]
        if able:
            leader = _leader(able)
            equal = [one for one in able if not _faster(leader, one)]
            least = min(_size(one) for one in equal)
            front += [one for one in equal if _size(one) == least]
    return front


def _leader(able: Sequence[Placing]) -> Placing:
    """Give the cheapest by estimate."""
    timings = [one.timing for one in able if one.timing is not None]
    if not timings:
        return min(able, key=lambda one: one.x)
    first = fastest(timings)
    return next(one for one in able if one.timing is first)


def _faster(one: Placing, other: Placing) -> bool:
    if one.timing is None or other.timing is None:
        return one.x < other.x
    return surely_faster(one.timing, other.timing)


def _size(one: Placing) -> int:
    """What decides between those that cannot be told apart; an exact cost tells all apart."""
    return 0 if one.timing is None else one.item.size_gzip


def by_rank(query: Query, timed: Iterable[Timed], metric: str) -> list[Timed]:
    """Order what fits: by the metric, then by time where it can be told, then by size.

    Under a budget of time, what only noisy sessions measured comes behind all else.
    """

    def rank(one: Timed) -> tuple[bool, float]:
        item, timing = one
        doubtful = query.needs_timing and timing is not None and timing.noisy
        return (doubtful, -item.metrics.get(metric, -math.inf))

    groups = groupby(sorted(timed, key=rank), key=rank)
    return [one for _, group in groups for one in _by_time(list(group))]


def _by_time(timed: Sequence[Timed]) -> list[Timed]:
    """Order by time. Those that cannot be told from the fastest of the rest come by size, name."""
    rest, found = sorted(timed, key=lambda one: _ORDER[standing(one[1])]), list[Timed]()
    while rest:
        kind = standing(rest[0][1])
        timings = [timing for _, timing in rest if timing and standing(timing) == kind]
        leader = fastest(timings) if timings else None
        told = [alike(leader, timing) for _, timing in rest]
        equal = [one for one, same in zip(rest, told, strict=True) if same]
        found += sorted(equal, key=lambda one: (one[0].size_gzip, one[0].name))
        rest = [one for one, same in zip(rest, told, strict=True) if not same]
    return found


def alike(one: Timing | None, other: Timing | None) -> bool:
    """Whether two cannot be told apart: as far measured, and neither surely faster."""
    if standing(one) != standing(other):
        return False
    if one is None or other is None:
        return True
    return not surely_faster(one, other) and not surely_faster(other, one)


def doubts(query: Query, best: Timed, others: Sequence[Timed], metric: str) -> str:
    """Say what a choice cannot tell: from whom, and whether it surely keeps within the budget."""
    item, timing = best
    if timing is None:
        return ""
    if timing.noisy:
        return "; only noisy sessions measured it: zoo bench it before you rely on its time"
    value = item.metrics.get(metric)
    equal = [
        one.name for one, its in others if one.metrics.get(metric) == value and alike(timing, its)
    ]
    return _alike_told(equal) + _over(query.max_latency_ms, timing)


def _alike_told(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"; cannot tell its time from that of {', '.join(names[:3])}: the smallest is chosen"


def _over(limit: float | None, timing: Timing) -> str:
    low, high = timing.ms_ci95
    if limit is None or high <= limit or timing.is_baseline:
        return ""
    ends = (formatting.milliseconds(end) for end in (low, high))
    return "; its interval, {} to {} ms, reaches over the limit".format(*ends)
