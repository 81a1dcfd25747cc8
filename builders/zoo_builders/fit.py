"""Training a Keras classifier: loss that fits the network's end, optimizer by name, progress per batch, history as data.

A training whose process was killed is taken up where its last checkpoint was and ends with the same weights, bit for bit: batches are a
pure function of (seed, epoch, step), and everything else that changes is a variable. Layers of the user that draw random numbers without
a Keras generator (`tf.random.…` in `call`) are the exception: what they drew cannot be drawn again.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders import checkpoints, tf
from zoo_builders.checkpoints import Checkpoint, Position
from zoo_builders.data_stage import labelled
from zoo_builders.specs import Train
from zoo_builders.stage import TERMINATED
from zoo_builders.techniques import Context
from zoo_registry.model.errors import BuildFailed


def ends_in_probabilities(model: Any) -> bool:
    """Whether the last layer is a softmax or has one as its activation; otherwise the outputs are logits."""
    last = getattr(model.layers[-1], "layer", model.layers[-1])  # techniques wrap a layer while they train it,
    activation = getattr(last, "activation", None)
    name = getattr(getattr(activation, "activation", activation), "__name__", "")  # and fake quantization its activation too
    return bool(last.__class__.__name__ == "Softmax" or name == "softmax")


def compile_classifier(model: Any, train: Train, steps: int = 1) -> None:
    """Set optimizer, sparse categorical cross-entropy (on logits or probabilities, as the model ends) and accuracy.

    Args:
        model: ends in one value a class.
        train: names optimizer, learning rate and its schedule.
        steps: of the whole training, over which a schedule stretches.
    """
    keras = tf.keras
    rate: Any = train.learning_rate
    if train.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(train.learning_rate, steps)
    optimizers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}
    model.compile(
        optimizer=optimizers[train.optimizer](learning_rate=rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_in_probabilities(model)),
        metrics=["accuracy"],
    )


def fit(model: Any, context: Context, train: Train, callbacks: Sequence[Any] = (), *, note: str) -> list[dict[str, float]]:
    """Train `model` on the `train` split; report every batch and, after each epoch, the validation accuracy.

    Where an earlier run of the same stage was killed, it goes on from its checkpoint. `callbacks` must keep what they remember between
    steps in variables of the model (as TFMOT's do); of an epoch that is taken up in its middle they see `on_epoch_begin` again.

    Returns:
        One {loss, accuracy, val_loss, val_accuracy} for each epoch, those before the checkpoint included.

    Raises:
        BuildFailed: the loss is no longer a number, or the data have no labels.
    """
    if not labelled(context.job.inputs["data"]):
        raise BuildFailed(f"{note}: the data have no labels to train on", hint="sort the examples into class folders, or drop what trains")
    steps = len(context.batches("train", batch_size=train.batch_size, shuffle=False))
    compile_classifier(model, train, steps * train.epochs)
    model.optimizer.build(model.trainable_variables)
    run = Run(model, context, train, note, steps, lambda: [variable for metric in model.metrics for variable in metric.variables])
    watch = [*callbacks, *context.job.observe(model, note), tf.keras.callbacks.TerminateOnNaN(), progress(run), keeper(run)]
    if train.trainer is None:
        _keras_fit(run, watch)
    else:
        _own_loop(run, watch)
    epochs = run.position.history
    if len(epochs) < train.epochs or not all(epoch["loss"] == epoch["loss"] for epoch in epochs):
        raise BuildFailed(f"{note}: the loss became NaN in epoch {len(epochs)}", hint="lower learning_rate in the manifest")
    return epochs


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
        """Go on from the checkpoint in the stage's scratch folder, if there is one of this training.

        `others` hold variables that change too, beside those of model and optimizer.
        """
        variables = checkpoints.variables_of(self.model, others)
        settings = {"train": self.train.model_dump(mode="json"), "seed": self.context.seed, "steps": self.steps, "note": self.note}
        checkpoint = Checkpoint(self.context.scratch, self.note, checkpoints.identity(settings, variables), self.context.job.say)
        self._checkpoint, self._variables = checkpoint, variables
        self.position, self._sums = checkpoint.load(variables)
        self.resumed = bool(self.position.epoch or self.position.step)
        if self.resumed:
            self.context.job.say(f"{self.note}: resumed at epoch {self.position.epoch + 1}, step {self.position.step}")

    def keep(self, *, epoch_ends: bool = False) -> None:
        """Write a checkpoint when it is time to; end the stage when it was told to.

        Raises:
            SystemExit: it was.
        """
        stop = self.context.job.stop
        if self._checkpoint and (stop.asked or self._checkpoint.due(epoch_ends=epoch_ends)):
            self._checkpoint.save(self._variables, self.metrics() if self.position.step else [], self.position)
        if stop.asked:
            sys.exit(TERMINATED)

    def add_sums(self) -> None:
        """After the first batch of an epoch that was taken up in its middle: count the batches before it in."""
        for metric, before in zip(self.metrics() if self._sums else [], self._sums, strict=True):
            metric.assign_add(before)
        self._sums = []


def _keras_fit(run: Run, watch: Sequence[Any]) -> None:
    """Let Keras train what is left: first the rest of an epoch that was begun, then whole ones."""
    run.resume()
    validation = run.context.batches("validation", batch_size=1024, shuffle=False)
    run.model.stop_training = False
    while run.position.epoch < run.train.epochs and not run.model.stop_training:
        epoch, step = run.position.epoch, run.position.step
        run.model.fit(
            run.context.passes(run.train, epoch=epoch, step=step), initial_epoch=epoch, epochs=epoch + 1 if step else run.train.epochs,
            steps_per_epoch=run.steps - step, validation_data=validation, callbacks=list(watch), verbose=0,
        )  # fmt: skip


def _own_loop(run: Run, watch: Sequence[Any]) -> None:
    """Let the user's loop train. By name: its module counts in the fingerprint of stages that use it, and in no other's."""
    importlib.import_module("zoo_builders.trainers").train(run, watch)


def keeper(run: Run) -> Any:
    """Make the callback that moves `run.position`, writes checkpoints, and ends the stage when it is told to. Comes last."""

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


def fine_tuning(base: Train, epochs: int, batch_size: int | None, learning_rate: float | None) -> Train:
    """Give the base's training settings with what a technique says instead; a schedule stretches over the technique's own epochs."""
    changes: dict[str, Any] = {"epochs": epochs}
    changes |= {} if batch_size is None else {"batch_size": batch_size}
    changes |= {} if learning_rate is None else {"learning_rate": learning_rate}
    return base.model_copy(update=changes)
