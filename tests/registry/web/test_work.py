"""Where a file's work goes, drawn.

Shares add up, words and bars agree, hostile names are text, old records have no chart.
"""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from plugins.family import family
from zoo_registry.model.record import Measurement, OperatorCost, OperatorTime, Record
from zoo_registry.web.work import HEAVIEST, MOST, OperatorWork, kinds_of, work

FP32 = next(record for record in family() if record.variant == "fp32")


def cost(
    operator: str,
    macs: int = 0,
    *,
    skipped: int = 0,
    weights: int = 10,
    activations: int = 30,
    name: str = "out",
) -> OperatorCost:
    return OperatorCost(
        name=name,
        operator=operator,
        macs=macs,
        macs_skipped=skipped,
        weight_bytes=weights,
        activation_bytes=activations,
    )


COSTS = (
    cost("CONV_2D", 600, skipped=300),
    cost("CONV_2D", 200),
    cost("DEPTHWISE_CONV_2D", 200),
    cost("ADD", weights=0, activations=80),
)


def with_costs(*costs: OperatorCost) -> Record:
    return FP32.model_copy(update={"structure": FP32.structure.model_copy(update={"costs": costs})})


def shown(record: Record, measurements: tuple[Measurement, ...] = ()) -> OperatorWork:
    found = work(record, measurements)
    assert found is not None
    return found


def widths(svg: str, tone: str) -> list[float]:
    root = ET.fromstring(svg)  # noqa: S314  our own output; that it is well formed is the point
    bars = [group for group in root.iter("g") if group.get("class") == tone]
    return [float(next(iter(bar.iter("rect"))).get("width", "")) for bar in bars]


def test_a_row_a_type_heaviest_first_and_shares_add_up() -> None:
    kinds = kinds_of(COSTS)
    assert [kind.name for kind in kinds] == ["CONV_2D x 2", "ADD", "DEPTHWISE_CONV_2D"]
    for place in (0, 1):
        assert sum(kind.bars[place].share for kind in kinds) == pytest.approx(1)
    assert kinds[0].bars[0].share == pytest.approx(0.8)
    assert kinds[0].bars[0].hollow == pytest.approx(0.3)


def test_bars_are_as_long_as_their_shares() -> None:
    drawn = widths(str(shown(with_costs(*COSTS)).chart), "macs")
    assert drawn[0] / drawn[2] == pytest.approx(4, rel=0.01)


def test_zeros_that_are_skipped_are_said_and_drawn_hollow() -> None:
    found = shown(with_costs(*COSTS))
    assert "skip 30.0 % of the multiplications" in found.skipped
    assert 'class="hole"' in str(found.chart)
    plain = shown(with_costs(cost("CONV_2D", 10)))
    assert not plain.skipped
    assert "hole" not in str(plain.chart)


def test_many_types_are_summed_up_and_the_table_lists_the_heaviest_operators() -> None:
    costs = tuple(cost(f"OP_{index}", index, name=f"t{index}") for index in range(30))
    kinds = kinds_of(costs)
    assert len(kinds) == MOST
    assert sum(kind.bars[0].share for kind in kinds) == pytest.approx(1)
    heaviest = shown(with_costs(*costs)).heaviest
    assert len(heaviest) == HEAVIEST
    assert [row.cost.name for row in heaviest[:2]] == ["t29", "t28"]


def test_a_measured_profile_is_drawn_by_kernel() -> None:
    steps = tuple(
        OperatorTime(name=str(at), kind=kind, ms=ms)
        for at, (kind, ms) in enumerate([("F32 SPMM", 3.0), ("ADD", 1.0)])
    )
    measured = FP32.measurements[0].model_copy(
        update={"profile": steps, "device": "android:pixel", "when": datetime.now(UTC)}
    )
    found = shown(with_costs(*COSTS), (FP32.measurements[0], measured))
    assert [profile.title.startswith("android:pixel") for profile in found.profiles] == [True]
    assert "F32 SPMM" in str(found.profiles[0].chart)
    long, short = widths(str(found.profiles[0].chart), "time")
    assert long / short == pytest.approx(3, rel=0.01)


def test_hostile_names_are_text() -> None:
    found = shown(with_costs(cost('<script>"x"</script>', 5)))
    assert "<script>" not in str(found.chart)


def test_a_file_that_multiplies_nothing_is_drawn_too() -> None:
    assert widths(str(shown(with_costs(cost("ADD"))).chart), "bytes")


def test_records_from_before_have_no_chart_and_keep_their_bytes() -> None:
    assert work(with_costs(), ()) is None
    assert b'"costs"' not in with_costs().to_bytes()
    assert b'"profile"' not in with_costs().to_bytes()
