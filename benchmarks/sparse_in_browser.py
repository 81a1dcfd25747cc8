"""What zeros are worth in a browser.

Sparse files beside the same graphs with dense weights, in LiteRT.js in headless Chromium.

    python benchmarks/sparse_in_browser.py [FILE…] [--device web-wasm] [--rounds 5] [--runs 50]

Each FILE with sparsely stored weights runs interleaved with its dense twin, which shares everything
but how the weights are stored, and with that twin once more (the A/A control). Printed are medians,
the ratio sparse / dense with its 95 % interval, and the control. Without FILE: a MobileNetV2 for
32x32 images with drawn weights, of whose 1x1 kernels three quarters are zero (needs TensorFlow). On
`--device host-cpu` with AVX the ratio is about 1: XNNPACK runs no sparse kernels there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from zoo_builders.tflite import dense_twin
from zoo_builders.lab import golden_for_strangers
from zoo_builders.lab.candidates import Candidate, Order, Outcome
from zoo_builders.lab.session import measure
from zoo_registry.model.errors import ZooError

ZEROS, SEED, ALPHA, RESOLUTION = 0.75, 7, 0.35, 32


def drawn(folder: Path) -> Path:
    """Write a MobileNetV2 whose 1x1 kernels are mostly zeros, drawn from a seed."""
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.networks.shipped.mobilenet_v2 import mobilenet_v2
    from zoo_builders.keras_models.render import render

    model, random = (
        render(mobilenet_v2(alpha=ALPHA, resolution=RESOLUTION, reduction=8, classes=10)),
        np.random.default_rng(SEED),
    )
    for layer in model.layers:
        weights = layer.get_weights()
        if weights and weights[0].shape[:2] == (1, 1) and type(layer).__name__ == "Conv2D":
            kernel = random.normal(0, weights[0].std(), weights[0].shape).astype(np.float32)
            weights[0] = np.where(
                np.abs(kernel) < np.quantile(np.abs(kernel), ZEROS), np.float32(0), kernel
            )
            layer.set_weights(weights)
    file = folder / f"mobilenet-v2-{ALPHA}-{RESOLUTION}-drawn.tflite"
    file.write_bytes(to_tflite(model, sparse=True))
    return file


def session(file: Path, folder: Path, order: Order) -> Outcome:
    """Measure a sparse file with its dense twin as the baseline."""
    dense = dense_twin.densify(file.read_bytes())
    if dense is None:
        sys.exit(f"{file}: none of its weights are stored sparse")
    twin = folder / f"{file.stem}-dense.tflite"
    twin.write_bytes(dense)
    subjects = {
        path: golden_for_strangers.make(
            path, folder / f"{path.stem}.npz", timeout_s=order.timeout_s
        )
        for path in (file, twin)
    }
    (outcome,) = measure(
        [Candidate.of(file.name, subjects[file], twin)],
        Candidate.of("dense twin", subjects[twin]),
        order,
    )
    return outcome


def main() -> int:
    """Print a line a file."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("files", nargs="*", type=Path)
    words.add_argument("--device", default="web-wasm")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--runs", type=int, default=50)
    asked = words.parse_args()
    order = Order(device=asked.device, rounds=asked.rounds, runs=asked.runs)
    with tempfile.TemporaryDirectory() as name:
        for file in asked.files or [drawn(Path(name))]:
            outcome = session(file, Path(name), order)
            m = outcome.measurement
            if m is None:
                print(f"{file.name}: {outcome.failure}")
                continue
            low, high = m.ratio.ci95
            print(
                f"{file.name} on {m.device} ({m.host.os}): {m.latency_ms.median:.3f} ms,"
                f" {m.verdict} than dense"
            )
            print(
                f"  sparse / dense {m.ratio.value:.3f} [{low:.3f}, {high:.3f}], dense / dense"
                f" {m.aa_ratio.value:.3f}; path {m.sparse_path}"
            )
            for cause in m.noise_causes:
                print(f"  noisy: {cause}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ZooError as error:
        sys.exit(f"{error}")
