"""What the benchmark of agreement measured is shown for the very files it was measured on.

And for no others without a word.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.records import make
from zoo_builders.reports import float_agreement
from zoo_builders.reports.float_agreement import COMMAND, Agreeing, Agreement, Images
from zoo_builders.reports.page import render
from zoo_builders.reports.published_results import Published
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.record import Record

ROOT = Path(__file__).parents[3]


def family() -> list[Record]:
    fidelity = {
        "versus_sha256": make(variant="fp32").file.sha256,
        "split": "calibration",
        "examples": 100,
        "sqnr_db": 20,
    }
    int8 = make(variant="int8", fidelity={**fidelity, "top1_agreement": 0.99}, metrics=[])
    return [make(variant="fp32", technique=None, metrics=[]), int8]


def measured(base: Record, int8: Record) -> Agreement:
    rows = tuple(
        Agreeing(variant=r.variant, sha256=r.file.sha256, same=same, decided_same=40, sqnr_db=17.2)
        for r, same in ((base, 100), (int8, 83))
    )
    images = Images(
        name="strange",
        what="images of elsewhere",
        examples=100,
        margin=0.1,
        decided=41,
        lead=0.07,
        rows=rows,
    )
    return Agreement(
        model=base.model,
        baseline=base.file.sha256,
        command=COMMAND,
        when=datetime(2026, 1, 2, tzinfo=UTC),
        sets=(images,),
    )


def test_the_page_gives_counts_intervals_and_how_sure_float_is() -> None:
    base, int8 = family()
    page = "\n".join(float_agreement.page(measured(base, int8), base.model, [base, int8]))
    assert (
        "`strange`: images of elsewhere. On them float32 leads by 10 % of probability or more on 41"
        " of 100" in page
    )
    assert "its median lead is 7 %" in page
    assert "| int8 | 83/100 = 83.0% (74.5% to 89.1%) | 40/41 = 97.6% | 17 dB |" in page
    assert "| fp32 |" not in page
    assert "again" not in page
    assert float_agreement.page(measured(base, int8), "other", [base, int8]) == []


def test_rows_of_other_files_say_so() -> None:
    base, int8 = family()
    other = make(variant="int8", data=b"built again")
    assert (
        "another file than the one above: run `python benchmarks/agreement.py` again"
        in "\n".join(float_agreement.page(measured(base, int8), base.model, [base, other]))
    )
    moved = make(variant="fp32", data=b"trained again")
    assert "another float file" in "\n".join(
        float_agreement.page(measured(base, int8), base.model, [moved, int8])
    )


def test_the_agreement_asked_of_a_variant_is_judged_on_the_files_it_was_measured_on() -> None:
    base, int8 = family()
    found = measured(base, int8)
    (held,) = float_agreement.judged(found, base.model, [base, int8], {"int8": 0.8})
    (lost,) = float_agreement.judged(found, base.model, [base, int8], {"int8": 0.9})
    assert (held.verdict, lost.verdict) == ("held", "not held")
    assert (
        "`strange` 83/100 = 83.0% (74.5% to 89.1%); of the 17 others float32 was decided on 1."
        in lost.text
    )
    (stale,) = float_agreement.judged(
        found, base.model, [base, make(variant="int8", data=b"built again")], {"int8": 0.8}
    )
    assert (stale.verdict, COMMAND in stale.text) == ("not measured", True)
    page = render([base, int8], "results", Published(agreement={base.model: {"int8": 0.9}}), found)
    assert f"- **not held**: {lost.text}" in page


def test_the_overview_takes_the_images_that_fixed_nothing_where_they_were_measured() -> None:
    base, int8 = family()
    assert "same class on 99.0% of 100 (`calibration`)" in render([base, int8], "results")
    told = render([base, int8], "results", measured=measured(base, int8))
    assert "none is close enough to float" in told
    assert "same class on 99.0%" not in told


def test_the_file_is_written_and_read_and_a_wrong_one_refused(tmp_path: Path) -> None:
    found = measured(*family())
    float_agreement.save(found, tmp_path / "agreement.json")
    assert float_agreement.load(tmp_path / "agreement.json") == found
    assert float_agreement.load(tmp_path / "none.json") is None
    (tmp_path / "agreement.json").write_text('{"model": "x"}')
    with pytest.raises(WrongUse, match="baseline"):
        float_agreement.load(tmp_path / "agreement.json")


def test_the_committed_measurement_is_readable_and_of_both_sets() -> None:
    found = float_agreement.load(ROOT / "docs/agreement.json")
    assert found is not None
    assert [images.name for images in found.sets] == ["photographs", "cifar10"]
    for images in found.sets:
        (exact,) = [row for row in images.rows if row.sha256 == found.baseline]
        assert exact.same == images.examples
