"""`file`: weights in a file of yours: a Keras file (`.keras`, `.h5`, `.weights.h5`), or `.safetensors` as PyTorch names them."""

from pydantic import Field

from zoo_builders.specs import Sha256, Spec
from zoo_builders.weights_sources import WEIGHTS, WeightsSource


class FileParams(Spec):
    """What `weights` says about `file`."""

    path: str = Field(description="relative to the manifest or ${ZOO_DATA}/…")
    sha256: Sha256 | None = None


def path(params: FileParams) -> str:
    """Name the user's file."""
    return params.path


WEIGHTS.add("file", WeightsSource(FileParams, doc="a .keras, .h5 or .safetensors file of yours", path=path, module=__name__))
