"""One model in several variants, with the spread of numbers a real family has.

What pages are judged by.
"""

from typing import Any

from plugins.records import BASELINE, blob, make, measured
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Measurement, Record
from zoo_registry.model.summary import Summary

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIGNATURE = {
    "inputs": [{"name": "image", "shape": [1, 32, 32, 3], "dtype": "float32"}],
    "outputs": [{"name": "scores", "shape": [1, 10], "dtype": "float32"}],
    "preprocess": [{"resize": [32, 32]}, {"rescale": [-1, 1]}],
    "labels": LABELS,
}
Row = tuple[str, tuple[str, ...], float, int, tuple[float, float], tuple[float, float] | None]
PRUNE = {
    "technique": "prune",
    "params": {
        "policy": "xnnpack",
        "schedule": "polynomial",
        "initial": 0.25,
        "final": 0.75,
        "epochs": 15,
    },
}
CLUSTER = {"technique": "cluster", "params": {"clusters": 16, "epochs": 3}}

# variant, recipe, top-1, gzip bytes, host-cpu (median ms, ratio), web-wasm
ROWS: tuple[Row, ...] = (
    ("fp32", (), 0.4031, 12203, (0.0213, 1.0), (0.092, 1.0)),
    ("fp16", ("float16",), 0.4030, 7310, (0.0214, 1.003), (0.093, 1.01)),
    ("dynamic", ("dynamic",), 0.4026, 6204, (0.0301, 1.41), None),
    ("int8", ("int8",), 0.4019, 5022, (0.0121, 0.57), None),
    ("int16x8", ("int16x8",), 0.4029, 5811, (0.2411, 11.3), None),
    ("sparse75", ("prune",), 0.4460, 7790, (0.0214, 1.005), (0.061, 0.66)),
    ("sparse75-fp16", ("prune", "float16"), 0.4458, 5120, (0.0215, 1.008), (0.062, 0.67)),
    ("clustered16", ("cluster",), 0.3988, 5230, (0.0212, 0.996), None),
    ("clustered16-int8", ("cluster", "int8"), 0.3979, 3120, (0.0122, 0.57), None),
    ("sparse75-int8", ("prune", "int8"), 0.4431, 3890, (0.0123, 0.58), None),
)


def family(model: str = "cifar10-cnn") -> tuple[Record, ...]:
    """Build the records of all variants; `file_of` gives the bytes each speaks of."""
    return tuple(_record(model, row) for row in ROWS)


def file_of(record: Record) -> bytes:
    """Give the bytes that stand for a record's file."""
    return blob(record.name, record.file.size)


def summaries(records: tuple[Record, ...]) -> tuple[Summary, ...]:
    """Reduce records to what a listing shows."""
    return tuple(
        Summary.of(record, Digest.of(record.to_bytes()), published="2026-01-02T03:04:05Z")
        for record in records
    )


def _step(name: str) -> dict[str, Any]:
    return {"prune": PRUNE, "cluster": CLUSTER}.get(
        name, {"technique": "quantize", "params": {"dtype": name}}
    )


def _record(model: str, row: Row) -> Record:
    variant, recipe, top1, gzip, host, web = row
    name = f"{model}-{variant}"
    data = blob(name, gzip + 3000)
    sparse = "prune" in recipe
    timings = [_timing(data, "host-cpu", host, noisy=variant == "sparse75-fp16")]
    timings += (
        [_timing(data, "web-wasm", web, sparse_path="confirmed" if sparse else "none")]
        if web
        else []
    )
    return make(
        model=model,
        variant=variant,
        top1=top1,
        data=data,
        description=(
            "The small CNN of TensorFlow's guide to pruning for on-device inference with XNNPACK."
        ),
        recipe=[_step(step) for step in recipe],
        file={
            "sha256": Digest.of(data),
            "size": gzip + 3000,
            "size_gzip": gzip,
            "size_zstd": gzip - 90,
            "path": f"{name}.tflite",
        },
        signature=SIGNATURE,
        structure=_structure(sparse=sparse, clustered="cluster" in recipe),
        proofs=[_finding("prune", "sparsity at least 0.75", "0.7522")] if sparse else [],
        measurements=timings,
        fidelity={
            "versus_sha256": BASELINE,
            "split": "calibration",
            "examples": 200,
            "top1_agreement": 0.93,
            "sqnr_db": 21.4,
        },
        goals=[{"goal": "top1.max_drop", "limit": 0.02, "value": 0.004, "met": True}],
    )


def _timing(
    data: bytes,
    device: str,
    numbers: tuple[float, float],
    *,
    noisy: bool = False,
    sparse_path: str = "none",
) -> Measurement:
    median, ratio = numbers
    verdict = (
        "baseline"
        if ratio == 1
        else "faster"
        if ratio < 0.9
        else "slower"
        if ratio > 1.1
        else "within noise"
    )
    return measured(
        Digest.of(data),
        device=device,
        median=median,
        ratio={"value": ratio, "ci95": (ratio * 0.975, ratio * 1.03)},
        verdict=verdict,
        noisy=noisy,
        noise_causes=("A/A control 1.06, outside 0.95 to 1.05",) if noisy else (),
        sparse_path=sparse_path,
    )


def _structure(*, sparse: bool, clustered: bool) -> dict[str, Any]:
    zeros = 0.752 if sparse else 0.0
    weights = [
        {
            "name": f"cnn/conv2d_{i}/Conv2D",
            "operator": "CONV_2D",
            "shape": [out, 1, 1, out // 2],
            "dtype": "float32",
            "sparsity": zeros,
            "distinct": 16 if clustered else 900,
            "distinct_per_channel": 16,
            "encoded_sparse": sparse,
        }
        for i, out in enumerate((16, 32))
    ]
    reason = (
        "every operator from the stem to the mean is on the list"
        if sparse
        else "no zeros in the 1x1 kernels"
    )
    return {
        "parameters": 2746,
        "macs": 183296,
        "operators": {
            "PAD": 2,
            "CONV_2D": 3,
            "DEPTHWISE_CONV_2D": 2,
            "MEAN": 1,
            "FULLY_CONNECTED": 1,
        },
        "tensors_by_dtype": {"float32": 14, "int32": 3},
        "sparsity_overall": zeros * 0.8,
        "weights": weights,
        "densify": 2 if sparse else 0,
        "xnnpack": {
            "predicted_sparse": sparse,
            "cpus": ["arm64", "wasm-simd"] if sparse else [],
            "reason": reason,
        },
    }


def _finding(technique: str, promise: str, found: str) -> dict[str, Any]:
    return {
        "technique": technique,
        "promise": promise,
        "tensor": "cnn/conv2d_0/Conv2D",
        "expected": "0.75",
        "found": found,
        "held": True,
    }
