"""Training a Keras classifier.

Loss that fits the network's end, optimizer by name, progress per batch, history as data.

A training whose process was killed is taken up where its last checkpoint was and ends with the same
weights, bit for bit: batches are a pure function of (seed, epoch, step), and everything else that
changes is a variable. Layers of the user that draw random numbers without a Keras generator
(`tf.random.…` in `call`) are the exception: what they drew cannot be drawn again.
"""

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_builders.data.stored import labelled, load_about
from zoo_builders.keras_models.functions import Function
from zoo_builders.training.context import Context
from zoo_builders.training.job_context import JobContext
from zoo_builders.training.run import Run, keeper, progress
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed


def ends_in_probabilities(model: Any) -> bool:
    """Whether the last layer is a softmax or has one as its activation.

    Otherwise the outputs are logits.
    """
    last = getattr(
        model.layers[-1], "layer", model.layers[-1]
    )  # techniques wrap a layer while they train it,
    activation = getattr(last, "activation", None)
    name = getattr(
        getattr(activation, "activation", activation), "__name__", ""
    )  # and fake quantization its activation too
    return bool(last.__class__.__name__ == "Softmax" or name == "softmax")


def compile_classifier(model: Any, train: Train, steps: int = 1) -> None:
    """Set optimizer, sparse categorical cross-entropy and accuracy.

    The loss is on logits or probabilities, as the model ends.

    Args:
        model: ends in one value a class.
        train: names optimizer, learning rate and its schedule.
        steps: of the whole training, over which a schedule stretches.
    """
    keras = tf.keras
    rate: Any = train.learning_rate
    if train.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(train.learning_rate, steps)
    optimizers = {
        "adam": keras.optimizers.Adam,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }
    model.compile(
        optimizer=optimizers[train.optimizer](learning_rate=rate),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=not ends_in_probabilities(model)
        ),
        metrics=["accuracy"],
    )


def fit(
    model: Any, context: Context, train: Train, callbacks: Sequence[Any] = (), *, note: str
) -> list[dict[str, float]]:
    """Train `model` on the `train` split.

    Report every batch and, after each epoch, the validation accuracy.

    Where an earlier run of the same stage was killed, it goes on from its checkpoint. `callbacks`
    must keep what they remember between steps in variables of the model (as TFMOT's do); of an
    epoch that is taken up in its middle they see `on_epoch_begin` again.

    Returns:
        One {loss, accuracy, val_loss, val_accuracy} for each epoch, those before the checkpoint
        included.

    Raises:
        BuildFailed: the loss is no longer a number, or the data have no labels.
    """
    if not labelled(context.job.inputs["data"]):
        raise BuildFailed(
            f"{note}: the data have no labels to train on",
            hint="sort the examples into class folders, or drop what trains",
        )
    steps = len(context.batches("train", batch_size=train.batch_size, shuffle=False))
    compile_classifier(model, train, steps * train.epochs)
    model.optimizer.build(model.trainable_variables)
    run = Run(
        model,
        context,
        train,
        note,
        steps,
        lambda: [variable for metric in model.metrics for variable in metric.variables],
    )
    watch = [
        *callbacks,
        *context.job.observe(model, note),
        _stop_at_nan(),
        progress(run),
        keeper(run),
    ]
    if train.trainer is None:
        _keras_fit(run, watch)
    else:
        _own_loop(run, watch)
    epochs = run.position.history
    _insist_on_numbers(epochs, train, note)
    return epochs


def _insist_on_numbers(epochs: Sequence[dict[str, float]], train: Train, note: str) -> None:
    """Weights and inputs were numbers when it began, so the training itself left them."""
    for at, epoch in enumerate(epochs, 1):
        wrong = next((name for name, value in epoch.items() if not math.isfinite(value)), None)
        if wrong is not None or (at == len(epochs) < train.epochs):
            name = wrong or "loss"
            what = "the loss" if name == "loss" else name
            raise BuildFailed(
                f"{note}: {what} became {_told(epoch[name])} in epoch {at} of {train.epochs}: the"
                " training diverged (weights and examples were numbers before)",
                hint=f"lower learning_rate in the manifest; it is {train.learning_rate:g}",
            )


def _told(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite" if math.isinf(value) else f"{value:g}"


def _stop_at_nan() -> Any:
    """Make the callback that ends a training whose loss is no number; nothing is printed."""

    class StopAtNan(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Looks at the loss of every batch."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch
            if not math.isfinite(float((logs or {}).get("loss", 0.0))):
                self.model.stop_training = True

    return StopAtNan()


def _keras_fit(run: Run, watch: Sequence[Any]) -> None:
    """Let Keras train what is left: first the rest of an epoch that was begun, then whole ones."""
    run.resume()
    validation = run.context.batches("validation", batch_size=1024, shuffle=False)
    run.model.stop_training = False
    while run.position.epoch < run.train.epochs and not run.model.stop_training:
        epoch, step = run.position.epoch, run.position.step
        run.model.fit(
            run.context.passes(run.train, epoch=epoch, step=step),
            initial_epoch=epoch,
            epochs=epoch + 1 if step else run.train.epochs,
            steps_per_epoch=run.steps - step,
            validation_data=validation,
            callbacks=list(watch),
            verbose=0,
        )


def _own_loop(run: Run, watch: Sequence[Any]) -> None:
    """Let the user's loop train.

    It is imported by name: its module counts in the fingerprint of stages that use it, and in no
    other's.
    """
    importlib.import_module("zoo_builders.training.own_loop").train(run, watch)


def fine_tuning(
    base: Train, epochs: int, batch_size: int | None, learning_rate: float | None
) -> Train:
    """Give the base's training settings with what a technique says instead.

    A schedule stretches over the technique's own epochs.
    """
    changes: dict[str, Any] = {"epochs": epochs}
    changes |= {} if batch_size is None else {"batch_size": batch_size}
    changes |= {} if learning_rate is None else {"learning_rate": learning_rate}
    return base.model_copy(update=changes)


def accuracy(model: Any, context: JobContext) -> dict[str, float]:
    """Top-1 of the model on `train` and `validation`, as far as there are such, with labels.

    Nothing of a model that gives something else than one score a class: labels do not judge it.
    Published numbers come from the file instead.
    """
    known = load_about(context.job.inputs["data"])
    splits = [split for split in ("train", "validation") if split in known["splits"]]
    if tuple(model.output_shape[1:]) != (len(known["classes"]),) or not splits:
        return {}
    if isinstance(model, Function):
        return {split: _share_right(model, *context.arrays(split)) for split in splits}
    compile_classifier(model, Train())
    return {
        split: float(
            model.evaluate(context.batches(split, batch_size=1024, shuffle=False), verbose=0)[1]
        )
        for split in splits
    }


def _share_right(model: Function, inputs: Array, labels: Array) -> float:
    return float(np.mean(model.predict(inputs).argmax(axis=-1) == labels))
