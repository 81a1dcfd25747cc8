"""The chart of what quantizing did to each layer.

Every layer has its row, numbers and words agree, hostile names are text.
"""

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from plugins.family import family, summaries
from zoo_client.page import page
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import LayerError, Quantization, Record, Trial
from zoo_registry.stores.reading import Release
from zoo_registry.web.artifact import artifact_page
from zoo_registry.web.layer_errors import MOST, chart, layer_errors

INT8 = next(record for record in family() if record.variant == "int8")


def error(
    layer: str, channels: float = 40.0, *, whole: float = 43.0, kept: bool = False
) -> LayerError:
    return LayerError(
        layer=layer,
        tensor=f"net/{layer}/Conv2D",
        operator="CONV_2D",
        rmse_over_scale=0.09,
        sqnr_db=whole,
        sqnr_channels_db=channels,
        kept_float=kept,
    )


def quantization(*layers: LayerError, search: tuple[Trial, ...] = ()) -> Quantization:
    return Quantization(
        engine="tensorflow",
        engine_version="2.21.0",
        split="calibration",
        examples=50,
        layers=layers,
        metric="top1",
        search=search,
    )


FOUND = quantization(
    error("stem"),
    error("drowned", 3.0, kept=True),
    error("poor", 8.0),
    search=(Trial(kept=0, drop=0.7), Trial(kept=1, drop=0.004)),
)


def rows(errors: list[LayerError]) -> dict[str, ET.Element]:
    # our own output; that it is well formed is the point
    root = ET.fromstring(str(chart(errors)))  # noqa: S314
    groups = [group for group in root.iter("g") if "layer" in group.get("class", "").split()]
    return {next(text.text or "" for text in group.iter("text")): group for group in groups}


def marks(group: ET.Element) -> dict[str, float]:
    return {circle.get("class", ""): float(circle.get("cx", "")) for circle in group.iter("circle")}


def test_a_row_a_layer_in_the_order_of_the_network_with_both_marks_on_one_scale() -> None:
    drawn = rows(list(FOUND.layers))
    assert list(drawn) == ["stem", "drowned", "poor"]
    at = [marks(drawn[name])["channels"] for name in ("drowned", "poor", "stem")]
    assert at == sorted(at)
    assert len({marks(group)["whole"] for group in drawn.values()}) == 1
    assert {name: group.get("class") for name, group in drawn.items()} == {
        "stem": "layer even",
        "drowned": "layer kept",
        "poor": "layer bad",
    }


def test_hostile_names_are_text() -> None:
    drawn = rows([error('<script>"x"</script>')])
    assert list(drawn) == ['<script>"x"</script>']


def test_of_many_layers_the_worst_are_drawn_and_all_are_listed() -> None:
    many = [error(f"layer{index}", float(index)) for index in range(MOST + 10)]
    found = layer_errors(quantization(*many))
    assert found is not None
    assert (len(found.rows), found.left_out) == (MOST + 10, 10)
    assert "layer0" in found.chart
    assert f"layer{MOST + 9}" not in found.chart


@pytest.mark.parametrize("nothing", [None, quantization()])
def test_nothing_measured_is_nothing_shown(nothing: Quantization | None) -> None:
    assert layer_errors(nothing) is None


def test_the_page_says_what_was_left_in_float_and_what_that_brought() -> None:
    record = INT8.model_copy(update={"quantization": FOUND})
    [summary] = summaries((record,))
    shown = artifact_page(record, summary, record.measurements, [summary]).errors
    assert shown is not None
    assert (
        shown.search
        == "Left in float, found in 2 trials: drowned. top-1 falls by 70.0 points with all layers"
        " in integers, by 0.4 with these in float."
    )
    assert "50 examples of calibration" in shown.about


def printed(record: Record) -> str:
    console = Console(file=io.StringIO(), width=160, record=True)
    data = record.to_bytes()
    console.print(page(Release(record, data, Digest.of(data), "2026-01-02T03:04:05Z")))
    return console.export_text()


def test_zoo_show_prints_the_worst_layers_first() -> None:
    text = printed(INT8.model_copy(update={"quantization": FOUND}))
    assert text.index("drowned") < text.index("poor")
    assert "Quantization error" in text
    assert "Quantization error" not in printed(INT8)


def test_a_record_of_before_is_read_and_one_with_errors_survives_the_journey() -> None:
    record = INT8.model_copy(update={"quantization": FOUND})
    assert Record.read(record.to_bytes()) == record
    old = INT8.model_dump(mode="json")
    del old["quantization"]
    assert Record.written(old).quantization is None
