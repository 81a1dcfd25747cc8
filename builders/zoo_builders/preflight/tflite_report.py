"""What can be said before a build of a base that is a finished `.tflite` file.

What the file itself tells. Reads it, runs nothing.

Layer by layer there is nothing to judge: no technique but `quantize` takes such a file, and which
of its operators the quantizer takes is known when it has run. Its size is no prediction but a fact,
and so is what its weights take; the rest of a quantized file is not guessed.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo_builders.manifest.recipes import Recipes
from zoo_builders.preflight import latency_forecast, size_forecast
from zoo_builders.tflite import inspection
from zoo_registry.model.structure import Structure


@dataclass(frozen=True, slots=True)
class VariantForecast:
    """What to expect of one variant.

    Attributes:
        name: of the variant.
        weights: bytes that the float weights of the file take in it; None where no rule says.
        chances: predicted effect on latency by family of devices, beside the file as it is.
    """

    name: str
    weights: int | None
    chances: tuple[latency_forecast.Chance, ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What the file tells, and what that means for every variant."""

    size: int
    operators: int
    structure: Structure
    variants: tuple[VariantForecast, ...]

    def plain(self, here: latency_forecast.Here) -> dict[str, Any]:
        """Give it as JSON."""
        sparse = self.structure.xnnpack
        about = {
            "size": self.size,
            "operators": self.operators,
            "parameters": self.structure.parameters,
            "macs": self.structure.macs,
        }
        variants = [
            {
                "variant": one.name,
                "weights": one.weights,
                "latency": [{**asdict(c), "here": c.family == here.family} for c in one.chances],
            }
            for one in self.variants
        ]
        return {**about, "xnnpack": sparse.model_dump(mode="json"), "variants": variants}


def look(path: Path, recipes: Recipes) -> FileReport:
    """Read a file and judge the variants of it.

    Raises:
        BadFile: it is no .tflite file that can be read.
        OSError: it cannot be read at all.
    """
    data = path.read_bytes()
    structure = inspection.inspect(data)
    floats = sum(
        math.prod(weight.shape) for weight in structure.weights if weight.dtype == "float32"
    )
    variants = (
        _variant(name, size_forecast.stored_as(steps), structure, floats)
        for name, steps in recipes.items()
    )
    return FileReport(len(data), sum(structure.operators.values()), structure, tuple(variants))


def _variant(
    name: str, stored: latency_forecast.Stored, structure: Structure, floats: int
) -> VariantForecast:
    sparse = structure.xnnpack
    depthwise = max(
        (
            math.prod(weight.shape)
            for weight in structure.weights
            if weight.operator == "DEPTHWISE_CONV_2D"
        ),
        default=0,
    )
    work = latency_forecast.Work(structure.macs, depthwise)
    found = latency_forecast.chances(
        stored,
        opens=sparse.predicted_sparse,
        share=structure.sparsity_overall,
        shut=sparse.reason,
        work=work,
    )
    weights = None if stored == "other" else math.ceil(floats * size_forecast.WIDTH[stored][0])
    return VariantForecast(name, weights, found)
