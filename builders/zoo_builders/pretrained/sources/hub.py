"""`hub`: weights in a repository of the Hugging Face Hub.

Such as timm's PyTorch-trained MobileNets, demanded by their sha256.

PyTorch pads evenly, so its MobileNetV2 fits `variant: xnnpack` exactly: the same outputs, and
XNNPACK can run it sparse. `HF_ENDPOINT` and `HF_TOKEN` are read by huggingface_hub, which also
keeps the download.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from zoo_builders.pretrained import padding, torch_layouts, weight_files
from zoo_builders.pretrained.download import verified
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Complaint, Report, Wanted
from zoo_builders.spec import Sha256, Spec
from zoo_registry.model.errors import MissingExtra, Unreachable


class HubParams(Spec):
    """What `weights` says about `hub`."""

    repo: str = Field(
        pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name, such as timm/mobilenetv2_100.ra_in1k"
    )
    revision: str = Field(default="main", description="a commit (40 hex digits), tag or branch")
    file: str = Field(default="model.safetensors", description="path in the repository")
    sha256: Sha256 = Field(description="what the Hub's page of the file shows, or `sha256sum` says")
    layout: str | None = Field(
        default=None,
        description="whose names it uses, where they fit several: torchvision, timm, timm-tf, …",
    )


def check(wanted: Wanted) -> list[Complaint]:
    """Refuse networks whose PyTorch names are not known."""
    if wanted.graph is None or not wanted.params.file.endswith(
        (".safetensors", *weight_files.TORCH_SUFFIXES)
    ):
        return []
    known = torch_layouts.names(wanted.graph)
    if not known:
        fix = f"networks it is known for: {', '.join(torch_layouts.networks())}"
        return [
            Complaint(
                "source",
                f"how PyTorch names the layers of {wanted.graph.name} is not known here",
                fix,
            )
        ]
    if wanted.params.layout not in (None, *known):
        return [
            Complaint(
                "layout",
                f"no layout of {wanted.graph.name} is called {wanted.params.layout!r}",
                f"known: {', '.join(known)}",
            )
        ]
    return []


def remarks(wanted: Wanted) -> Sequence[str]:
    """Say which layers see other pixels than in training, where the layout is clear."""
    return padding.torch_remarks(wanted, wanted.params.layout)


def bring(wanted: Wanted, report: Report) -> Path:
    """Let huggingface_hub fetch the file once.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        Unreachable: no such repository, revision or file, or no answer.
        DigestMismatch: it is another file.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra(
            "weights from the Hub need huggingface_hub", hint="pip install 'edgezoo[hub]'"
        ) from error
    params: HubParams = wanted.params
    report(0, 1, f"fetching {params.repo}/{params.file}")
    try:
        path = hf_hub_download(params.repo, params.file, revision=params.revision)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        hint = f"hf download {params.repo} {params.file} --revision {params.revision}"
        raise Unreachable(
            f"{params.repo}/{params.file}: {str(error).strip()[:200]}", hint=hint
        ) from error
    return verified(Path(path), params.sha256)


WEIGHTS.add(
    "hub",
    WeightsSource(
        HubParams,
        doc="the Hugging Face Hub: PyTorch-trained networks (timm, torchvision), by sha256",
        check=check,
        remarks=remarks,
        bring=bring,
        read=weight_files.read,
        module=__name__,
    ),
)
