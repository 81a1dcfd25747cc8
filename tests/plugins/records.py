"""Records for tests: valid, deterministic, and cheap to vary."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Measurement, Record

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASELINE = Digest.of(b"the float file")


def blob(seed: str = "file", size: int = 300) -> bytes:
    """Give deterministic bytes that stand for a model file."""
    return (f"TFL3 {seed} ".encode() * (size // (len(seed) + 6) + 1))[:size]


def measured(
    file_sha256: Digest,
    *,
    device: str = "host-cpu",
    threads: int = 1,
    median: float = 2.0,
    **changes: Any,
) -> Measurement:
    """Build one measurement of a file."""
    latency = {
        "median": median,
        "mean": median * 1.01,
        "p5": median * 0.9,
        "p95": median * 1.2,
        "p99": median * 1.4,
    }
    data: dict[str, Any] = {
        "file_sha256": file_sha256,
        "device": device,
        "runtime": "litert",
        "runtime_version": "2.2.0",
        "delegate": "xnnpack",
        "nodes_delegated": 9,
        "nodes_total": 10,
        "threads": threads,
        "pinned": True,
        "warmup": 5,
        "runs": 50,
        "rounds": 5,
        "latency_ms": {**latency, "min": median * 0.8, "max": median * 2, "std": median * 0.05},
        "init_ms": 3.0,
        "first_ms": median * 2,
        "peak_memory_mb": 12.0,
        "baseline": {"name": "fp32", "sha256": BASELINE},
        "ratio": {"value": median / 4, "ci95": (median / 4.2, median / 3.8)},
        "aa_ratio": {"value": 1.0, "ci95": (0.98, 1.02)},
        "verdict": "faster",
        "noisy": False,
        "output_check": "passed",
        "protocol": "interleaved/v1",
        "when": WHEN,
        "host": {"cpu": "test", "arch": "x86_64", "cores": 2, "fingerprint": Digest.of(b"host")},
    }
    return Measurement.model_validate(data | changes)


def make(
    *,
    model: str = "digits-cnn",
    variant: str = "int8",
    version: str = "1.0.0",
    data: bytes | None = None,
    technique: str | None = "quantize",
    top1: float = 0.97,
    medians: dict[str, float] | None = None,
    golden: bytes | None = None,
    **changes: Any,
) -> Record:
    """Build a valid record of the file `data` (by default `blob(name@version)`).

    With one measurement per device in `medians`.
    """
    name = f"{model}-{variant}"
    data = blob(f"{name}@{version}") if data is None else data
    digest, dataset = Digest.of(data), Digest.of(b"digits")
    parts: dict[str, Any] = {
        "name": name,
        "version": version,
        "model": model,
        "variant": variant,
        "task": "image-classification",
        "license": "apache-2.0",
        "description": f"A small network for tests, {variant}.",
        "file": {
            "sha256": digest,
            "size": len(data),
            "size_gzip": len(gzip.compress(data, 9, mtime=0)),
            "size_zstd": len(data) // 3,
            "path": f"{name}.tflite",
        },
        "signature": {
            "inputs": [{"name": "image", "shape": [1, 8, 8, 1], "dtype": "float32"}],
            "outputs": [{"name": "scores", "shape": [1, 10], "dtype": "float32"}],
        },
        "recipe": [{"technique": technique, "params": {"dtype": "int8"}}] if technique else [],
        "metrics": [
            {
                "dataset": "digits",
                "dataset_sha256": dataset,
                "split": "test",
                "examples": 360,
                "metric": "top1",
                "value": top1,
                "ci95": [top1 - 0.02, min(1.0, top1 + 0.02)],
            }
        ],
        "structure": {
            "parameters": 1234,
            "macs": 56789,
            "operators": {"CONV_2D": 2},
            "tensors_by_dtype": {"int8": 4},
            "sparsity_overall": 0.0,
            "weights": [],
            "densify": 0,
            "xnnpack": {"predicted_sparse": False, "reason": "no zeros"},
        },
        "measurements": [
            measured(digest, device=device, median=ms)
            for device, ms in (medians or {"host-cpu": 2.0}).items()
        ],
        "provenance": {
            "fingerprint": Digest.of(b"stage"),
            "manifest_sha256": Digest.of(b"manifest"),
            "base_sha256": Digest.of(b"base"),
            "dataset_sha256": dataset,
            "seed": 7,
            "tools": {"python": "3.11"},
            "host": "test",
            "started": WHEN,
            "duration_s": 1.5,
        },
        "reproducible": "weights",
    }
    if golden is not None:
        parts["golden"] = {
            "sha256": Digest.of(golden),
            "size": len(golden),
            "examples": 4,
            "atol": 1e-4,
        }
    return Record.model_validate(parts | changes)


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Give the builder `make`."""
    return make


@pytest.fixture
def make_measurement() -> Callable[..., Measurement]:
    """Give the builder `measured`."""
    return measured


@pytest.fixture
def blob_bytes() -> Callable[..., bytes]:
    """Give the builder `blob`.

    `blob_bytes("digits-cnn-int8@1.0.0")` is the file of `make_record()`.
    """
    return blob
