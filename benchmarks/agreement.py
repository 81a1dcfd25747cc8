"""How often the files of `efficientnet-lite0` name the same class as its float32 file.

On images that fixed no ranges.

    zoo build manifests/efficientnet-lite0.yaml --no-benchmark
    python benchmarks/agreement.py                    # every variant built, in .zoo/builds; writes
                                                      docs/agreement.json
    zoo results --out docs/results.md                     # puts it on the results page

Two sets of real photographs. *photographs*: 350 images of the data source's split `test`, cut-outs
of the same seven photographs as the calibration split, drawn apart; the layers that `int8-mixed`
leaves in float were chosen on cut-outs of these photographs too. *cifar10* (with `ZOO_DATA`): the
first 400 test images of CIFAR-10, enlarged from 32x32 to 224x224, which nothing was fitted to and
which are unlike what the ranges were fixed on. *decided* counts only images where float32 itself
prefers its first class by 0.1 of probability or more.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.reports.float_agreement import COMMAND, Agreement, Images, Agreeing, save
from zoo_builders.metrics import wilson
from zoo_builders.data.sources import SOURCES
from zoo_builders.tflite.litert import Session
from zoo_builders.data.preprocess import geometry
from zoo_registry.model.digest import Digest

MODEL, FLOAT = "efficientnet-lite0", "fp32"
PHOTOGRAPHS, COUNT, MARGIN, EXACT_DB = 350, 400, 0.1, 200.0
CIFAR = "cifar10_jpeg_all60k.npz"
WHAT = {
    "photographs": (
        f"{PHOTOGRAPHS} cut-outs of the same seven photographs whose cut-outs fixed the ranges,"
        " drawn apart from those"
    ),
    "cifar10": (
        f"the first {COUNT} test images of CIFAR-10, enlarged from 32x32 to 224x224: nothing was"
        " fitted to them, and they are unlike the photographs of ImageNet that the network was"
        " trained on"
    ),
}

Array = np.ndarray[Any, Any]


def sets() -> dict[str, Array]:
    """Give the images by name, as the network takes them: (x - 127) / 128."""
    source = SOURCES.get("photographs")
    found = {
        "photographs": source.load(
            source.params.model_validate({"size": [224, 224], "count": PHOTOGRAPHS}),
            {},
            lambda *_: None,
        )
    }
    file = Path(os.environ.get("ZOO_DATA", "")) / CIFAR
    if os.environ.get("ZOO_DATA") and file.exists():
        source = SOURCES.get("npz-images")
        params = source.params.model_validate(
            {"path": CIFAR, "sha256": "0" * 64, "order": "stored"}
        )
        found["cifar10"] = source.load(params, {"path": file}, lambda *_: None)
    small = {name: data.splits["test"].images[:COUNT] for name, data in found.items()}
    return {
        name: (geometry([{"resize": 224}], images).astype(np.float32) - 127) / 128
        for name, images in small.items()
    }


def outputs(file: Path, images: Array) -> Array:
    """Run a file on every image."""
    session = Session(file)
    port, out = session.inputs[0], session.outputs[0]
    found: Array = np.concatenate(
        [out.real(session.run([port.store(image[None])])[0]) for image in images]
    )
    return found


def leads(scores: Array) -> Array:
    """By how much of probability the first class leads."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    first: Array = np.sort(shares / shares.sum(axis=1, keepdims=True), axis=1)
    lead: Array = first[:, -1] - first[:, -2]
    return lead


def measured(name: str, images: Array, files: Mapping[str, Path]) -> Images:
    """Run every file on one set; prints a line a file."""
    expected = outputs(files[FLOAT], images)
    lead = leads(expected)
    decided, rows = lead >= MARGIN, []
    for variant, file in files.items():
        row = compared(variant, file, outputs(file, images), expected, decided)
        low, high = wilson(row.same, len(images))
        told = f"{row.decided_same}/{decided.sum()}"
        print(
            f"{name:12} {variant:12} {row.same:>5}/{len(images):<6}  {low:.3f} to {high:.3f} "
            f" {told:>10} {row.sqnr_db:8.1f}",
            flush=True,
        )
        rows.append(row)
    return Images(
        name=name,
        what=WHAT[name],
        examples=len(images),
        margin=MARGIN,
        decided=int(decided.sum()),
        lead=round(float(np.median(lead)), 4),
        rows=tuple(rows),
    )


def compared(variant: str, file: Path, found: Array, expected: Array, decided: Array) -> Agreeing:
    """Hold the outputs of one file against the float file's."""
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    noise = float(((found - expected) ** 2).sum())
    quality = 10 * float(np.log10(float((expected**2).sum()) / noise)) if noise else EXACT_DB
    digest = Digest.of(file.read_bytes())
    return Agreeing(
        variant=variant,
        sha256=digest,
        same=int(same.sum()),
        decided_same=int(same[decided].sum()),
        sqnr_db=round(quality, 2),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a file and set, and write them all."""
    home = Path(os.environ.get("ZOO_HOME", ".zoo"))
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument(
        "--builds", type=Path, default=home / "builds", help="folder of finished builds"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("docs/agreement.json"), help="file to write"
    )
    args = parser.parse_args(argv)
    files = {
        file.stem.removeprefix(f"{MODEL}-"): file
        for file in sorted(args.builds.glob(f"{MODEL}-*/*/{MODEL}-*.tflite"))
    }
    if FLOAT not in files:
        sys.exit(
            f"no {MODEL}-{FLOAT} in {args.builds}: zoo build manifests/{MODEL}.yaml --no-benchmark"
        )
    print(
        f"{'images':12} {'variant':12} {'same class':>12}  {'95 % interval':15} {'decided':>10}"
        f" {'SQNR dB':>8}"
    )
    found = tuple(measured(name, images, files) for name, images in sets().items())
    baseline = Digest.of(files[FLOAT].read_bytes())
    save(
        Agreement(
            model=MODEL,
            baseline=baseline,
            command=COMMAND,
            when=datetime.now(UTC).replace(microsecond=0),
            sets=found,
        ),
        args.out,
    )


if __name__ == "__main__":
    main()
