"""Goals: what a manifest demands of its results, and whether a record meets it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from zoo_builders.manifest.schema import MetricGoal, RatioGoal, SizeGoal
from zoo_registry.model.dataset import same
from zoo_registry.model.errors import GoalMissed
from zoo_registry.model.query import parse_size
from zoo_registry.model.record import GoalResult, Record
from zoo_registry.model.timing import Timing, together

Goal = MetricGoal | SizeGoal | RatioGoal
SIZES = ("size", "size_gzip", "size_zstd")
RATIO = "latency_ratio"


def kind_of(name: str, metrics: Sequence[str]) -> type[Goal] | None:
    """Which kind of goal a name stands for; None when it names nothing that is measured."""
    if name in SIZES:
        return SizeGoal
    if name == RATIO:
        return RatioGoal
    return MetricGoal if name in metrics else None


def check(
    goals: Mapping[str, Goal], record: Record, siblings: Mapping[str, Record]
) -> tuple[GoalResult, ...]:
    """Judge one record; `siblings` are the records of all variants built with it, itself included.

    A goal that names a variant with `for` judges that variant only. What could not be measured is a
    goal not met, with value None; so is a drop between two data sets, which nothing measured.
    """
    found: list[GoalResult] = []
    for name, goal in goals.items():
        if not goal.only_for or record.variant in goal.only_for:
            found += _judge(name, goal, record, siblings)
    return tuple(found)


def _judge(
    name: str, goal: Goal, record: Record, siblings: Mapping[str, Record]
) -> list[GoalResult]:
    if isinstance(goal, SizeGoal):
        return [
            _at_most(
                f"{name} max {goal.max}",
                float(parse_size(goal.max)),
                float(getattr(record.file, name)),
            )
        ]
    if isinstance(goal, RatioGoal):
        return [
            _at_most(
                f"{name} max {goal.max:g} on {goal.device} versus {goal.versus}",
                goal.max,
                _ratio(goal, record, siblings),
            )
        ]
    return _metric(name, goal, record, siblings)


def _metric(
    name: str, goal: MetricGoal, record: Record, siblings: Mapping[str, Record]
) -> list[GoalResult]:
    value = record.best(name)
    found = []
    if goal.min is not None:
        met = value is not None and value >= goal.min
        found.append(
            GoalResult(goal=f"{name} min {goal.min:g}", limit=goal.min, value=value, met=met)
        )
    if goal.max_drop is not None:
        other = _beside(name, record, siblings.get(goal.versus))
        drop = None if value is None or other is None else round(other - value, 9)
        found.append(
            _at_most(f"{name} max_drop {goal.max_drop:g} versus {goal.versus}", goal.max_drop, drop)
        )
    return found


def _beside(name: str, record: Record, other: Record | None) -> float | None:
    """Value of the metric in another record, measured on the very same data set and labels."""
    own = record.metric(name)
    found = None if own is None or other is None else same(own, record, other)
    return None if found is None else found.value


def _at_most(goal: str, limit: float, value: float | None) -> GoalResult:
    return GoalResult(goal=goal, limit=limit, value=value, met=value is not None and value <= limit)


def _ratio(goal: RatioGoal, record: Record, siblings: Mapping[str, Record]) -> float | None:
    """Ratio to the named variant.

    Both were measured against the same float baseline, so their ratios divide.
    """
    own = _first(record, goal.device)
    if own is None or goal.versus not in siblings:
        return None
    other = _first(siblings[goal.versus], goal.device)
    return None if other is None else own / other


def _first(record: Record, device: str) -> float | None:
    """Ratio on a device: with one thread where there is such, by quiet sessions where there are.

    Sessions are put together; the float file's ratio to itself is 1.
    """
    here = [m for m in record.measurements if m.device == device]
    alone = [m for m in here if m.threads == 1] or here
    found = together(Timing.of(m) for m in alone)
    return min(found, key=lambda one: one.noisy).ratio if found else None


def missed(name: str, results: Sequence[GoalResult]) -> GoalMissed | None:
    """Make the error of a record that misses goals; None when it meets all."""
    lost = [result for result in results if not result.met]
    if not lost:
        return None
    told = "; ".join(
        f"{r.goal}: found {'nothing measured' if r.value is None else f'{r.value:.4g}'}"
        for r in lost
    )
    return GoalMissed(
        f"{name}: {told}",
        hint="change the recipe or the goal, or keep it as missed: zoo build … --allow-missed",
    )


Verdict = Literal["met", "missed", "none"]


def verdict(results: Sequence[GoalResult]) -> Verdict:
    """One word for a table."""
    if not results:
        return "none"
    return "met" if all(result.met for result in results) else "missed"
