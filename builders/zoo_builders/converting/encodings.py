"""Dense or sparse: a model is converted both ways where that can help, both files are run.

The better one is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_builders.converting import quantized_file
from zoo_builders.converting.quantized_file import Data
from zoo_builders.keras_models.render import graph_of
from zoo_builders.keras_models.weights import weights_of
from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import FIXED
from zoo_builders.techniques.quantize.params import Params as Quantize
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import BuildFailed, MeasureFailed, Unsupported
from zoo_registry.model.record import Quantization

PROBES = 8
"""On how many calibration inputs the finished files are run and compared."""

SPARSE_FROM = 0.3
"""Share of zeros from which the converter stores a tensor sparse.

Below it in every tensor no sparse twin is built.
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
        about: how it was quantized.
        opens: whether XNNPACK takes its sparse path with it, where the processor has one.
    """

    dense: bytes
    sparse: bytes | None = None
    refused: str = ""
    opens: bool = False
    why_dense: str = ""
    about: Quantization | None = None

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
        if rule == "always":
            return "sparse", "always asked for"
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


def encode(
    model: Any,
    quantize: Quantize | None,
    data: Data,
    *,
    file: bytes = b"",
    rule: str = "auto",
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Encodings:
    """Convert `model` (or take the finished `file`) dense and.

    If the rule wants it and a weight tensor has zeros enough, sparse.

    What was made is run on a few inputs before it is given away: a file that converts is not yet
        one that works.

    Raises:
        BuildFailed: the converter refuses the model.
        MeasureFailed: the runtime refuses the dense file.
    """
    report(0, 1, "convert")
    made = (
        quantized_file.of_file(file, quantize, data, report)
        if file
        else quantized_file.of_model(model, quantize, data, report)
    )
    samples = data.calibration()[:PROBES]
    expected = _outputs(made.dense, samples)
    report(1, 1, "convert")
    tried = rule == "always" or (rule == "auto" and not file and most_zeros(model) >= SPARSE_FROM)
    if made.sparse is None or not tried:
        return Encodings(made.dense, why_dense=made.why_dense, about=made.about)
    sparse = made.sparse()
    report(2, 2, "convert")
    if not any(tensor.sparse is not None for tensor in read(sparse).main.tensors):
        return Encodings(made.dense, why_dense=FEW, about=made.about)
    refused = _disagreement(sparse, samples, expected)
    return Encodings(made.dense, sparse, refused, _opens(model, quantize), about=made.about)


def _outputs(file: bytes, samples: Any) -> list[Any]:
    session = Session(file)
    port = session.inputs[0]
    return [session.run([port.store(sample[None])])[0] for sample in samples]


def _disagreement(sparse: bytes, samples: Any, expected: Sequence[Any]) -> str:
    """Say why the sparse file is no substitute for the dense one; empty when it is."""
    try:
        found = _outputs(sparse, samples)
    except MeasureFailed as error:
        return error.message
    same = all(
        np.allclose(left, right, rtol=1e-4, atol=1e-4)
        for left, right in zip(found, expected, strict=True)
    )
    return "" if same else "its outputs differ from the dense file's"


def _opens(model: Any, quantize: Quantize | None) -> bool:
    """Whether XNNPACK has a sparse path for this model.

    Its structure, float weights, and zeros enough.
    """
    if quantize is not None and quantize.dtype != "float16":
        return False
    try:
        graph = graph_of(model)
    except Unsupported:
        return False
    zeros = {
        name: float(np.mean(own["kernel"] == 0))
        for name, own in weights_of(model, graph).items()
        if "kernel" in own
    }
    return not sparse_path.objections(graph) and sparse_path.enough(
        sparse_path.share_of_zeros(graph, zeros)
    )


def most_zeros(model: Any) -> float:
    """Largest share of zeros in any kernel of the model that is no formula.

    Most of a mel filter bank is zero by nature.
    """
    learned = [layer for layer in model.layers if not layer.name.startswith(FIXED)]
    kernels = [weight for layer in learned for weight in layer.get_weights() if weight.ndim > 1]
    return max((float(np.mean(kernel == 0)) for kernel in kernels), default=0.0)
