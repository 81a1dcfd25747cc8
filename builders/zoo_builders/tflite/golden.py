"""Golden vectors: real inputs, the outputs any correct device must give, and by which rule.

Stored beside the file: see `golden_file`, and `agreement` for the rule.
"""

import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.tflite import agreement, agreement_limits, flatbuffer, golden_file, litert
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed, MeasureFailed
from zoo_registry.model.output_rule import OutputRule
from zoo_registry.model.record import Golden

EXAMPLES, FEWEST, BUDGET = 32, 8, 4 * 2**20
"""Examples of golden vectors, unless they take more than the budget of bytes; never fewer."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SHARE_FOR_OLDER = 0.06


@dataclass(frozen=True, slots=True)
class Vectors:
    """Inputs and outputs by port, each [examples, …] as stored.

    Attributes:
        atol: what programs that know no rules hold every value against, in stored units.
        rule: when outputs agree; None of vectors that older programs made.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    atol: float
    rule: agreement.Rule | None = None

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
        rule = None if self.rule is None else OutputRule.model_validate(self.rule.plain())
        return Golden(
            sha256=Digest.of(data),
            size=len(data),
            examples=len(self.inputs[0]),
            atol=self.atol,
            rule=rule,
        )


def load(folder: Path) -> Vectors:
    """Read `golden.npz` and what `evaluation.json` says of it, of an evaluate stage's result."""
    said = Golden.model_validate(json.loads((folder / "evaluation.json").read_bytes())["golden"])
    return Vectors(*golden_file.read(folder / "golden.npz"), said.atol, rule_of(said))


def rule_of(golden: Golden) -> agreement.Rule | None:
    """Give the rule that a record carries; None where an older program wrote it."""
    return None if golden.rule is None else agreement.Rule.of(golden.rule.model_dump())


def affordable(size: int) -> int:
    """Say how many examples of `size` bytes golden vectors hold."""
    return max(FEWEST, min(EXAMPLES, BUDGET // max(size, 1)))


def make(data: bytes, examples: Array) -> Vectors:
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
        data, session, [[session.inputs[0].store(example[None])] for example in examples]
    )


def seeded(data: bytes, *, examples: int | None = None, seed: int = 0) -> Vectors:
    """Make vectors for a file of which no real inputs are known: numbers drawn from a seed.

    Floats are uniform in [-1, 1], quantized inputs over all their steps; other integers (indices,
    lengths) are 0, which every file takes.

    Raises:
        MeasureFailed: a path cannot run the file.
        BuildFailed: the delegate gives other outputs than the runtime without it.
    """
    session, random = litert.Session(data, kernels="builtin"), np.random.default_rng(seed)
    size = sum(math.prod(port.shape) * port.dtype.itemsize for port in session.inputs)
    count = affordable(size) if examples is None else examples
    return _agreed(
        data, session, [[_drawn(port, random) for port in session.inputs] for _ in range(count)]
    )


def _drawn(port: litert.Port, random: "np.random.Generator") -> Array:
    if np.issubdtype(port.dtype, np.floating):
        return random.uniform(-1, 1, port.shape).astype(port.dtype)
    if port.scale:
        limits = np.iinfo(port.dtype)
        return random.integers(limits.min, limits.max, port.shape, port.dtype, endpoint=True)
    return np.zeros(port.shape, port.dtype)


def _agreed(data: bytes, session: litert.Session, stored: Sequence[Sequence[Array]]) -> Vectors:
    """Run examples (one array a port, as stored) by the runtime's own kernels.

    The delegate's outputs are held against theirs.
    """
    inputs = tuple(np.stack([one[port] for one in stored]) for port in range(len(session.inputs)))
    outputs = litert.outputs(session, inputs)
    file, found = flatbuffer.read(data), litert.outputs(litert.Session(data), inputs)
    try:
        agreement.judge(found, outputs, 0.0, agreement_limits.rule(file, outputs))
    except MeasureFailed as error:
        raise BuildFailed(
            f"with and without the delegate, outputs do not agree: {error.message}",
            hint="zoo doctor",
        ) from error
    rule = agreement_limits.rule(file, outputs, found)
    return Vectors(inputs, outputs, _for_older(outputs, found), rule)


def _for_older(outputs: Sequence[Array], found: Sequence[Array]) -> float:
    """Give a tolerance for programs that hold every value of every example against one number.

    In stored units: a share of the largest range of any output, at least three steps for integers,
    and at least twice what good kernels differ by here.
    """
    spread = max(float(np.ptp(output.astype(np.float64))) for output in outputs)
    apart = max(
        float(np.abs(ours.astype(np.float64) - theirs).max())
        for ours, theirs in zip(found, outputs, strict=True)
    )
    least = 3.0 if any(np.issubdtype(output.dtype, np.integer) for output in outputs) else 1e-6
    return float(f"{max(spread * _SHARE_FOR_OLDER, 2 * apart, least):.3g}")
