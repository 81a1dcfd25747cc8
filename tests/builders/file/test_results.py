"""The results page says what the records say, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_builders.results import load, main, render
from zoo_registry.model.errors import NotFound
from zoo_registry.model.record import Record


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
    assert f"](results-{records[0].model}.svg)" in page


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
    page = render([make_record().model_copy(update={"measurements": ()})], "p")
    assert "not measured" in page
    assert "n/a" in page


def test_what_became_of_the_sparse_path_is_said_with_its_reason(make_record: Callable[..., Record]) -> None:
    record = make_record()
    measured = record.measurements[0].model_copy(update={"sparse_reason": "x86 has none", "nodes_total": 0, "nodes_delegated": 0})
    structure = record.structure.model_copy(update={"densify": 3})
    page = render([record.model_copy(update={"measurements": (measured,), "structure": structure})], "results")
    assert f"- {record.variant} on `{measured.device}`: none: x86 has none" in page
    assert "| not told |" in page
    dense = record.model_copy(update={"measurements": (measured,), "structure": record.structure.model_copy(update={"densify": 0})})
    assert "Sparse path:" not in render([dense], "results")
