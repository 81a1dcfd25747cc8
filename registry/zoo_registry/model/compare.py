"""Answers that compare metrics within one data set only. Pure.

What a question finds is taken apart by data set, `evaluate` answers for each, and the data set of
most artifacts comes first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo_registry.model import evaluate
from zoo_registry.model.answers import Compared, NearMiss, OnDataSet, ParetoPoint, Resolution
from zoo_registry.model.dataset import DataSet, spelled
from zoo_registry.model.query import SORTS, TIMED_AXES, FrontAxis, Query, parse_sort
from zoo_registry.model.ranking import Placing, marks
from zoo_registry.model.summary import Summary


@dataclass(frozen=True, slots=True)
class Group:
    """Artifacts whose metric was measured on one data set, or (None) that do not have it."""

    dataset: DataSet | None
    items: tuple[Summary, ...]

    @property
    def artifacts(self) -> int:
        """How many there are, whatever rows an artifact has."""
        return len({(item.name, item.version) for item in self.items})

    @property
    def place(self) -> tuple[bool, int, tuple[str, str, str, int, str]]:
        """Where it stands among others: most artifacts first, those without a metric last."""
        return place(self.dataset, self.artifacts)


def place(
    dataset: DataSet | None, artifacts: int
) -> tuple[bool, int, tuple[str, str, str, int, str]]:
    """Order data sets: most artifacts first, then by name; what has no metric comes last."""
    if dataset is None:
        return (True, 0, ("", "", "", 0, ""))
    return (False, -artifacts, dataset.order)


def groups(query: Query, metric: str, items: Iterable[Summary]) -> tuple[Group, ...]:
    """Take artifacts apart by the data set on which the metric decides for each.

    That is the first of its data sets that the query means (`Query.score`).
    """
    found: dict[DataSet | None, list[Summary]] = {}
    for item in items:
        score = query.score(item, metric)
        where = None if score is None else score.dataset
        found.setdefault(where, []).append(item if where is None else item.within(where))
    made = (Group(where, tuple(those)) for where, those in found.items())
    return tuple(sorted(made, key=lambda group: group.place))


def sorting_metric(query: Query) -> str | None:
    """Name the metric that a listing is sorted by; None where it is sorted by something else."""
    key = query.sort.removeprefix("-")
    return None if key in SORTS else key


def deciding_metric(query: Query, metrics: Iterable[str]) -> str:
    """Name the metric that decides: of the budget, else of the order, else the usual of those."""
    if query.min_metrics:
        return min(query.min_metrics)
    return sorting_metric(query) or evaluate.usual_metric(metrics)


def main_metric(query: Query, items: Iterable[Summary]) -> str:
    """Name the metric that decides among artifacts: see `deciding_metric`."""
    return deciding_metric(query, (name for item in items for name in query.metrics(item)))


def counted(metric: str, found: Iterable[tuple[DataSet | None, int]]) -> tuple[Compared, ...]:
    """Say how many artifacts are compared on each data set, most first."""
    ordered = sorted(found, key=lambda one: place(*one))
    names = spelled(where for where, _ in ordered if where is not None)
    return tuple(
        Compared(
            metric=metric,
            dataset=where,
            asked="" if where is None else names[where],
            artifacts=artifacts,
        )
        for where, artifacts in ordered
    )


def compared(query: Query, items: Sequence[Summary]) -> tuple[Compared, ...]:
    """Say which of the items can be compared with which, by the metric that decides."""
    metric = main_metric(query, items)
    return counted(
        metric, ((group.dataset, group.artifacts) for group in groups(query, metric, items))
    )


def ordered(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Sort as `evaluate.ordered` does; by a metric, one data set after the other.

    Raises:
        InvalidQuery: no listing can be sorted by that.
    """
    parse_sort(query.sort, {one.metric for item in items for one in item.scored})
    metric = sorting_metric(query)
    if metric is None:
        return evaluate.ordered(query, items)
    rows = [
        row
        for group in groups(query, metric, items)
        for row in evaluate.ordered(
            _by_name(query) if group.dataset is None else query, group.items
        )
    ]
    return _own(items, rows)


def _by_name(query: Query) -> Query:
    return query.model_copy(update={"sort": "name"})


def _own(items: Sequence[Summary], rows: Iterable[Summary]) -> list[Summary]:
    """Give the items that rows within one data set speak of, in the order of the rows."""
    own = {_key(item): item for item in items}
    return [own[_key(row)] for row in rows]


def _key(item: Summary) -> tuple[str, str, str]:
    return (item.name, item.version, item.platform)


def front(query: Query, items: Sequence[Summary]) -> list[Summary]:
    """Keep what nothing of the same data set beats: see `evaluate.front`."""
    metric = evaluate.main_metric(query, items)
    best = [
        row for group in groups(query, metric, items) for row in evaluate.front(query, group.items)
    ]
    return _own(items, best)


def points(
    query: Query, candidates: Iterable[Summary], x: FrontAxis, y: str
) -> tuple[ParetoPoint, ...]:
    """Place what fits by `x` (better small) and the metric `y` (better large).

    The front of each data set and platform is marked. What lacks either is left out. The data set
    of most artifacts comes first.
    """
    asked = query.model_copy(update={"pareto": True}) if x in TIMED_AXES else query
    found = evaluate.fitting(asked, candidates)
    placed = [item for item in found if evaluate.axis(item, x, asked) is not None]
    return tuple(
        point
        for group in groups(asked, y, placed)
        if group.dataset is not None
        for point in _points(asked, group, x, y)
    )


def _points(query: Query, group: Group, x: FrontAxis, y: str) -> list[ParetoPoint]:
    placed = evaluate.placings(query, group.items, x, y)
    made = (
        ParetoPoint(
            item=one.item,
            x=one.x,
            y=one.y,
            on_front=mark == "front",
            dataset=group.dataset,
            mark=mark,
            interval=_interval(one, x),
        )
        for one, mark in zip(placed, marks(placed), strict=True)
    )
    return sorted(made, key=lambda point: (point.item.platform, point.x, -point.y, point.item.name))


def _interval(one: Placing, x: FrontAxis) -> tuple[float, float] | None:
    """Give the interval of a time, milliseconds or ratio: as far as the control lets tell."""
    if one.timing is None:
        return None
    low, high = one.timing.ms_ci95
    share = 1.0 if x == "latency_ms" else one.timing.ratio / one.timing.median_ms
    return (low * share, high * share)


def near_misses(
    query: Query, candidates: Sequence[Summary], count: int = evaluate.NEAREST
) -> tuple[NearMiss, ...]:
    """Rank those that match the facets by how little they miss the budget.

    By how much a metric misses its limit compares within one data set only. So each data set has
    its nearest here, and what is shown of one stands together.
    """
    metric = min(query.min_metrics, default=None)
    matching = [item for item in candidates if query.facets_match(item)]
    if metric is None:
        return evaluate.near_misses(query, matching, count)
    ranked = [
        [
            (rank, number, near)
            for rank, near in enumerate(evaluate.near_misses(query, group.items, count))
        ]
        for number, group in enumerate(groups(query, metric, matching))
    ]
    shown = sorted((one for of_group in ranked for one in of_group), key=lambda one: one[:2])[
        :count
    ]
    return tuple(near for _, _, near in sorted(shown, key=lambda one: (one[1], one[0])))


def resolve(query: Query, candidates: Sequence[Summary]) -> Resolution:
    """Choose the one best artifact for a budget, on the data set of most artifacts that fit.

    What is best on each other data set is named beside it: accuracies of two do not compare.
    """
    matching = [item for item in candidates if query.facets_match(item)]
    fit = {_ref(row): row for row in evaluate.fitting(query, matching)}
    if not fit:
        answer = evaluate.resolve(query, matching)
        return answer.model_copy(update={"near_misses": near_misses(query, matching)})
    apart = _that_fit(query, matching, fit)
    answers = [evaluate.resolve(query, group.items) for group in apart]
    number = next((n for n, answer in enumerate(answers) if answer.chosen), 0)
    others = _others(apart, answers, number)
    first, dataset = answers[number], apart[number].dataset
    why = first.why + (_mixed(dataset, others) if dataset is not None and others else "")
    return first.model_copy(update={"dataset": dataset, "datasets": others, "why": why})


def _ref(item: Summary) -> tuple[str, str]:
    return (item.name, item.version)


def _that_fit(
    query: Query, matching: Sequence[Summary], fit: Mapping[tuple[str, str], Summary]
) -> list[Group]:
    """Take apart what matches, and keep data sets on which something fits, the fullest first."""
    made = groups(query, evaluate.main_metric(query, list(fit.values())), matching)
    counts = {group.dataset: sum(_ref(item) in fit for item in group.items) for group in made}
    kept = [group for group in made if counts[group.dataset]]
    return sorted(kept, key=lambda group: place(group.dataset, counts[group.dataset]))


def _others(
    apart: Sequence[Group], answers: Sequence[Resolution], number: int
) -> tuple[OnDataSet, ...]:
    """Say what is best on each data set but one."""
    names = spelled(group.dataset for group in apart if group.dataset is not None)
    return tuple(
        OnDataSet(
            dataset=group.dataset,
            asked="" if group.dataset is None else names[group.dataset],
            chosen=answer.chosen,
            why=answer.why,
        )
        for place_, (group, answer) in enumerate(zip(apart, answers, strict=True))
        if answer.chosen is not None and place_ != number
    )


def _mixed(dataset: DataSet, others: Sequence[OnDataSet]) -> str:
    """Say that an answer compares on one data set only, and where others are."""
    told = "; ".join(
        f"on {one.dataset.words} (dataset={one.asked}): {one.chosen.name}"
        if one.dataset is not None
        else f"without such a metric: {one.chosen.name}"
        for one in others
    )
    return f". Compared on {dataset.words} only; {told}"
