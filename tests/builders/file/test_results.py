"""The results page says what the records say, and nothing else."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.results import load, main, points, render
from zoo_builders.results_plot import Point, draw, front
from zoo_registry.model.errors import NotFound
from zoo_registry.model.record import Record

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def builds(tmp_path: Path, make_record: Callable[..., Record]) -> Path:
    for variant, version in (("fp32", "1.0.0"), ("int8", "1.0.0"), ("int8", "1.10.0"), ("int8", "1.9.0")):
        record = make_record(variant=variant, version=version)
        folder = tmp_path / "builds" / record.name / version
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(record.to_bytes())
    return tmp_path / "builds"


def test_the_page_holds_every_number_of_the_newest_records_with_its_conditions(builds: Path, tmp_path: Path) -> None:
    out = tmp_path / "docs" / "results.md"
    assert main(["--builds", str(builds), "--out", str(out)]) == 0
    page, records = out.read_text(), load(builds)
    assert [record.variant for record in records] == ["fp32", "int8"]
    assert records[1].version == "1.10.0"
    for record in records:
        assert str(record.file.sha256) in page
        assert f"{record.file.size:,}" in page
        for m in record.measurements:
            for words in (
                m.runtime_version,
                m.protocol,
                m.host.cpu,
                m.host.fingerprint.short,
                f"{m.when:%Y-%m-%d}",
                f"{m.ratio.value:.2f}",
            ):
                assert words in page
    assert "](results.svg)" in page


def test_the_plot_has_one_point_a_measured_file(builds: Path) -> None:
    records = load(builds)
    picture = ET.fromstring(draw(points(records)))  # noqa: S314  our own picture
    assert len(picture.findall(f"{SVG}circle")) == sum(bool(record.measurements) for record in records)


def test_without_builds_it_says_which_command_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--builds", str(tmp_path)]) == 1
    assert "zoo build MANIFEST" in capsys.readouterr().err
    with pytest.raises(NotFound):
        load(tmp_path)


def test_models_are_chosen_by_name(builds: Path) -> None:
    (model,) = {record.model for record in load(builds)}
    assert load(builds, [model]) == load(builds)
    with pytest.raises(NotFound):
        load(builds, ["other"])


def test_a_record_that_was_not_measured_is_listed_without_times(make_record: Callable[..., Record]) -> None:
    page = render([make_record().model_copy(update={"measurements": ()})], "p.svg")
    assert "not measured" in page
    assert "n/a" in page


point = st.builds(Point, name=st.text(max_size=5), latency_ms=st.floats(1e-3, 1e4), quality=st.floats(0, 1), noisy=st.booleans())


@given(st.lists(point, min_size=1, max_size=12))
def test_the_front_is_what_no_other_beats(found: list[Point]) -> None:
    best = front(found)
    for one in best:
        assert not any(o.latency_ms <= one.latency_ms and o.quality > one.quality for o in found)
    for one in found:
        assert any(o.latency_ms <= one.latency_ms and o.quality >= one.quality for o in best)


@given(st.lists(point.map(lambda p: Point("a & <b>", p.latency_ms, p.quality, p.noisy)), max_size=8))
def test_every_picture_is_valid_and_keeps_inside_its_frame(found: list[Point]) -> None:
    picture: Any = ET.fromstring(draw(found))  # noqa: S314  our own picture
    for circle in picture.findall(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx")) <= 760
        assert 0 <= float(circle.get("cy")) <= 440
