"""One training in a stage: how far it is, its checkpoints, and the callbacks that move both."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders import tf
from zoo_builders.stage import TERMINATED
from zoo_builders.training import checkpoints
from zoo_builders.training.checkpoints import Checkpoint, Position
from zoo_builders.training.context import Context
from zoo_builders.training.settings import Train


@dataclass(slots=True)
class Run:
    """One training in a stage.

    Attributes:
        model: compiled, its optimizer built.
        note: what is trained, as people read it.
        steps: of an epoch.
        metrics: gives the metrics' variables; they hold sums.
        position: how far it is; moves with it.
        resumed: whether an earlier run did a part of it.
    """

    model: Any
    context: Context
    train: Train
    note: str
    steps: int
    metrics: Callable[[], list[Any]]
    position: Position = field(default_factory=Position)
    resumed: bool = False
    _checkpoint: Checkpoint | None = None
    _variables: list[Any] = field(default_factory=list)
    _sums: list[Any] = field(default_factory=list)

    def resume(self, others: Sequence[Any] = ()) -> None:
        """Go on from the checkpoint in the stage's scratch folder.

        If there is one of this training.

        `others` hold variables that change too, beside those of model and optimizer.
        """
        variables = checkpoints.variables_of(self.model, others)
        settings = {
            "train": self.train.model_dump(mode="json"),
            "seed": self.context.seed,
            "steps": self.steps,
            "note": self.note,
        }
        checkpoint = Checkpoint(
            self.context.scratch,
            self.note,
            checkpoints.identity(settings, variables),
            self.context.job.say,
        )
        self._checkpoint, self._variables = checkpoint, variables
        self.position, self._sums = checkpoint.load(variables)
        self.resumed = bool(self.position.epoch or self.position.step)
        if self.resumed:
            self.context.job.say(
                f"{self.note}: resumed at epoch {self.position.epoch + 1}, step"
                f" {self.position.step}"
            )

    def keep(self, *, epoch_ends: bool = False) -> None:
        """Write a checkpoint when it is time to; end the stage when it was told to.

        Raises:
            SystemExit: it was.
        """
        stop = self.context.job.stop
        if self._checkpoint and (stop.asked or self._checkpoint.due(epoch_ends=epoch_ends)):
            self._checkpoint.save(
                self._variables, self.metrics() if self.position.step else [], self.position
            )
        if stop.asked:
            sys.exit(TERMINATED)

    def add_sums(self) -> None:
        """After the first batch of an epoch that was taken up in its middle.

        Count the batches before it in.
        """
        for metric, before in zip(self.metrics() if self._sums else [], self._sums, strict=True):
            metric.assign_add(before)
        self._sums = []


def keeper(run: Run) -> Any:
    """Make the callback that moves `run.position` and writes checkpoints.

    It ends the stage when it is told to. It comes last.
    """

    class Keeper(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Knows how far the training is."""

        def on_train_begin(self, logs: Any = None) -> None:
            del logs
            run.context.job.stop.heeded = True

        def on_train_end(self, logs: Any = None) -> None:
            del logs
            run.context.job.stop.heeded = False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            run.add_sums()
            run.position = run.position.model_copy(update={"step": run.position.step + 1})
            if run.position.step < run.steps and not self.model.stop_training:
                run.keep()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            history = [*run.position.history, {name: float(value) for name, value in logs.items()}]
            run.position = Position(epoch=epoch + 1, history=history)
            if not self.model.stop_training:
                run.keep(epoch_ends=True)

    return Keeper()


def progress(run: Run) -> Any:
    """Make the callback that moves the progress bar after every batch."""

    class Progress(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Comes before the keeper, which counts the step."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch
            at, epochs = run.position, run.train.epochs
            accuracy = float((logs or {}).get("accuracy", 0))
            note = f"{run.note}: epoch {at.epoch + 1}/{epochs}, accuracy {accuracy:.3f}"
            run.context.report(at.epoch * run.steps + at.step + 1, epochs * run.steps, note)

    return Progress()
