"""Dense or sparse: a file is made both ways where that can help, both are run, one is kept."""

from dataclasses import dataclass

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.converting.float_model import Report
from zoo_builders.converting.quantized_file import Quantized, without_zeros
from zoo_builders.tflite.dense_twin import densify
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import BuildFailed, MeasureFailed

PROBES = 8
"""On how many calibration inputs the finished files are run and compared."""

SPARSE_FROM = 0.3
"""Share of zeros from which the converter stores a tensor sparse.

Where every tensor is below it, no sparse twin is built.
"""

FEW = f"no weight tensor has {SPARSE_FROM:.0%} zeros"
"""Why there is no sparse file then."""


@dataclass(frozen=True, slots=True)
class Encodings:
    """Two spellings of the same weights: dense, and with zeros left out where that was tried.

    Attributes:
        refused: why the sparse file cannot be kept (the runtime's own words); empty when it runs
            and agrees with the dense one.
        why_dense: why there is no sparse file, where that was found while making one.
        kept: whether the sparse file is kept whatever is smaller: it came so.
        opens: whether XNNPACK takes its sparse path with it, where the processor has one.
    """

    dense: bytes
    sparse: bytes | None = None
    refused: str = ""
    opens: bool = False
    why_dense: str = ""
    kept: bool = False

    def choose(self, rule: str) -> tuple[str, str]:
        """Give the encoding to keep and why, under the rule `auto`, `always` or `never`.

        Raises:
            BuildFailed: `always`, and there is no sparse file, or it does not run.
        """
        if self.sparse is None and self.why_dense and rule == "always":
            raise BuildFailed(
                f"sparse_encoding: always, but there is no sparse file: {self.why_dense}",
                hint="set sparse_encoding: auto",
            )
        if self.sparse is None:
            return "dense", self.why_dense or ("never asked for" if rule == "never" else FEW)
        if self.refused:
            return self._refuse(rule)
        if self.kept or rule == "always":
            return "sparse", "kept as it came" if self.kept else "always asked for"
        saved = len(self.dense) - len(self.sparse)
        if saved > 0:
            return "sparse", f"{saved} bytes smaller"
        if self.opens:
            return "sparse", f"{-saved} bytes larger, but XNNPACK can run it sparse"
        return "dense", f"sparse would be {-saved} bytes larger"

    def _refuse(self, rule: str) -> tuple[str, str]:
        if rule == "always":
            raise BuildFailed(
                f"the sparse file cannot be used: {self.refused}", hint="set sparse_encoding: auto"
            )
        return "dense", f"the sparse file cannot be used: {self.refused}"


def encoded(made: Quantized, rule: str, report: Report) -> Encodings:
    """Try the file on a few inputs, and the same with its zeros left out where that can help.

    It can where the rule wants it and a weight tensor has zeros enough. A file that converts is not
    yet one that works, so none is given away untried.

    Raises:
        BuildFailed: the converter refuses the sparse file.
        MeasureFailed: the runtime refuses the dense file.
    """
    dense, model = made.file.data, made.model
    probes = model.examples.calibration[:PROBES]
    expected = Session(dense).infer(probes)
    report(1, 1, "convert")
    tried = rule == "always" or (rule == "auto" and model.zeros >= SPARSE_FROM)
    came_sparse = model.file is not None and model.quantize is None
    twin = densify(dense) if came_sparse else None
    if twin is not None:
        return Encodings(twin, dense, kept=True)
    if made.why_dense or not tried:
        return Encodings(dense, why_dense=made.why_dense)
    sparse = without_zeros(made)
    report(2, 2, "convert")
    if not any(tensor.sparse is not None for tensor in sparse.main.tensors):
        return Encodings(dense, why_dense=FEW)
    return Encodings(dense, sparse.data, _refused(sparse.data, probes, expected), model.opens)


def _refused(sparse: bytes, probes: Array, expected: Array) -> str:
    """Say why the sparse file is no substitute for the dense one; empty when it is."""
    try:
        found = Session(sparse).infer(probes)
    except MeasureFailed as error:
        return error.message
    same = np.allclose(found, expected, rtol=1e-4, atol=1e-4)
    return "" if same else "its outputs differ from the dense file's"
