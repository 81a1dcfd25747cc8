"""Stage `data`: a source's examples become the manifest's splits.

Preprocessed and stored as plain arrays (see `data.stored`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.data import audio_features, front_end, preprocess, report, splits
from zoo_builders.data.examples import BadData, Dataset, Examples, refuse_no_numbers
from zoo_builders.data.front_end import FrontEnd
from zoo_builders.data.sources import SOURCES
from zoo_builders.stage import Job
from zoo_registry.model.data_report import DataReport

TRAIN = "train"


def run(job: Job) -> None:
    """Write the splits and `dataset.json` into `job.out`.

    Reads params `source`, `args`, `splits`, `preprocess`, `max_overlap`; files by the roles
    the source gives them.

    Raises:
        BadData: a file does not hold what it should, a value is no number, or `test` shares too
            many examples with what shapes the file.
        BadSplit: an expression asks for what the source does not have.
    """
    source = SOURCES.get(str(job.params["source"]))
    dataset = source.load(
        source.params.model_validate(job.params["args"]), job.files, job.progress
    ).checked()
    whole = list(job.params["preprocess"])
    steps = preprocess.outside(whole)
    train: Any = None
    examples: dict[str, dict[str, Any]] = {}
    seen = report.Seen(dataset.classes)
    for name, expression in job.params["splits"].items():
        chosen = _chosen(dataset, str(expression))
        images, labels = chosen.images, chosen.labels
        images = preprocess.geometry(steps, images, dataset.sample_rate)
        refuse_no_numbers(images, f"split {name!r} after preprocessing")
        _write_array(job.out / f"{name}_x.npy", images)
        _write_array(job.out / f"{name}_y.npy", labels)
        examples[name] = {"expression": str(expression), "examples": len(images)}
        seen.add(name, Examples(images, labels, chosen.names))
        train = images if name == TRAIN else train
    told = _told(job, seen, dataset.notes)
    shape = list(images.shape[1:])
    held = _held(train if preprocess.has_features(steps) else None) or dataset.value_range
    front = front_end.of(whole, shape[0], dataset.sample_rate)
    values = front_end.PCM if front else preprocess.value_map(steps, held, train)
    inside = {"front_end": _front_end(front, whole, train)} if front else {}
    _describe(
        job,
        dataset,
        {
            "shape": shape,
            "splits": examples,
            "value_map": asdict(values),
            "value_range": list(held),
            "report": told.model_dump(mode="json"),
            **inside,
        },
    )


def _front_end(front: FrontEnd, steps: Sequence[Mapping[str, Any]], train: Any) -> dict[str, Any]:
    """Say what the file makes of a recording.

    What the value steps come to is measured on the features of `train`.
    """
    made = (
        audio_features.features(front.params, train, front.sample_rate)
        if front.mapped and train is not None
        else None
    )
    held = _held(made)
    if front.mapped and held is None:
        raise BadData(
            "values of features are measured on the split called train, and there is none",
            hint="drop the steps behind them",
        )
    return front.told(preprocess.value_map(steps, held or (0.0, 1.0), made))


def _held(features: Array | None) -> tuple[float, float] | None:
    """Give the lowest and highest feature, or None where there are none."""
    return (
        None
        if features is None or not features.size
        else (float(features.min()), float(features.max()))
    )


def _chosen(dataset: Dataset, expression: str) -> Examples:
    """Give the examples of one split, before geometry."""
    counts = {split: len(held.labels) for split, held in dataset.splits.items()}
    chosen = splits.select(splits.parse(expression), counts)
    parts = [(dataset.splits[split], slice(r.start, r.stop)) for split, r in chosen]
    return Examples(
        np.concatenate([examples.images[part] for examples, part in parts]),
        np.concatenate([examples.labels[part] for examples, part in parts]),
        tuple(name for examples, part in parts for name in examples.names[part]),
    )


def _told(job: Job, seen: report.Seen, notes: Sequence[str]) -> DataReport:
    """Say what the splits share and lack; refuse what is shared too much."""
    found = seen.report(notes)
    limit = float(job.params.get("max_overlap", report.MAX_OVERLAP))
    report.refuse(found.overlaps, limit, job.params["splits"], seen)
    for line in found.words:
        job.say(line)
    return found


def _write_array(path: Path, array: Array) -> None:
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def _describe(job: Job, dataset: Dataset, measured: Mapping[str, Any]) -> None:
    source = str(job.params["source"])
    shape = next(iter(dataset.splits.values())).images.shape[1:]
    about = {
        "name": job.params.get("name") or source,
        "source": source,
        "dataset_sha256": dataset.digest,
        "classes": list(dataset.classes),
        "preprocess": preprocess.completed(
            preprocess.outside(job.params["preprocess"]), shape, dataset.sample_rate
        ),
        **measured,
    }
    (job.out / "dataset.json").write_text(
        json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
