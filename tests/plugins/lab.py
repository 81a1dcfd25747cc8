"""A family of real small files with golden vectors, for the lab in the visitor's browser."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugins.records import make
from zoo_registry.litertjs import installed
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record

if TYPE_CHECKING:
    from zoo_builders.tflite.golden import Vectors

FILES = Path(__file__).resolve().parents[1] / "golden" / "files"
INT8_IO = (
    Path(__file__).resolve().parents[1] / "browser" / "files" / "int8-io.tflite"
)  # tests/plugins/make_files.py made it too
MODEL = "tiny"
VERSION = "9.8.7"
RECIPES: Mapping[str, list[dict[str, Any]]] = {
    "fp32": [],
    "sparse": [{"technique": "prune", "params": {"policy": "xnnpack", "final": 0.8}}],
    "int8": [{"technique": "quantize", "params": {"dtype": "int8", "interface": "float"}}],
    "int8-io": [{"technique": "quantize", "params": {"dtype": "int8", "interface": "int8"}}],
    "wrong": [{"technique": "quantize", "params": {"dtype": "float16"}}],
}
TOP1 = {"fp32": 0.81, "sparse": 0.805, "int8": 0.79, "int8-io": 0.79, "wrong": 0.8}


@dataclass(frozen=True)
class Release:
    """One record with the blobs it speaks of."""

    record: Record
    data: bytes
    golden: bytes


def releases(*variants: str, model: str = MODEL) -> Iterator[Release]:
    """Build releases; the golden outputs of `wrong` are not those of its file."""
    for variant in variants:
        yield _release(variant, model)


def _release(variant: str, model: str) -> Release:
    from zoo_builders.tflite.inspection import inspect

    data = _data(variant)
    structure = inspect(data)
    vectors = _vectors(data, wrong=variant == "wrong")
    golden = vectors.to_bytes()
    interface = {"dtype": "int8", "scale": 0.1} if variant == "int8-io" else {"dtype": "float32"}
    record = make(
        model=model,
        variant=variant,
        data=data,
        top1=TOP1[variant],
        recipe=RECIPES[variant],
        structure=structure.model_dump(),
        golden=golden,
        signature={
            "inputs": [{"name": "image", "shape": [1, 16, 16, 3], **interface}],
            "outputs": [{"name": "scores", "shape": [1, 6], **interface}],
        },
    )
    return Release(record.model_copy(update={"golden": vectors.describe(golden)}), data, golden)


def _data(variant: str) -> bytes:
    if variant == "int8-io":
        return INT8_IO.read_bytes()
    return (FILES / f"{'sparse-fp16' if variant == 'wrong' else variant}.tflite").read_bytes()


def _vectors(data: bytes, *, wrong: bool) -> "Vectors":
    import numpy as np

    from zoo_builders.tflite import golden

    examples = np.random.default_rng(5).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    found = golden.make(data, examples)
    return replace(found, outputs=tuple(output + 1 for output in found.outputs)) if wrong else found


def install(folder: Path, version: str = VERSION) -> Path:
    """Put files of our own where LiteRT.js would be, with their digests.

    For what serves them and never runs them.
    """
    for name in set(installed.FILES) - {installed.ABOUT}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"{version} {name} ".encode() * 50)
    noted = {
        name: Digest.of((folder / name).read_bytes())
        for name in installed.FILES
        if name != installed.ABOUT
    }
    (folder / installed.ABOUT).write_text(json.dumps({"version": version, "files": noted}))
    return folder


def digest(release: Release) -> Digest:
    """Give the digest of a release's file."""
    return release.record.file.sha256
