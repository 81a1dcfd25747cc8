"""What a technique or a training may use, as a type.

Light, so that planning can name it without NumPy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from zoo_builders.stage import Job
from zoo_builders.training.settings import Train


class Context(Protocol):
    """What a technique may use while it runs.

    Data by split, the base's training settings, a seed, a way to report.
    """

    train: Train
    seed: int
    job: Job

    def batches(self, split: str, *, batch_size: int, shuffle: bool) -> Any:
        """Give (inputs, labels) arrays batch by batch, as something Keras' `fit` takes.

        Values as the model expects them.
        """

    def passes(self, train: Train, *, epoch: int, step: int) -> Any:
        """Give the training batches from a step of an epoch to the end of the last one.

        They come in their order and with their changes.
        """

    def arrays(self, split: str) -> tuple[Any, Any]:
        """Give (inputs float32 [N, ...], labels int [N]) of a split, preprocessed."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Move the progress bar."""

    @property
    def scratch(self) -> Path | None:
        """A folder of this stage's own that outlives a killed run, for the run that takes over.

        None where no folder outlives the run.
        """

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Store a JSON report beside the stage's result."""
