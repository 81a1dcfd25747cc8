"""Stage `data`: a source's examples become the manifest's splits, preprocessed and stored as plain arrays.

    <split>_x.npy    images [N, H, W, C] or recordings [N, samples, 1, 1] after the geometric steps, uint8, int16 or float32
    <split>_y.npy    labels, int64 [N]; -1 throughout where the source has no classes
    dataset.json     {name, source, dataset_sha256, classes, shape, value_range, value_map {scale, offset}, preprocess,
                      splits {name: {expression, examples}}, front_end (see `front_end.FrontEnd.told`, where features are made inside)}

What the model sees is `float32(x) * scale + offset`; `load_split` gives just that. `dataset_sha256` is over the source's content,
so the same data from another place is the same dataset. `value_range` bounds what is stored; of features made here, what `train` holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_builders import audio, front_end, preprocess, splits
from zoo_builders.data import SOURCES, BadData, Dataset
from zoo_builders.front_end import FrontEnd
from zoo_builders.preprocess import ValueMap
from zoo_builders.stage import Job
from zoo_registry.model.errors import UnknownPlugin

if TYPE_CHECKING:
    import numpy as np

TRAIN = "train"


def run(job: Job) -> None:
    """Write the splits and `dataset.json` into `job.out`.

    Reads params `source`, `args`, `splits`, `preprocess`; files by the roles the source gives them.

    Raises:
        BadData: a file does not hold what it should.
        BadSplit: an expression asks for what the source does not have.
    """
    source = SOURCES.get(str(job.params["source"]))
    dataset = source.load(source.params.model_validate(job.params["args"]), job.files, job.progress).checked()
    whole = list(job.params["preprocess"])
    steps = preprocess.outside(whole)
    train: Any = None
    examples: dict[str, dict[str, Any]] = {}
    for name, expression in job.params["splits"].items():
        images = _store(job, dataset, name, str(expression))
        images = preprocess.geometry(steps, images, dataset.sample_rate)
        _write_array(job.out / f"{name}_x.npy", images)
        examples[name] = {"expression": str(expression), "examples": len(images)}
        train = images if name == TRAIN else train
    shape = list(images.shape[1:])
    held = _held(train if preprocess.has_features(steps) else None) or dataset.value_range
    front = front_end.of(whole, shape[0], dataset.sample_rate)
    values = front_end.PCM if front else preprocess.value_map(steps, held, train)
    inside = {"front_end": _front_end(front, whole, train)} if front else {}
    _describe(job, dataset, {"shape": shape, "splits": examples, "value_map": asdict(values), "value_range": list(held), **inside})


def _front_end(front: FrontEnd, steps: Sequence[Mapping[str, Any]], train: Any) -> dict[str, Any]:
    """Say what the file makes of a recording; what the value steps come to is measured on the features of `train`."""
    made = audio.features(front.params, train, front.sample_rate) if front.mapped and train is not None else None
    held = _held(made)
    if front.mapped and held is None:
        raise BadData("values of features are measured on the split called train, and there is none", hint="drop the steps behind them")
    return front.told(preprocess.value_map(steps, held or (0.0, 1.0), made))


def _held(features: "np.ndarray[Any, Any] | None") -> tuple[float, float] | None:
    """Give the lowest and highest feature, or None where there are none."""
    return None if features is None or not features.size else (float(features.min()), float(features.max()))


def _store(job: Job, dataset: Dataset, name: str, expression: str) -> "np.ndarray[Any, Any]":
    """Write the labels of one split and give its images, before geometry."""
    import numpy as np

    counts = {split: len(held.labels) for split, held in dataset.splits.items()}
    chosen = splits.select(splits.parse(expression), counts)
    _write_array(job.out / f"{name}_y.npy", np.concatenate([dataset.splits[s].labels[r.start : r.stop] for s, r in chosen]))
    images: np.ndarray[Any, Any] = np.concatenate([dataset.splits[s].images[r.start : r.stop] for s, r in chosen])
    return images


def _write_array(path: Path, array: "np.ndarray[Any, Any]") -> None:
    import numpy as np

    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def _describe(job: Job, dataset: Dataset, measured: Mapping[str, Any]) -> None:
    source = str(job.params["source"])
    shape = next(iter(dataset.splits.values())).images.shape[1:]
    about = {
        "name": job.params.get("name") or source,
        "source": source,
        "dataset_sha256": dataset.digest,
        "classes": list(dataset.classes),
        "preprocess": preprocess.completed(preprocess.outside(job.params["preprocess"]), shape, dataset.sample_rate),
        **measured,
    }
    (job.out / "dataset.json").write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_about(folder: Path) -> dict[str, Any]:
    """Read `dataset.json` of a data stage's result."""
    about: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return about


def labelled(folder: Path) -> bool:
    """Whether the examples of a data stage's result have labels."""
    return bool(load_about(folder)["classes"])


def load_raw(folder: Path, split: str) -> tuple[Any, Any]:
    """Give (images as stored, memory-mapped; labels int64) of a split.

    Raises:
        UnknownPlugin: the manifest names no such split; the hint lists those it does.
    """
    import numpy as np

    if not (folder / f"{split}_x.npy").is_file():
        raise UnknownPlugin(f"the data has no split {split!r}", hint=f"known: {', '.join(sorted(load_about(folder)['splits']))}")
    images = np.load(folder / f"{split}_x.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / f"{split}_y.npy", allow_pickle=False)
    if len(images) != len(labels):
        raise BadData(f"split {split!r}: {len(images)} images and {len(labels)} labels")
    return images, labels


def load_value_map(folder: Path) -> ValueMap:
    """Give the map from stored values to what the model expects."""
    return ValueMap(**load_about(folder)["value_map"])


def load_split(folder: Path, split: str) -> tuple[Any, Any]:
    """Give (inputs float32 [N, H, W, C] as the model expects them; labels int64 [N]) of a split, all in memory.

    Raises:
        UnknownPlugin: the manifest names no such split.
    """
    images, labels = load_raw(folder, split)
    return load_value_map(folder)(images), labels
