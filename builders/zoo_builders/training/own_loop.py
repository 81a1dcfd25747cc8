"""Training loops of the user, `trainer: ./loop.py:function`, beside Keras' `fit`.

What such a function is given, and what is asked of it.

    def loop(training):
        @tf.function
        def step(inputs, labels):
            with tf.GradientTape() as tape:
                outputs = training.model(inputs, training=True)
                loss = training.loss(labels, outputs)
            gradients = tape.gradient(loss, training.model.trainable_variables)
            training.optimizer.apply_gradients(zip(gradients, training.model.trainable_variables))
            training.measure(loss, labels, outputs)

        for epoch in training.epochs():
            for inputs, labels in epoch:
                step(inputs, labels)

`epochs` does around the loop what `fit` does: it gives the batches in the seed's order, calls the
techniques' callbacks (TFMOT's `UpdatePruningStep` among them) where TFMOT's guide calls them by
hand, validates, reports, writes checkpoints, and starts where a killed run stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.networks import lookup
from zoo_builders.networks.lookup import Network
from zoo_builders.training.run import Run
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed


@dataclass(slots=True)
class Training:
    """What a training loop is called with.

    Attributes:
        model: to be trained; wrapped by the technique that is at work, compiled, its optimizer
            built.
        settings: epochs, batch size, learning rate … as the manifest or the technique says.
        note: what is trained: `train` for the base, else the technique's name.
        seed: of everything random.
    """

    model: Any
    settings: Train
    note: str
    seed: int
    _run: Run
    _watch: Sequence[Any]
    _metrics: tuple[Any, Any] = field(init=False)
    _tracked: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._metrics = (
            tf.keras.metrics.Mean("loss"),
            tf.keras.metrics.SparseCategoricalAccuracy("accuracy"),
        )
        self._run.metrics = lambda: [
            variable for metric in self._metrics for variable in metric.variables
        ]

    @property
    def optimizer(self) -> Any:
        """The manifest's optimizer, with its schedule.

        Its slots fit `model.trainable_variables`.
        """
        return self.model.optimizer

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Sparse categorical cross-entropy on logits or probabilities, as the model ends.

        The model's own losses are added.
        """
        return self.model.compiled_loss(labels, outputs, regularization_losses=self.model.losses)

    def measure(self, loss: Any, labels: Any, outputs: Any) -> None:
        """Count a batch in the epoch's loss and accuracy; works inside a `tf.function`.

        Call it once a batch.
        """
        mean, accuracy = self._metrics
        mean.update_state(loss, sample_weight=tf.tensorflow.shape(labels)[0])
        accuracy.update_state(labels, outputs)

    def track(self, *holders: Any) -> None:
        """Put further state into the checkpoints; to be called before `epochs`.

        Anything with `variables`, such as an optimizer of your own, once it is built.
        """
        self._tracked += holders

    def epochs(self) -> Iterator[Iterator[tuple[Any, Any]]]:
        """Give each epoch that is left, as an iterator over its batches that is left.

        Raises:
            BuildFailed: an epoch's batches were not all taken, or not measured.
        """
        run, calls = self._run, tf.keras.callbacks.CallbackList(list(self._watch), model=self.model)
        run.resume(self._tracked)
        self.model.stop_training = False
        calls.on_train_begin()
        while run.position.epoch < run.train.epochs and not self.model.stop_training:
            epoch = run.position.epoch
            for metric in self._metrics:
                metric.reset_state()
            calls.on_epoch_begin(epoch)
            yield self._batches(calls)
            self._insist()
            calls.on_epoch_end(epoch, {**self._logs(), **self._validation()})
        calls.on_train_end()

    def _batches(self, calls: Any) -> Iterator[tuple[Any, Any]]:
        run = self._run
        start = run.position.step
        batches = run.context.passes(run.train, epoch=run.position.epoch, step=start).take(
            run.steps - start
        )
        for at, batch in enumerate(batches, start):
            calls.on_train_batch_begin(at)
            yield batch
            calls.on_train_batch_end(at, self._logs())
            if self.model.stop_training:
                return

    def _insist(self) -> None:
        if self.model.stop_training:
            return
        if self._run.position.step != self._run.steps:
            at, name = self._run.position, self._run.train.trainer
            raise BuildFailed(
                f"{name} took {at.step} of {self._run.steps} batches in epoch {at.epoch + 1}",
                hint=(
                    "for inputs, labels in epoch: …   # to its end; lower train.epochs to train"
                    " less"
                ),
            )
        if not float(self._metrics[1].count):
            raise BuildFailed(
                f"{self._run.train.trainer} measured no batch",
                hint="call training.measure(loss, labels, outputs) for each",
            )

    def _logs(self) -> dict[str, float]:
        return {metric.name: float(metric.result()) for metric in self._metrics}

    def _validation(self) -> dict[str, float]:
        batches = self._run.context.batches("validation", batch_size=1024, shuffle=False)
        found = self.model.evaluate(batches, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in found.items()}


def train(run: Run, watch: Sequence[Any]) -> None:
    """Let the user's loop train `run.model`.

    Raises:
        WrongUse: the function cannot be imported.
        BuildFailed: it raised, ended early, or changed no weight.
    """
    name = str(run.train.trainer)
    loop = lookup.function_of(_located(run))
    training = Training(run.model, run.train, run.note, run.context.seed, run, watch)
    before = [variable.numpy() for variable in run.model.trainable_variables]
    try:
        loop(training)
    except (BuildFailed, SystemExit):
        raise
    except Exception as error:
        raise BuildFailed(
            f"{name} raised {type(error).__name__}: {error}",
            hint="its traceback is in the stage's log",
        ) from error
    _insist_on_work(run, before)


def _insist_on_work(run: Run, before: Sequence[Any]) -> None:
    at, name = run.position.epoch, run.train.trainer
    if at < run.train.epochs and not run.model.stop_training:
        raise BuildFailed(
            f"{name} ended after {at} of {run.train.epochs} epochs",
            hint="for epoch in training.epochs(): …   # to its end",
        )
    after = [variable.numpy() for variable in run.model.trainable_variables]
    moved = any(
        ((old != new) & (new != 0)).any() for old, new in zip(before, after, strict=True)
    )  # masks set zeros without training
    if not moved and not run.resumed:
        raise BuildFailed(
            f"{name} changed no weight",
            hint="training.optimizer.apply_gradients(zip(gradients, variables))",
        )


def _located(run: Run) -> Network:
    name, file = str(run.train.trainer), run.context.job.files.get("trainer")
    if name.startswith("file:") and file is not None:
        return Network("source", file, name.removeprefix("file:"))
    return lookup.locate(name, Path(), None, lambda _: False)
