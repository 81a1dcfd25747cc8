"""`file`: weights in a file of yours.

Keras' (`.keras`, `.h5`, `.weights.h5`), or PyTorch's (`.safetensors`, `.pth`) of a known network.
"""

from pydantic import Field

from zoo_builders.pretrained import weight_files
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.spec import Sha256, Spec


class FileParams(Spec):
    """What `weights` says about `file`."""

    path: str = Field(description="relative to the manifest or ${ZOO_DATA}/…")
    sha256: Sha256 | None = None
    layout: str | None = Field(
        default=None,
        description="whose names a PyTorch file uses, where they fit several: timm, timm-tf, …",
    )


def path(params: FileParams) -> str:
    """Name the user's file."""
    return params.path


WEIGHTS.add(
    "file",
    WeightsSource(
        FileParams,
        doc="a .keras, .h5, .safetensors or .pth file of yours",
        path=path,
        read=weight_files.read,
        module=__name__,
    ),
)
