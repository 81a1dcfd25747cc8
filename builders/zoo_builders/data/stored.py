"""How the data stage stores examples, and how every other stage reads them.

    <split>_x.npy    images [N, H, W, C] or recordings [N, samples, 1, 1] after the geometric steps,
                     uint8, int16 or float32
    <split>_y.npy    labels, int64 [N]; -1 throughout where the source has no classes
    dataset.json     {name, source, dataset_sha256, classes, shape, value_range, value_map {scale,
                     offset}, preprocess,
                      splits {name: {expression, examples}}, front_end (see
                      `front_end.FrontEnd.told`, where features are made inside), report (see
                      `report`: what splits share and lack, and how files were read)}

What the model sees is `float32(x) * scale + offset`; `load_split` gives just that. `dataset_sha256`
is over the source's content, so the same data from another place is the same dataset. `value_range`
bounds what is stored; of features made here, what `train` holds.
"""

import json
from pathlib import Path
from typing import Any

from zoo_builders.data.examples import BadData
from zoo_builders.data.preprocess import ValueMap
from zoo_registry.model.errors import UnknownPlugin


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
        raise UnknownPlugin(
            f"the data has no split {split!r}",
            hint=f"known: {', '.join(sorted(load_about(folder)['splits']))}",
        )
    images = np.load(folder / f"{split}_x.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / f"{split}_y.npy", allow_pickle=False)
    if len(images) != len(labels):
        raise BadData(f"split {split!r}: {len(images)} images and {len(labels)} labels")
    return images, labels


def load_value_map(folder: Path) -> ValueMap:
    """Give the map from stored values to what the model expects."""
    return ValueMap(**load_about(folder)["value_map"])


def load_split(folder: Path, split: str) -> tuple[Any, Any]:
    """Give the inputs and labels of a split, all in memory.

    Inputs are float32 [N, H, W, C] as the model expects them, labels int64 [N].

    Raises:
        UnknownPlugin: the manifest names no such split.
    """
    images, labels = load_raw(folder, split)
    return load_value_map(folder)(images), labels
