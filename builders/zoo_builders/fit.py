"""Training a Keras classifier: loss that fits the network's end, optimizer by name, progress per batch, history as data."""

from collections.abc import Sequence
from typing import Any

from zoo_builders import tf
from zoo_builders.specs import Train
from zoo_builders.techniques import Context
from zoo_registry.model.errors import BuildFailed


def ends_in_probabilities(model: Any) -> bool:
    """Whether the last layer is a softmax or has one as its activation; otherwise the outputs are logits."""
    last = model.layers[-1]
    name = getattr(getattr(last, "activation", None), "__name__", "")
    return bool(last.__class__.__name__ == "Softmax" or name == "softmax")


def compile_classifier(model: Any, train: Train) -> None:
    """Set optimizer, sparse categorical cross-entropy (on logits or probabilities, as the model ends) and accuracy."""
    keras = tf.keras
    optimizers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}
    model.compile(
        optimizer=optimizers[train.optimizer](learning_rate=train.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_in_probabilities(model)),
        metrics=["accuracy"],
    )


def fit(model: Any, context: Context, train: Train, callbacks: Sequence[Any] = (), *, note: str) -> list[dict[str, float]]:
    """Train `model` on the `train` split; report every batch and, after each epoch, the validation accuracy.

    Returns:
        One {loss, accuracy, val_loss, val_accuracy} for each epoch.

    Raises:
        BuildFailed: the loss is no longer a number.
    """
    compile_classifier(model, train)
    batches = context.batches("train", batch_size=train.batch_size, shuffle=True)
    validation = context.batches("validation", batch_size=1024, shuffle=False)
    watch = [*callbacks, tf.keras.callbacks.TerminateOnNaN(), _progress(context, train.epochs, len(batches), note)]
    history = model.fit(batches, epochs=train.epochs, validation_data=validation, callbacks=watch, verbose=0).history
    epochs = [dict(zip(history, map(float, values), strict=True)) for values in zip(*history.values(), strict=True)]
    if len(epochs) < train.epochs or not all(epoch["loss"] == epoch["loss"] for epoch in epochs):
        raise BuildFailed(f"{note}: the loss became NaN in epoch {len(epochs)}", hint="lower learning_rate in the manifest")
    return epochs


def _progress(context: Context, epochs: int, steps: int, note: str) -> Any:
    class Progress(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Moves the progress bar after every batch."""

        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del logs
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            done = self.epoch * steps + batch + 1
            context.report(done, epochs * steps, f"{note}: epoch {self.epoch + 1}/{epochs}, accuracy {(logs or {}).get('accuracy', 0):.3f}")

    return Progress()


def fine_tuning(base: Train, epochs: int, batch_size: int | None, learning_rate: float | None) -> Train:
    """Give the base's training settings with what a technique says instead."""
    changes: dict[str, Any] = {"epochs": epochs}
    changes |= {} if batch_size is None else {"batch_size": batch_size}
    changes |= {} if learning_rate is None else {"learning_rate": learning_rate}
    return base.model_copy(update=changes)
