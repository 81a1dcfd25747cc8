"""What a technique or a training may use.

The data of a job by split, its settings, its progress bar, its reports.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from zoo_builders import finite, tf
from zoo_builders.data.preprocess import ValueMap
from zoo_builders.data.stored import load_raw, load_split, load_value_map
from zoo_builders.stage import Job
from zoo_builders.training.batches import Examples, order, passes
from zoo_builders.training.context import Context
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import write_bytes

FLOAT_BUDGET = 1 << 30
"""A split that takes no more bytes as float32 is held as such while training.

A larger one is mapped batch by batch.
"""


@dataclass
class JobContext(Context):
    """A `Context` over a stage's job.

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
    _kept: dict[str, Examples] = field(default_factory=dict)

    def arrays(self, split: str) -> tuple[Any, Any]:
        """Give (inputs float32 [N, ...], labels int64 [N]) of a split; read once."""
        if split not in self._splits:
            self._splits[split] = load_split(self.job.inputs["data"], split)
        return self._splits[split]

    def batches(self, split: str, *, batch_size: int, shuffle: bool, epoch: int = 0) -> Any:
        """Give a `tf.data` dataset of (inputs float32, labels) batches.

        The last one possibly smaller.

        With `shuffle` in the order that training has in `epoch`; the seed alone decides it.
        """
        examples = self._examples(split)
        data = tf.tensorflow.data.Dataset
        indices = (
            data.from_tensor_slices(order(self.seed, epoch, examples.count))
            if shuffle
            else data.range(examples.count)
        )
        return (
            indices.batch(batch_size)
            .map(examples.take, num_parallel_calls=1, deterministic=True)
            .prefetch(2)
        )

    @override
    def passes(self, train: Train, *, epoch: int, step: int) -> Any:
        return passes(self._examples("train"), train, self.seed, epoch=epoch, step=step)

    def _examples(self, split: str) -> Examples:
        if split not in self._kept:
            images, labels = load_raw(self.job.inputs["data"], split)
            self._kept[split] = _in_memory(images, labels, load_value_map(self.job.inputs["data"]))
        return self._kept[split]

    @override
    def report(self, done: int, total: int, note: str = "") -> None:
        self.job.progress(done, total, note)

    @property
    @override
    def scratch(self) -> Path | None:
        return self.job.scratch

    @override
    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        self.kept[name] = dict(value)


def _in_memory(images: Any, labels: Any, values: ValueMap) -> Examples:
    """Hold a split as float32 where that fits `FLOAT_BUDGET` (an epoch is then a quarter faster).

    Else as it is stored.
    """
    tensorflow = tf.tensorflow
    scale, offset = np.asarray(values.scale, np.float32), np.asarray(values.offset, np.float32)
    shape = tuple(images.shape[1:])
    y = tensorflow.constant(labels)
    if images.size * 4 <= FLOAT_BUDGET:
        floats = np.array(images, np.float32)
        floats *= scale
        floats += offset
        x = tensorflow.constant(floats)
        return Examples(
            lambda index: (tensorflow.gather(x, index), tensorflow.gather(y, index)),
            len(labels),
            shape,
        )
    stored = tensorflow.constant(np.ascontiguousarray(images))

    def take(index: Any) -> tuple[Any, Any]:
        return tensorflow.cast(
            tensorflow.gather(stored, index), tensorflow.float32
        ) * scale + offset, tensorflow.gather(y, index)

    return Examples(take, len(labels), shape)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a report that people read: sorted keys, indented, whole or not at all.

    Raises:
        BuildFailed: a value is NaN or infinite; with its path.
    """
    if wrong := finite.path_in(dict(value)):
        raise BuildFailed(f"{path.name}: {wrong} is no number, and a report holds numbers only")
    write_bytes(
        path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
    )
