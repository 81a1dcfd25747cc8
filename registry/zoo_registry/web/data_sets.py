"""The data sets among the answers of a search: their metrics do not compare. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from zoo_registry.model.answers import Page, ParetoPoint, Resolution
from zoo_registry.web import urls
from zoo_registry.web.urls import Params


@dataclass(frozen=True, slots=True)
class DataSetLink:
    """One of several data sets among the answers, and the address of its answers alone."""

    name: str
    about: str
    artifacts: int
    href: str


def links(page: Page, params: Params) -> tuple[DataSetLink, ...]:
    """Name the data sets of what was found, where their metrics do not compare; else nothing."""
    known = [one for one in page.datasets if one.dataset is not None]
    if len(known) < 2:  # noqa: PLR2004 - one compares with itself
        return ()
    return tuple(
        DataSetLink(
            one.asked,
            one.dataset.words if one.dataset else "",
            one.artifacts,
            urls.address("/", urls.changed(params, {"dataset": one.asked})),
        )
        for one in known
    )


def of_one_data_set(found: Sequence[ParetoPoint], best: Resolution) -> tuple[ParetoPoint, ...]:
    """Keep the points that compare: of the best one's data set, else of the first."""
    where = best.dataset or next((point.dataset for point in found), None)
    return tuple(point for point in found if point.dataset == where)
