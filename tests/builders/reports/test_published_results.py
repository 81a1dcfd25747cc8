"""Published results stand beside ours as changes, each against its own float file.

And nothing is made up where we built nothing.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.reports import published_results
from zoo_builders.reports.dot_plot import Dot, Mark, draw
from zoo_builders.reports.published_results import AgainstFloat, Table
from zoo_client.cli import run
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.formatting import DASH, TIMES
from zoo_registry.model.record import Record

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
MakeRecord = Callable[..., Record]

TABLE = Table.model_validate(
    {
        "title": "A net",
        "beside": ["tiny"],
        "source": "A paper",
        "url": "https://example.org",
        "data": "Their data",
        "metric": "top-1",
        "reference": {"quality": 0.9, "packed": 1000, "ms": 10},
        "rows": [
            {"what": "int8", "ours": "int8", "quality": 0.88, "packed": 250, "ms": 5},
            {"what": "magic", "ours": "magic", "quality": 0.95},
        ],
    }
)


def family(make_record: MakeRecord) -> list[Record]:
    def one(variant: str, quality: float, packed: int) -> Record:
        record = make_record(variant=variant)
        metrics = [
            metric.model_copy(update={"value": quality, "ci95": (quality - 0.02, quality + 0.01)})
            for metric in record.metrics
        ]
        file = record.file.model_copy(update={"size_gzip": packed})
        return record.model_copy(update={"metrics": tuple(metrics), "file": file})

    return [one("fp32", 0.8, 5000), one("int8", 0.79, 1500)]


def test_every_row_of_the_shipped_file_has_a_source_and_stands_beside_a_model() -> None:
    tables = published_results.load(ROOT / "docs/published.yaml").tables
    assert len(tables) > 5
    for table in tables:
        assert table.url.startswith("https://")
        assert table.beside
        assert table.rows


def test_variants_named_for_shipped_manifests_are_theirs() -> None:
    tables = published_results.load(ROOT / "docs/published.yaml").tables
    reader = Reader(
        WorkTree(Digests(Path("/nonexistent"))), {"ZOO_DATA": "/data"}, judge=False, need_data=False
    )
    spec = reader.read(ROOT / "manifests/ds-cnn.yaml").spec
    wanted = {
        row.ours
        for table in tables
        if table.beside == ("ds-cnn",)
        for row in table.rows
        if row.ours
    }
    assert wanted <= set(spec.variants)


def test_changes_are_against_each_ones_own_float_file(make_record: MakeRecord) -> None:
    int8, magic = published_results.pairs(TABLE, family(make_record))
    assert int8.theirs == AgainstFloat(quality=0.88 - 0.9, packed=0.25, ms=0.5)
    assert int8.ours is not None
    assert (int8.ours.quality, int8.ours.packed) == (pytest.approx(-0.01), pytest.approx(0.3))
    assert magic.ours is None
    assert magic.theirs.packed is None


def test_the_page_says_what_was_not_built(make_record: MakeRecord) -> None:
    page = "\n".join(published_results.page([TABLE], "tiny", family(make_record)))
    assert "| int8 | 88.00% | -2.00 |" in page
    assert "| `int8` | 79.00% | -1.00 |" in page
    assert "| magic | 95.00% | +5.00 |" in page
    assert "not built" in page
    assert "https://example.org" in page
    assert published_results.page([TABLE], "other", family(make_record)) == []


def test_without_a_float_file_of_ours_nothing_is_compared(make_record: MakeRecord) -> None:
    alone = family(make_record)[1:]
    assert [pair.ours for pair in published_results.pairs(TABLE, alone)] == [None, None]
    assert published_results.dots([TABLE], "tiny", alone) == []


def test_a_model_without_labels_is_compared_by_size_alone(make_record: MakeRecord) -> None:
    silent = [record.model_copy(update={"metrics": ()}) for record in family(make_record)]
    int8, _ = published_results.pairs(TABLE, silent)
    assert int8.ours is not None
    assert (int8.ours.quality, int8.ours.packed) == (None, pytest.approx(0.3))
    (dot,) = published_results.dots([TABLE], "tiny", silent)
    assert (dot.points.ours, dot.points.interval, dot.packed.ours) == (
        None,
        None,
        pytest.approx(0.3),
    )
    assert f"| `int8` | {DASH} | {DASH} |" in "\n".join(
        published_results.page([TABLE], "tiny", silent)
    )


def test_dots_carry_both_and_the_interval_of_ours(make_record: MakeRecord) -> None:
    (dot,) = published_results.dots([TABLE], "tiny", family(make_record))
    assert (dot.what, dot.points.ours, dot.packed.ours) == (
        "int8",
        pytest.approx(-1),
        pytest.approx(0.3),
    )
    assert dot.points.interval == (pytest.approx(-3), pytest.approx(0))
    assert (dot.points.published, dot.packed.published) == ((pytest.approx(-2),), (0.25,))
    ratio = family(make_record)[1].measurements[0].ratio
    assert dot.latency == {"host-cpu": Mark(ratio.value, ratio.ci95)}


def test_every_published_row_of_the_network_is_drawn_and_other_networks_apart(
    make_record: MakeRecord,
) -> None:
    def table(quality: float, *, same: bool) -> Table:
        row = {"what": "int8", "ours": "int8", "quality": quality}
        return TABLE.model_validate({**TABLE.model_dump(), "same_network": same, "rows": [row]})

    model = family(make_record)[0].model
    tables = [table(0.85, same=False), table(0.82, same=True), table(0.89, same=True)]
    shown = [t.model_copy(update={"beside": (model,)}) for t in tables]
    (dot,) = published_results.dots(shown, model, family(make_record))
    assert dot.points.published == (pytest.approx(-8), pytest.approx(-1))
    assert dot.points.other_network == ()
    (alone,) = published_results.dots(shown[:1], model, family(make_record))
    assert (alone.points.published, alone.points.other_network) == ((), (pytest.approx(-5),))
    assert published_results.Published(tables=tuple(shown)).beside(model)[-1] == shown[0]
    assert "another network than ours" in "\n".join(
        published_results.page(shown[:1], model, family(make_record))
    )


def test_every_latency_names_its_device(make_record: MakeRecord) -> None:
    fp32, int8 = (
        make_record(variant=variant, medians={"web-wasm": 1.88, "host-cpu": 4.0})
        for variant in ("fp32", "int8")
    )
    (dot,) = published_results.dots([TABLE], "tiny", [fp32, int8])
    assert {device: mark.ours for device, mark in dot.latency.items()} == {
        "host-cpu": 1.0,
        "web-wasm": 0.47,
    }
    page = "\n".join(published_results.page([TABLE], "tiny", [fp32, int8]))
    assert (
        f"{TIMES} 1.00 `host-cpu` (older protocol), {TIMES} 0.47 `web-wasm` (older protocol) |"
        in page
    )
    drawn = draw("title", [dot])
    assert ("latency on host-cpu" in drawn, "latency on web-wasm" in drawn) == (True, True)


def test_no_row_stands_beside_a_variant_of_another_sparsity() -> None:
    for table in published_results.load(ROOT / "docs/published.yaml").tables:
        for row in table.rows:
            if row.ours and "sparse" in row.ours:
                assert f"{row.ours.removeprefix('sparse').partition('-')[0]} %" in row.what


def test_a_panel_without_anything_of_ours_is_not_drawn() -> None:
    picture = draw("title", [Dot("int8", points=Mark(None, None, (-0.7,)), packed=Mark(0.25))])
    assert "packed size" in picture
    assert "top-1" not in picture


def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "published.yaml").write_text("tables: [{title: x, rows: []}]")
    with pytest.raises(WrongUse, match="beside"):
        published_results.load(tmp_path / "published.yaml")
    (tmp_path / "published.yaml").write_text("{")
    with pytest.raises(WrongUse, match=r"published\.yaml"):
        published_results.load(tmp_path / "published.yaml")
    assert published_results.load(tmp_path / "none.yaml") == published_results.Published()


def test_the_page_has_a_picture_for_each_model(make_record: MakeRecord, tmp_path: Path) -> None:
    records = family(make_record)
    for record in records:
        folder = tmp_path / "builds" / record.name / record.version
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(record.to_bytes())
    folders = ["--builds", str(tmp_path / "builds"), "--out", str(tmp_path / "results.md")]
    assert run(["results", *folders]) == 0
    picture = f"results-{records[0].model}.svg"
    assert f"]({picture})" in (tmp_path / "results.md").read_text()
    drawn = ET.fromstring((tmp_path / picture).read_text())  # noqa: S314  our own picture
    assert "int8" in [text.text for text in drawn.iter(f"{SVG}text")]


def marks(low: float, high: float) -> st.SearchStrategy[Mark]:
    value = st.floats(low, high)
    ends = st.tuples(value, value).map(lambda pair: (min(pair), max(pair)))
    others = st.lists(value, max_size=2).map(tuple)
    return st.builds(Mark, st.none() | value, st.none() | ends, others, others)


dots = st.builds(
    Dot,
    st.just("a & <b>"),
    points=marks(-40, 40),
    packed=marks(0, 3),
    latency=st.dictionaries(st.sampled_from(["a", "b"]), marks(0.01, 80)),
)


@given(st.lists(dots, max_size=6))
@settings(max_examples=40)
def test_every_picture_is_valid_and_keeps_inside_its_frame(found: list[Dot]) -> None:
    picture: Any = ET.fromstring(draw("title", found))  # noqa: S314  our own picture
    _, _, width, height = map(float, picture.get("viewBox").split())
    for mark in (*picture.iter(f"{SVG}circle"), *picture.iter(f"{SVG}text")):
        x, y = float(mark.get("cx") or mark.get("x")), float(mark.get("cy") or mark.get("y"))
        assert 0 <= x <= width
        assert 0 <= y <= height


@given(st.lists(dots, min_size=1, max_size=4))
@settings(max_examples=40)
def test_no_mark_lies_beyond_the_first_or_last_tick_of_its_panel(found: list[Dot]) -> None:
    picture: Any = ET.fromstring(draw("title", found))  # noqa: S314  our own picture
    ticks = [
        float(path.get("d")[1:].split()[0])
        for path in picture.iter(f"{SVG}path")
        if path.get("stroke") == "#e2e2e2"
    ]
    shown = [
        float(circle.get("cx"))
        for circle in picture.iter(f"{SVG}circle")
        if circle.find(f"{SVG}title") is not None
    ]
    shown += [
        float(square.get("x")) + 4.5
        for square in picture.iter(f"{SVG}rect")
        if square.find(f"{SVG}title") is not None
    ]
    assert all(min(ticks) - 0.1 <= x <= max(ticks) + 0.1 for x in shown)
