"""`drawn`: numbers drawn from a seed, without labels, for a file whose data nobody here has.

They show that a file runs and how fast, and nothing of how good it is: no accuracy can be measured
on them. Uniform from `low` to `high`; two splits, `train` and `test`, drawn apart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from zoo_builders.data.examples import UNLABELLED, Dataset, Examples, Report
from zoo_builders.data.sources import SOURCES, Source
from zoo_builders.spec import Spec

Size = Annotated[int, Field(ge=1, le=1 << 24)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class DrawnArgs(Spec):
    """What `data.args` says about `drawn`."""

    shape: tuple[Size, Size, Size] = Field(
        description="of one example, [height, width, channels]; other shapes with sizes of 1"
    )
    examples: Annotated[int, Field(ge=1, le=4096)] = Field(default=32, description="in each split")
    low: Finite = 0.0
    high: Finite = 1.0
    whole: bool = Field(default=False, description="whole numbers only, both ends among them")
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _rises(self) -> "DrawnArgs":
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found {self.low} and {self.high}")
        return self


def load(args: DrawnArgs, _files: Mapping[str, Path], report: Report) -> Dataset:
    """Draw both splits."""
    import numpy as np

    report(0, 1, "drawn")
    random, size = np.random.default_rng(args.seed), (args.examples, *args.shape)
    splits = {}
    for name in ("train", "test"):
        values = (
            random.integers(round(args.low), round(args.high), size, endpoint=True)
            if args.whole
            else random.uniform(args.low, args.high, size)
        )
        labels = np.full(args.examples, UNLABELLED, np.int64)
        splits[name] = Examples(values.astype(np.float32), labels)
    report(1, 1, "drawn")
    return Dataset(splits, (), (args.low, args.high))


SOURCES.add(
    "drawn",
    Source(
        DrawnArgs,
        load,
        splits=("train", "test"),
        shape=lambda args: tuple(args.shape),
        tools=("numpy",),
        doc="numbers drawn from a seed, without labels: shows that a file runs, not how good it is",
    ),
)
