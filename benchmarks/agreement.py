"""How often the files of `efficientnet-lite0` name the same class as its float32 file, on images that fixed no ranges.

    zoo build manifests/efficientnet-lite0.yaml --no-benchmark
    python benchmarks/agreement.py                    # every variant built, in .zoo/builds

Two sets of real photographs. *photographs*: 350 images of the data source's split `test`, cut-outs of the same seven photographs as the
calibration split, drawn apart; the layers that `int8-mixed` leaves in float were chosen on cut-outs of these photographs too. *cifar10*
(with `ZOO_DATA`): the first 400 test images of CIFAR-10, enlarged from 32x32 to 224x224, which nothing was fitted to and which are unlike
what the ranges were fixed on. *decided* counts only images where float32 itself prefers its first class by 0.1 of probability or more.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.data import SOURCES
from zoo_builders.litert import Session
from zoo_builders.preprocess import geometry

MODEL, FLOAT = "efficientnet-lite0", "fp32"
PHOTOGRAPHS, COUNT, MARGIN, Z = 350, 400, 0.1, 1.96
CIFAR = "cifar10_jpeg_all60k.npz"

Array = np.ndarray[Any, Any]


def sets() -> dict[str, Array]:
    """Give the images by name, as the network takes them: (x - 127) / 128."""
    source = SOURCES.get("photographs")
    found = {"photographs": source.load(source.params.model_validate({"size": [224, 224], "count": PHOTOGRAPHS}), {}, lambda *_: None)}
    file = Path(os.environ.get("ZOO_DATA", "")) / CIFAR
    if os.environ.get("ZOO_DATA") and file.exists():
        source = SOURCES.get("npz-images")
        params = source.params.model_validate({"path": CIFAR, "sha256": "0" * 64, "order": "stored"})
        found["cifar10"] = source.load(params, {"path": file}, lambda *_: None)
    small = {name: data.splits["test"].images[:COUNT] for name, data in found.items()}
    return {name: (geometry([{"resize": 224}], images).astype(np.float32) - 127) / 128 for name, images in small.items()}


def outputs(file: Path, images: Array) -> Array:
    """Run a file on every image."""
    session = Session(file)
    port, out = session.inputs[0], session.outputs[0]
    found: Array = np.concatenate([out.real(session.run([port.store(image[None])])[0]) for image in images])
    return found


def wilson(held: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson)."""
    share = held / count
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z * float(np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))) / (1 + Z**2 / count)
    return middle - half, middle + half


def margins(scores: Array) -> Array:
    """By how much of probability the first class leads."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    first: Array = np.sort(shares / shares.sum(axis=1, keepdims=True), axis=1)
    lead: Array = first[:, -1] - first[:, -2]
    return lead


def main() -> None:
    """Print one line a file and set."""
    builds = Path(os.environ.get("ZOO_HOME", ".zoo")) / "builds"
    files = {file.stem.removeprefix(f"{MODEL}-"): file for file in sorted(builds.glob(f"{MODEL}-*/*/{MODEL}-*.tflite"))}
    if FLOAT not in files:
        sys.exit(f"no {MODEL}-{FLOAT} in {builds}: zoo build manifests/{MODEL}.yaml --no-benchmark")
    print(f"{'images':12} {'variant':12} {'same class':>12}  {'95 % interval':15} {'decided':>10} {'SQNR dB':>8}")
    for name, images in sets().items():
        expected = outputs(files[FLOAT], images)
        decided = margins(expected) >= MARGIN
        for variant, file in files.items():
            found = outputs(file, images)
            same = found.argmax(axis=1) == expected.argmax(axis=1)
            noise = float(((found - expected) ** 2).sum())
            quality = 10 * np.log10((expected**2).sum() / noise) if noise else float("inf")
            low, high = wilson(int(same.sum()), len(same))
            told = f"{same[decided].sum()}/{decided.sum()}"
            print(f"{name:12} {variant:12} {same.sum():>5}/{len(same):<6}  {low:.3f} to {high:.3f}  {told:>10} {quality:8.1f}")


if __name__ == "__main__":
    main()
