"""Golden vectors: a few real inputs and the outputs any correct device must give.

Stored beside the file.

golden.npz    input_0 [E, …], …; output_0 [E, …], …    as the file takes and gives them (int8 stays
              int8), E examples
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.tflite import litert
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, MeasureFailed
from zoo_registry.model.record import Golden, Structure

EXAMPLES = 5
_EPOCH = (1980, 1, 1, 0, 0, 0)

TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "int8": 6e-2, "int16": 1e-2}
"""How far a device may be off, as a share of the outputs' range.

It depends on the type that the file computes with.

float32: other orders of addition and fused multiply-adds differ by some 1e-6 a layer; 1e-3 leaves
room for deep networks and is far below any wrong kernel. float16: devices with native half floats
compute with 11 bits, some 5e-4 a layer. int8: kernels may round a step up or down, which the next
layers carry on: a few steps of 1/255. int16: as int8, of finer steps.
"""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Inputs and outputs by port, each [examples, …] as stored.

    The tolerance is absolute, in stored units.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    atol: float

    def to_bytes(self) -> bytes:
        """Spell as .npz; equal vectors give equal bytes (numpy alone would store the time)."""
        arrays = {f"input_{i}": a for i, a in enumerate(self.inputs)} | {
            f"output_{i}": a for i, a in enumerate(self.outputs)
        }
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in sorted(arrays.items()):
                spelled = io.BytesIO()
                np.save(spelled, array, allow_pickle=False)
                archive.writestr(
                    zipfile.ZipInfo(f"{name}.npy", _EPOCH), spelled.getvalue(), zipfile.ZIP_DEFLATED
                )
        return out.getvalue()

    def describe(self, data: bytes) -> Golden:
        """Say what a record says of `data`, their spelled bytes."""
        return Golden(
            sha256=Digest.of(data), size=len(data), examples=len(self.inputs[0]), atol=self.atol
        )


def load(folder: Path) -> Vectors:
    """Read `golden.npz` and the tolerance in `evaluation.json` of an evaluate stage's result."""
    atol = float(json.loads((folder / "evaluation.json").read_bytes())["golden"]["atol"])
    with np.load(folder / "golden.npz", allow_pickle=False) as archive:
        return Vectors(_numbered(archive, "input"), _numbered(archive, "output"), atol)


def _numbered(archive: Any, kind: str) -> tuple[Array, ...]:
    return tuple(
        archive[f"{kind}_{index}"]
        for index in range(sum(name.startswith(f"{kind}_") for name in archive.files))
    )


def make(data: bytes, structure: Structure, examples: Array) -> Vectors:
    """Run `examples` (real values [E, …] of the one input) by the runtime's own kernels.

    The delegate must agree with them.

    Its own kernels, because they are written apart from the delegate's. Not the ones called
    reference: those end the whole process on some quantized files that all others run.

    Raises:
        MeasureFailed: a path cannot run the file.
        BuildFailed: the delegate gives other outputs than the runtime without it.
    """
    session = litert.Session(data, kernels="builtin")
    return _agreed(
        data, structure, session, [[session.inputs[0].store(example[None])] for example in examples]
    )


def seeded(
    data: bytes, structure: Structure, *, examples: int = EXAMPLES, seed: int = 0
) -> Vectors:
    """Make vectors for a file of which no real inputs are known: numbers drawn from a seed.

    Floats are uniform in [-1, 1], quantized inputs over all their steps; other integers (indices,
    lengths) are 0, which every file takes.

    Raises:
        MeasureFailed: a path cannot run the file.
        BuildFailed: the delegate gives other outputs than the runtime without it.
    """
    session, random = litert.Session(data, kernels="builtin"), np.random.default_rng(seed)
    return _agreed(
        data,
        structure,
        session,
        [[_drawn(port, random) for port in session.inputs] for _ in range(examples)],
    )


def _drawn(port: litert.Port, random: "np.random.Generator") -> Array:
    if np.issubdtype(port.dtype, np.floating):
        return random.uniform(-1, 1, port.shape).astype(port.dtype)
    if port.scale:
        limits = np.iinfo(port.dtype)
        return random.integers(limits.min, limits.max, port.shape, port.dtype, endpoint=True)
    return np.zeros(port.shape, port.dtype)


def _agreed(
    data: bytes, structure: Structure, session: litert.Session, stored: Sequence[Sequence[Array]]
) -> Vectors:
    """Run examples (one array a port, as stored) by the runtime's own kernels.

    The delegate's outputs are held against theirs.
    """
    outputs = [session.run(one) for one in stored]
    by_port = tuple(
        np.stack([output[port] for output in outputs]) for port in range(len(session.outputs))
    )
    inputs = tuple(np.stack([one[port] for one in stored]) for port in range(len(session.inputs)))
    vectors = Vectors(inputs, by_port, _tolerance(structure, by_port))
    try:
        litert.compare(litert.Session(data), vectors.inputs, vectors.outputs, vectors.atol)
    except MeasureFailed as error:
        raise BuildFailed(
            f"with and without the delegate, outputs do not agree: {error.message}",
            hint="zoo doctor",
        ) from error
    return vectors


def _tolerance(structure: Structure, outputs: tuple[Array, ...]) -> float:
    """Tolerance in stored units.

    A share of the largest range of any output, at least three steps for integers.
    """
    kind = next(
        (name for name in ("int16", "int8", "float16") if name in structure.tensors_by_dtype),
        "float32",
    )
    spread = max(float(np.ptp(output.astype(np.float64))) for output in outputs)
    least = 3.0 if any(np.issubdtype(output.dtype, np.integer) for output in outputs) else 1e-6
    return float(f"{max(spread * TOLERANCE[kind], least):.3g}")
