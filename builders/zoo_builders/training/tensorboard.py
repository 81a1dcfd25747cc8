"""TensorBoard summaries of a training, on request (`zoo build --tensorboard DIR`).

They change no result and are in no fingerprint.

    DIR/<stage>-<fingerprint>/<note>/events.out.tfevents.…

Scalars after each epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`; for every
layer with a kernel `sparsity/<layer>`; for every layer being pruned `mask_sparsity/<layer>` and
`threshold/<layer>`, the smallest magnitude it keeps.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_builders import tf

_SCALAR = 1  # DataClass.DATA_CLASS_SCALAR of summary.proto
_KERNELS = frozenset({"kernel", "depthwise_kernel"})


def observe(folder: Path, model: Any, note: str) -> Sequence[Any]:
    """Give the Keras callback that writes the summaries of one training into `folder/note`."""
    del model  # Keras gives it to the callback
    writer = tf.tensorflow.summary.create_file_writer(str(folder / note))

    class Summaries(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        """Looks only."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            values = {
                **dict(logs or {}),
                "learning_rate": _learning_rate(self.model.optimizer),
                **dict(layers(self.model)),
            }
            _write(writer, values, epoch + 1)

    return (Summaries(),)


def _write(writer: Any, values: Mapping[str, float], step: int) -> None:
    """Write scalars as TensorBoard's own `tf.summary.scalar` does.

    TensorFlow has that function only where TensorBoard is installed.
    """
    scalars = tf.tensorflow.compat.v1.SummaryMetadata(data_class=_SCALAR)
    scalars.plugin_data.plugin_name = "scalars"
    with writer.as_default():
        for name, value in values.items():
            tf.tensorflow.summary.write(
                name, tf.tensorflow.constant(float(value)), step=step, metadata=scalars
            )
        writer.flush()


def _learning_rate(optimizer: Any) -> float:
    rate = optimizer.learning_rate
    return float(rate(optimizer.iterations) if callable(rate) else rate)


def layers(model: Any) -> Iterator[tuple[str, float]]:
    """Give (`what/layer`, value) for every layer with a kernel.

    Every mask that TFMOT's wrappers keep gives values too.
    """
    for layer in model.layers:
        name = getattr(layer, "layer", layer).name
        for weight in layer.weights:
            if weight.name.rpartition("/")[2].partition(":")[0] in _KERNELS:
                yield f"sparsity/{name}", _zeros(weight)
        for number, (weight, mask, _) in enumerate(getattr(layer, "pruning_vars", ())):
            pruned = name if number == 0 else f"{name}/{number}"
            kept = abs(weight.numpy())[mask.numpy() != 0]
            yield f"mask_sparsity/{pruned}", _zeros(mask)
            yield f"threshold/{pruned}", float(kept.min()) if kept.size else 0.0


def _zeros(variable: Any) -> float:
    return float((variable.numpy() == 0).mean())
