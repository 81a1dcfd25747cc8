from urllib.parse import parse_qsl, urlsplit

import pytest

from plugins.family import family, summaries
from zoo_registry.model.answers import Page, ParetoPoint, Resolution
from zoo_registry.model.evaluate import axis, near_misses, pareto, resolve
from zoo_registry.model.query import Query, parse_size
from zoo_registry.web import views
from zoo_registry.web.compare import comparison
from zoo_registry.web.form import chips, form
from zoo_registry.web.urls import Params

ITEMS = summaries(family())


def points(query: Query) -> tuple[ParetoPoint, ...]:
    found = [
        (item, x, item.metrics["top1"]) for item in ITEMS if (x := axis(item, "latency_ms", query))
    ]
    front = pareto([(x, y) for _, x, y in found])
    return tuple(
        ParetoPoint(item=item, x=x, y=y, on_front=on)
        for (item, x, y), on in zip(found, front, strict=True)
    )


def shown(query: Query, params: Params = (), cursor: str | None = None) -> views.Listing:
    fitting = tuple(item for item in ITEMS if query.facets_match(item) and not query.misses(item))
    page = Page(
        items=fitting, next_cursor=cursor, near_misses=() if fitting else near_misses(query, ITEMS)
    )
    device = query.device or "host-cpu"
    asked = query.model_copy(update={"device": device})
    return views.listing(
        views.Answers(page, resolve(query, ITEMS), points(asked), device), params, query
    )


def asked_by(href: str) -> Query:
    given = dict(parse_qsl(urlsplit(href).query))
    limits = {
        name.removeprefix("min_"): float(value)
        for name, value in given.items()
        if name.startswith("min_")
    }
    plain = {
        name: parse_size(value) if "size" in name else value
        for name, value in given.items()
        if not name.startswith("min_")
    }
    return Query.model_validate({**plain, "min_metrics": limits})


def test_rows_carry_the_interval_and_the_verdict_of_the_device_asked_for() -> None:
    row = next(
        row for row in shown(Query(device="web-wasm")).rows if row.name == "cifar10-cnn-sparse75"
    )
    assert row.metric == "44.6 %"
    assert row.interval
    assert row.speed is not None
    assert (row.speed.device, row.speed.median, row.speed.ratio, row.speed.verdict) == (
        "web-wasm",
        "0.0610",
        "0.66",
        "faster",
    )


def test_the_reason_for_the_choice_spells_numbers_as_its_row_does() -> None:
    choice = shown(Query(device="host-cpu")).choice
    assert choice is not None
    assert choice.row.speed is not None
    assert (
        choice.why
        == f"best top1 of 10 that fit: top1 0.4460, {choice.row.speed.median} ms on host-cpu,"
        f" test (x86-64, class unknown), {choice.row.size_gzip} gzip"
    )
    assert choice.row.size_gzip == "7.79 kB"


def test_noise_is_shown_on_the_device_where_it_was() -> None:
    noisy = {
        row.name for row in shown(Query(device="host-cpu")).rows if row.speed and row.speed.noisy
    }
    assert noisy == {"cifar10-cnn-sparse75-fp16"}


@pytest.mark.parametrize(
    "query",
    [
        Query(device="host-cpu", max_latency_ms=0.01),
        Query(
            device="host-cpu", max_latency_ms=0.01, max_size_gzip=3000, min_metrics={"top1": 0.5}
        ),
        Query(max_ratio=0.1),
        Query(device="web-wasm", max_size=100, min_metrics={"top1": 0.99}),
        Query(min_metrics={"wer": 0.1}),
    ],
)
def test_the_widened_budget_of_a_near_miss_lets_it_in(query: Query) -> None:
    limits = query.model_dump(exclude_defaults=True, exclude={"min_metrics"}) | {
        f"min_{k}": v for k, v in query.min_metrics.items()
    }
    params = tuple((name, str(value)) for name, value in limits.items())
    near = shown(query, params).near
    assert near
    for entry in near:
        item, wide = (
            next(item for item in ITEMS if item.name == entry.row.name),
            asked_by(entry.widen),
        )
        assert () in [wide.misses(row) for row in wide.apart(item)]


def test_a_miss_says_what_was_found_and_by_how_much() -> None:
    (miss,) = shown(Query(device="host-cpu", max_latency_ms=0.01)).near[0].misses
    assert (miss.what, miss.found, miss.by) == ("latency", "0.0121 ms", "21 % over 0.01 ms")


def test_a_header_sorts_the_useful_way_first_and_then_the_other() -> None:
    def target(sort: str, label: str) -> tuple[str, str]:
        params = (("device", "host-cpu"), ("sort", sort), ("cursor", "old"))
        column = next(
            c
            for c in shown(Query(device="host-cpu", sort=sort), params).columns
            if c.label == label
        )
        return asked_by(column.href).sort, column.aria

    assert target("name", "top-1") == ("-top1", "")
    assert target("-top1", "top-1") == ("top1", "descending")
    assert target("name", "Latency") == ("latency", "")
    assert target("latency", "Latency") == ("-latency", "ascending")


def test_the_next_page_asks_the_same_with_the_cursor() -> None:
    href = shown(Query(device="host-cpu"), (("device", "host-cpu"),), cursor="c/1").next_href
    assert dict(parse_qsl(urlsplit(href).query)) == {"device": "host-cpu", "cursor": "c/1"}


def test_a_chart_shows_one_device_the_one_most_were_measured_on() -> None:
    assert views.usual_platform(ITEMS) == "host-cpu/x86-64-unknown/test"
    assert views.usual_platform([]) is None


def test_the_form_repeats_what_was_asked_even_what_no_facet_knows() -> None:
    params = (
        ("device", "my-phone"),
        ("max_latency_ms", "8"),
        ("min_wer", "0.1"),
        ("q", '"><script>'),
    )
    fields = {
        field.name: field for field in form(params, {"device": ["host-cpu"], "metric": ["top1"]})
    }
    assert [option.value for option in fields["device"].options if option.chosen] == ["my-phone"]
    assert (fields["max_latency_ms"].value, fields["min_wer"].value, fields["q"].value) == (
        "8",
        "0.1",
        '"><script>',
    )


def test_each_chip_takes_its_own_filter_away() -> None:
    params = (("device", "host-cpu"), ("max_size_gzip", "4MB"), ("sort", "size"))
    found = chips(params, Query(device="host-cpu", max_size_gzip=4_000_000, sort="size"))
    assert [chip.text for chip in found] == ["device: host-cpu", "download size (gzip) ≤ 4.00 MB"]
    assert asked_by(found[1].href) == Query(device="host-cpu", sort="size")


def test_nothing_fits_and_nothing_is_chosen() -> None:
    view = shown(Query(max_size=1))
    assert view.choice is None
    assert not view.rows
    assert Resolution(chosen=None, why="").chosen is view.choice


def test_a_comparison_marks_the_best_and_counts_from_the_first() -> None:
    items = [
        next(item for item in ITEMS if item.variant == variant)
        for variant in ("fp32", "int8", "sparse75")
    ]
    lines = {
        line.label: line.cells
        for group in comparison(items).groups
        if "web" not in group.title
        for line in group.lines
    }
    assert [cell.best for cell in lines["top-1"]] == [False, False, True]
    assert [cell.best for cell in lines["median"]] == [False, True, False]
    assert lines["top-1"][2].note == "+4.3 pt"
    assert lines["download, gzip"][0].note == ""


def test_what_was_not_measured_is_a_dash_and_never_the_best() -> None:
    items = [
        next(item for item in ITEMS if item.variant == variant) for variant in ("int8", "sparse75")
    ]
    web = next(group for group in comparison(items).groups if "web-wasm" in group.title)
    assert [(cell.text, cell.best) for cell in web.lines[0].cells] == [
        ("\N{EN DASH}", False),
        ("0.0610 ms", False),
    ]
