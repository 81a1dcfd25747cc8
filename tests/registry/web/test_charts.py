import math
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_registry.web import charts
from zoo_registry.web.charts import Axis, Dot, Frame
from zoo_registry.web.labels import Box, place
from zoo_registry.web.scales import Scale, fit

SVG = "{http://www.w3.org/2000/svg}"
FRAME = Frame(680, 300, "front")
X, Y = Axis("median latency, ms", may_log=True), Axis("top-1, %", factor=100)
positive = st.floats(min_value=1e-4, max_value=1e4)


def draw(dots: list[Dot], x: Axis = X, y: Axis = Y) -> ET.Element:
    # our own output; that it is well formed is the point
    return ET.fromstring(str(charts.scatter(dots, x, y, FRAME)))  # noqa: S314


def dot(x: float, y: float, label: str = "a", kind: charts.Kind = "front") -> Dot:
    return Dot(x, y, label, f"note of {label}", f"/artifacts/{label}", kind)


def by_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def test_nothing_to_draw_is_nothing() -> None:
    assert charts.scatter([], X, Y, FRAME) == ""


def test_every_point_is_a_link_with_words() -> None:
    root = draw([dot(1, 0.4, "slow"), dot(2, 0.5, "good", "chosen")])
    links = {a.get("href"): a.get("aria-label") for a in by_class(root, "dot")}
    assert links == {"/artifacts/slow": "note of slow", "/artifacts/good": "note of good"}


def test_hostile_labels_are_text() -> None:
    root = draw([Dot(1, 0.4, "<script>x</script>", '"><img src=x>', 'javascript:"<', "front")])
    assert not [
        element for element in root.iter() if element.tag.removeprefix(SVG) in {"script", "img"}
    ]
    assert "<script>x</script>" in [text.text for text in root.iter("text")]


def test_the_front_is_a_stair_that_passes_the_front_points_only() -> None:
    root = draw([dot(1, 0.4), dot(2, 0.5), dot(1.5, 0.1, "b", "beaten")])
    (line,) = [path for path in by_class(root, "front") if path.tag == "path"]
    corners = [tuple(map(float, pair.split())) for pair in line.get("d", "")[1:].split("L")]
    marks = {
        (float(c.get("cx", "")), float(c.get("cy", "")))
        for a in by_class(root, "front")
        for c in a
        if "mark" in c.get("class", "")
    }
    assert marks == {corners[0], corners[-1]}
    assert corners[1] == (corners[2][0], corners[0][1]), "right first, then up"


def test_the_budget_shades_the_corner_of_fast_and_good() -> None:
    root = draw([dot(1, 0.4), dot(3, 0.6)], Axis("ms", limit=2.0), Axis("top-1", limit=0.5))
    (budget,) = by_class(root, "budget")
    inside = [
        a
        for a in by_class(root, "dot")
        for c in a
        if "mark" in c.get("class", "") and _inside(budget, c)
    ]
    assert not inside, "one point is too bad, the other too slow"


def _inside(budget: ET.Element, circle: ET.Element) -> bool:
    left, top, width, height = (float(budget.get(key, "")) for key in ("x", "y", "width", "height"))
    x, y = float(circle.get("cx", "")), float(circle.get("cy", ""))
    return left <= x <= left + width and top <= y <= top + height


@given(st.lists(st.tuples(positive, st.floats(min_value=0, max_value=1)), min_size=1, max_size=30))
def test_whatever_the_numbers_the_drawing_is_whole_and_inside_its_frame(
    points: list[tuple[float, float]],
) -> None:
    root = draw([dot(x, y, f"model-{index}") for index, (x, y) in enumerate(points)])
    for circle in root.iter("circle"):
        assert 0 <= float(circle.get("cx", "")) <= FRAME.width
        assert 0 <= float(circle.get("cy", "")) <= FRAME.height


@given(st.lists(st.tuples(st.floats(40, 640), st.floats(20, 240)), min_size=1, max_size=25))
def test_labels_never_cover_one_another_or_leave_the_plot(
    points: list[tuple[float, float]],
) -> None:
    plot = Box(30, 10, 660, 260)
    placed = [
        label.box for label in place([(x, y, "a-model-name") for x, y in points], plot) if label
    ]
    assert all(plot.holds(box) for box in placed)
    assert not any(a.overlaps(b) for a, b in combinations(placed, 2))


def test_a_lone_point_gets_its_label() -> None:
    (label,) = place([(300, 100, "model")], Box(0, 0, 600, 200))
    assert label is not None
    assert label.anchor == "start"


@given(st.lists(positive, min_size=1, max_size=20), st.booleans())
def test_scales_hold_all_values_and_their_ticks(values: list[float], may_log: bool) -> None:
    scale = fit(values, 0, 100, may_log=may_log)
    assert all(0 <= scale.at(value) <= 100 for value in values)
    assert all(scale.low * 0.999999 <= tick <= scale.high * 1.000001 for tick in scale.ticks(5))


@given(positive, positive)
def test_a_scale_keeps_the_order(a: float, b: float) -> None:
    scale = fit([1e-4, 1e4], 0, 100, may_log=True)
    assert scale.log
    assert (a < b) == (scale.at(a) < scale.at(b)) or math.isclose(a, b)


@pytest.mark.parametrize(("low", "high"), [(0.0123, 0.0131), (0.38, 0.46), (0, 1), (1, 9000)])
def test_there_are_always_ticks_to_read(low: float, high: float) -> None:
    assert 2 <= len(Scale(low, high, 0, 100).ticks(5)) <= 8


def test_interval_bars_of_one_table_can_be_compared() -> None:
    scale = charts.interval_scale([0.4, 0.5, 2.0], 1.0)
    faster, slower = (
        ET.fromstring(str(charts.interval_bar(scale, v, v * 0.9, v * 1.1, 1.0)))  # noqa: S314
        for v in (0.5, 2.0)
    )
    at = [float(next(bar.iter("circle")).get("cx", "")) for bar in (faster, slower)]
    lines = [
        next(path for path in bar.iter("path") if path.get("class") == "reference").get("d")
        for bar in (faster, slower)
    ]
    assert at[0] < scale.at(1.0) < at[1]
    assert lines[0] == lines[1]


@pytest.mark.parametrize(("share", "part"), [(0.0, 0.0), (0.752, 67.7), (1.0, 90.0)])
def test_share_bars_fill_their_share(share: float, part: float) -> None:
    bar = ET.fromstring(str(charts.share_bar(share)))  # noqa: S314  our own output
    assert float(by_class(bar, "part")[0].get("width", "")) == pytest.approx(part, abs=0.05)
