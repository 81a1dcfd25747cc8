"""The results page says what the records say, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_builders.lab import protocol
from zoo_builders.reports.page import load, render
from zoo_builders.reports.published_results import Published
from zoo_client.cli import run
from zoo_registry.model.errors import NotFound
from zoo_registry.model.formatting import TIMES
from zoo_registry.model.record import Record


@pytest.fixture
def builds(tmp_path: Path, make_record: Callable[..., Record]) -> Path:
    for variant, version in (
        ("fp32", "1.0.0"),
        ("int8", "1.0.0"),
        ("int8", "1.10.0"),
        ("int8", "1.9.0"),
    ):
        record = make_record(variant=variant, version=version)
        folder = tmp_path / "builds" / record.name / version
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(record.to_bytes())
    return tmp_path / "builds"


def test_the_page_holds_every_number_of_the_newest_records_with_its_conditions(
    builds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "docs" / "results.md"
    assert run(["results", "--builds", str(builds), "--out", str(out)]) == 0
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


def test_without_builds_it_says_which_command_makes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results", "--builds", str(tmp_path)]) == 1
    assert "zoo build MANIFEST" in capsys.readouterr().err
    with pytest.raises(NotFound):
        load(tmp_path)


def test_models_are_chosen_by_name(builds: Path) -> None:
    (model,) = {record.model for record in load(builds)}
    assert load(builds, [model]) == load(builds)
    with pytest.raises(NotFound):
        load(builds, ["other"])


def test_a_record_that_was_not_measured_is_listed_without_times(
    make_record: Callable[..., Record],
) -> None:
    page = render([make_record().model_copy(update={"measurements": ()})], "p")
    assert "- int8: not benchmarked: its record holds no session, and no failure of one." in page
    assert "median ms |" not in page
    remarked = make_record().model_copy(update={"measurements": (), "remarks": ("slow kernels",)})
    assert "Its record remarks: slow kernels." in render([remarked], "p")


def test_what_a_device_cannot_run_is_said_with_its_reason(
    make_record: Callable[..., Record],
) -> None:
    record = make_record()
    row = {
        "file_sha256": record.file.sha256,
        "device": "web-wasm",
        "threads": 1,
        "kind": "interface",
        "message": "no int8 inputs",
    }
    told = make_record(not_measured=[{**row, "when": record.measurements[0].when}])
    assert "- int8 on `web-wasm`: no int8 inputs" in render([told], "p")


def test_rows_under_an_older_protocol_say_so(make_record: Callable[..., Record]) -> None:
    def today(record: Record) -> Record:
        now = tuple(m.model_copy(update={"protocol": protocol.NAME}) for m in record.measurements)
        return record.model_copy(update={"measurements": now})

    base, old = make_record(variant="fp32"), make_record()
    assert f"older protocol than today's `{protocol.NAME}`" in render([old], "p")
    assert f"{TIMES} 0.50 `host-cpu` (older protocol)" in render([base, old], "p")
    assert "older protocol" not in render([today(base), today(old)], "p")


def test_fidelity_carries_split_and_count_and_whom_the_split_flatters(
    make_record: Callable[..., Record],
) -> None:
    def one(variant: str, technique: str) -> Record:
        fidelity = {
            "versus_sha256": make_record().file.sha256,
            "split": "calibration",
            "examples": 105,
            "sqnr_db": 24.6,
        }
        recipe = [
            {"technique": technique, "params": {"dtype": variant, "calibration": "calibration"}}
        ]
        return make_record(
            variant=variant, fidelity={**fidelity, "top1_agreement": 104 / 105}, recipe=recipe
        )

    page = render(
        [make_record(variant="fp32"), one("float16", "quantize"), one("int8", "quantize")], "p"
    )
    assert (
        "split `calibration`, 105 examples. These examples also fixed the ranges of int8:" in page
    )
    assert "| 104/105 = 99.0%, 25 dB |" in page


def test_the_worst_class_has_its_name_and_interval(make_record: Callable[..., Record]) -> None:
    (top1,) = make_record().metrics
    classes = [
        {"label": "cat", "examples": 30, "value": 0.5},
        {"label": "dog", "examples": 30, "value": 0.9},
    ]
    common = {
        "dataset": "digits",
        "dataset_sha256": top1.dataset_sha256,
        "split": "test",
        "examples": 60,
    }
    worst = {**common, "metric": "worst_recall", "value": 0.5, "ci95": (0.33, 0.67)}
    macro = {
        **common,
        "metric": "macro_recall",
        "value": 0.7,
        "ci95": (0.6, 0.8),
        "classes": classes,
    }
    assert "| cat: 50.00% (33.00% to 67.00%) |" in render(
        [make_record(metrics=[top1, macro, worst])], "p"
    )
    assert "worst class (95 %)" not in render([make_record()], "p")


def test_the_overview_chooses_by_the_records_and_leaves_out_what_costs_too_much(
    make_record: Callable[..., Record],
) -> None:
    def one(
        variant: str, top1: float, packed: int, verdict: str, medians: dict[str, float]
    ) -> Record:
        made = make_record(variant=variant, top1=top1, medians=medians)
        timed = tuple(
            m.model_copy(update={"verdict": verdict, "protocol": protocol.NAME})
            for m in made.measurements
        )
        return made.model_copy(
            update={
                "measurements": timed,
                "file": made.file.model_copy(update={"size_gzip": packed}),
            }
        )

    page = render(
        [
            one("fp32", 0.97, 1000, "baseline", {"host-cpu": 4.0}),
            one("bad", 0.9, 10, "faster", {"host-cpu": 0.4}),
            one("fast", 0.965, 500, "faster", {"host-cpu": 1.0, "web-wasm": 2.0}),
            one("small", 0.96, 100, "within noise", {"host-cpu": 3.9}),
        ],
        "p",
    )
    top = page.partition("**Columns.**")[0]
    assert (
        f"| `fast` | fastest on `host-cpu`, fastest on `web-wasm` | -0.50 points | {TIMES} 0.50 |"
        in top
    )
    assert (
        f"| `small` | smallest | -1.00 points | {TIMES} 0.10 | {TIMES} 0.97 `host-cpu` (within"
        " noise) |" in top
    )
    assert "`bad`" not in top
    assert "[digits-cnn](#digits-cnn-100)" in top
    assert "(latency.md)" in page


def test_notes_of_a_model_stand_in_its_section(make_record: Callable[..., Record]) -> None:
    record = make_record()
    others = Published(notes={record.model: ("The same speakers as in training.",)})
    assert (
        "The same speakers as in training."
        in render([record], "p", others).partition(f"## {record.model}")[2]
    )


def test_what_became_of_the_sparse_path_is_said_with_its_reason(
    make_record: Callable[..., Record],
) -> None:
    record = make_record()
    measured = record.measurements[0].model_copy(
        update={"sparse_reason": "x86 has none", "nodes_total": 0, "nodes_delegated": 0}
    )
    structure = record.structure.model_copy(update={"densify": 3})
    page = render(
        [record.model_copy(update={"measurements": (measured,), "structure": structure})], "results"
    )
    assert f"- {record.variant} on `{measured.device}`: none: x86 has none" in page
    assert "| not told |" in page
    dense = record.model_copy(
        update={
            "measurements": (measured,),
            "structure": record.structure.model_copy(update={"densify": 0}),
        }
    )
    assert "Sparse path:" not in render([dense], "results")
