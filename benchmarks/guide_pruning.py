"""The peer of `cifar10-cnn`.

TensorFlow's "Pruning for on-device inference with XNNPACK" guide as a plain script of TFMOT calls.

    ZOO_DATA=../shared/data python benchmarks/guide_pruning.py [--epochs 10] [--fine-tune 15]
    [--final 0.75]

Prints seconds and top-1 of the float and of the pruned model, evaluated on the Keras model as the
guide does, and the bytes of both files. Same data, same network, same epochs as
`manifests/cifar10-cnn.yaml`; no proof, no record, no latency: that is what the zoo adds.
"""

import argparse
import io
import json
import os
import time
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
import tensorflow_model_optimization as tfmot
from PIL import Image

BATCH = 128


def load() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Decode the JPEG stream; give (train, test) as float32 in 0..1 and labels."""
    stored = np.load(Path(os.environ["ZOO_DATA"]) / "cifar10_jpeg_all60k.npz")
    stream, at = stored["jpeg"].tobytes(), stored["offsets"]
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(stream[at[i] : at[i + 1]]))) for i in range(len(at) - 1)]
    )
    train = stored["split"] == 0
    scaled, labels = images.astype(np.float32) / 255, stored["label"]
    return (scaled[train], labels[train]), (scaled[~train], labels[~train])


def network() -> keras.Model:
    """Build the guide's network."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.InputLayer((32, 32, 3)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(8, 3, strides=2, padding="valid"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 1),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.ZeroPadding2D(1),
            layers.DepthwiseConv2D(3, strides=2, padding="valid"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 1),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def compiled(model: keras.Model) -> keras.Model:
    """Compile as the guide does."""
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]
    )
    return model


def converted(model: keras.Model) -> bytes:
    """Convert with sparse weights left out, as the guide does."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return converter.convert()


def arguments() -> argparse.Namespace:
    """Read how long to train and how much to prune; the defaults are the guide's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fine-tune", type=int, default=15)
    parser.add_argument("--final", type=float, default=0.75)
    return parser.parse_args()


def main() -> None:
    """Train, prune, print one JSON line."""
    asked = arguments()
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = load()
    start = time.perf_counter()
    model = compiled(network())
    model.fit(x, y, batch_size=BATCH, epochs=asked.epochs, validation_split=0.1, verbose=0)
    trained = time.perf_counter()
    steps = -(-len(x) * 9 // 10 // BATCH)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        0.25, asked.final, begin_step=0, end_step=max(1, asked.fine_tune // 3) * steps
    )
    pruned = compiled(
        tfmot.sparsity.keras.prune_low_magnitude(
            model,
            pruning_schedule=schedule,
            pruning_policy=tfmot.sparsity.keras.PruneForLatencyOnXNNPack(),
        )
    )
    float_top1 = model.evaluate(x_test, y_test, verbose=0)[1]
    began = time.perf_counter()
    renewed = [tfmot.sparsity.keras.UpdatePruningStep()]
    pruned.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=asked.fine_tune,
        validation_split=0.1,
        verbose=0,
        callbacks=renewed,
    )
    pruned_s = time.perf_counter() - began
    files = [converted(model), converted(tfmot.sparsity.keras.strip_pruning(pruned))]
    print(
        json.dumps(
            {
                "tensorflow": tf.__version__,
                "train_s": round(trained - start, 1),
                "prune_s": round(pruned_s, 1),
                "fp32_top1": round(float(float_top1), 4),
                "pruned_top1": round(float(pruned.evaluate(x_test, y_test, verbose=0)[1]), 4),
                "bytes": [len(file) for file in files],
            }
        )
    )


if __name__ == "__main__":
    main()
