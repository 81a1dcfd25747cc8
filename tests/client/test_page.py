"""One artifact on the terminal.

Classes that a model serves worst, and files that only fidelity speaks of.
"""

import io
from typing import Any

from rich.console import Console

from plugins.records import WHEN, make, measured
from zoo_client.page import page
from zoo_registry.model.data_report import Absent, DataReport, Overlap
from zoo_registry.model.digest import Digest
from zoo_registry.stores.reading import Release

FIDELITY = {"versus_sha256": "ab" * 32, "split": "calibration", "examples": 105, "sqnr_db": 21.5}


def printed(told: DataReport | None = None, **changes: Any) -> str:
    record = make(**changes).model_copy(update={"data": told} if told else {})
    data, out = record.to_bytes(), io.StringIO()
    Console(file=out, width=160, no_color=True).print(
        page(Release(record, data, Digest.of(data), "2026-01-02T03:04:05Z"))
    )
    return out.getvalue()


def test_the_classes_served_worst_are_named() -> None:
    classes = [
        {"label": f"word {index}", "examples": 30, "value": 0.5 + index / 10} for index in range(5)
    ]
    metric = {
        "dataset": "words",
        "dataset_sha256": "cd" * 32,
        "split": "test",
        "examples": 150,
        "metric": "macro_recall",
        "value": 0.7,
        "ci95": [0.6, 0.8],
        "classes": classes,
    }
    shown = printed(metrics=[metric])
    assert (
        "macro_recall: lowest for word 0 50.00% of 30, word 1 60.00% of 30, word 2 70.00% of 30"
        in shown
    )
    assert "word 3" not in shown


def test_what_is_to_be_known_of_the_data_is_told() -> None:
    shared = Overlap(split="test", other="train", examples=3, share=0.008)
    absent = Absent(split="test", classes=("eel",))
    shown = printed(DataReport(overlaps=(shared,), absent=(absent,), notes=("1 picture: x",)))
    for line in (
        "3 examples of test (0.8%) are also in train",
        "no example of eel is in test",
        "1 picture: x",
    ):
        assert line in shown


def test_without_metrics_fidelity_is_told() -> None:
    scores = printed(metrics=[], fidelity={**FIDELITY, "top1_agreement": 0.98})
    assert (
        "against float32: same top-1 for 98.00% of calibration (105 examples), SQNR 21.5 dB"
        in scores
    )
    values = printed(metrics=[], fidelity={**FIDELITY, "top1_agreement": None})
    assert "against float32: on calibration (105 examples), SQNR 21.5 dB" in values


def test_a_device_that_cannot_run_a_file_is_named_with_or_without_measurements() -> None:
    data = b"a file with int8 inputs"
    row = {
        "file_sha256": Digest.of(data),
        "device": "web-wasm",
        "threads": 1,
        "kind": "interface",
        "message": "no int8",
        "when": WHEN,
    }
    for measurements in ((), (measured(Digest.of(data), sparse_reason="no zeros"),)):
        shown = printed(data=data, not_measured=[row], measurements=measurements)
        assert "not runnable on web-wasm: no int8" in shown
        assert ("sparse path none: no zeros" in shown) == bool(measurements)


SOUND = {"sample_rate": 8000, "samples": 4000, "front_end": {"mfcc": {"bins": 40}}}


def test_what_a_file_that_hears_itself_wants_is_told_here_and_on_the_card() -> None:
    from zoo_registry.model.card import for_registry

    tensors = {
        kind: [{"name": kind, "shape": [1, 4000, 1, 1], "dtype": "float32"}]
        for kind in ("inputs", "outputs")
    }
    wanted = "a recording of 0.5 s: 4,000 samples at 8,000 Hz, mono, -1 to 1 (mfcc inside the file)"
    assert wanted in printed(signature={**tensors, "sound": SOUND})
    assert f"Input: {wanted}." in for_registry(make(signature={**tensors, "sound": SOUND}))
    assert b'"sound"' not in make(signature=tensors).to_bytes(), (
        "records written before this was known keep their bytes"
    )
