"""What a technique or a training may use: the data of a job by split, its settings, its progress bar, its reports."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.data_stage import load_raw, load_split, load_value_map
from zoo_builders.preprocess import ValueMap
from zoo_builders.specs import Train
from zoo_builders.stage import Job
from zoo_registry.model.files import write_bytes


@dataclass
class JobContext:
    """`techniques.Context` over a stage's job.

    Attributes:
        job: whose `data` input is read, and whose progress is reported.
        train: the base's training settings, for techniques that say nothing else.
        seed: of everything random; also decides the order of the batches.
        kept: reports of the techniques, written into the stage's `report.json` by whoever runs it.
    """

    job: Job
    train: Train
    seed: int
    kept: dict[str, Any] = field(default_factory=dict)
    _splits: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def arrays(self, split: str) -> tuple[Any, Any]:
        """Give (inputs float32 [N, ...], labels int64 [N]) of a split; read once."""
        if split not in self._splits:
            self._splits[split] = load_split(self.job.inputs["data"], split)
        return self._splits[split]

    def batches(self, split: str, *, batch_size: int, shuffle: bool) -> Any:
        """Give a `tf.data` dataset of (inputs float32, labels) batches, the last one possibly smaller.

        With `shuffle` every pass has another order; the seed alone decides it. Images stay as they are stored (uint8, mostly) until
        their batch is made.
        """
        images, labels = load_raw(self.job.inputs["data"], split)
        indices = tf.tensorflow.data.Dataset.range(len(labels))
        if shuffle:
            indices = indices.shuffle(len(labels), seed=self.seed, reshuffle_each_iteration=True)
        gather = _gather(images, labels, load_value_map(self.job.inputs["data"]))
        return indices.batch(batch_size).map(gather, num_parallel_calls=1, deterministic=True).prefetch(2)

    def report(self, done: int, total: int, note: str = "") -> None:
        """Move the progress bar."""
        self.job.progress(done, total, note)

    @property
    def scratch(self) -> Path | None:
        """A folder of this stage's own that outlives a killed run; None where nothing takes over."""
        return self.job.scratch

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Remember a JSON report under `name`."""
        self.kept[name] = dict(value)


def _gather(images: Any, labels: Any, values: ValueMap) -> Any:
    tensorflow = tf.tensorflow
    x, y = tensorflow.constant(np.ascontiguousarray(images)), tensorflow.constant(labels)
    scale, offset = np.asarray(values.scale, np.float32), np.asarray(values.offset, np.float32)
    return lambda index: (tensorflow.cast(tensorflow.gather(x, index), tensorflow.float32) * scale + offset, tensorflow.gather(y, index))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a report that people read: sorted keys, indented, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
