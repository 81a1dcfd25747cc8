"""`s3`: a file of weights in a bucket, demanded by its sha256; credentials as boto3 finds them."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field

from zoo_builders.pretrained import weight_files
from zoo_builders.pretrained.download import kept
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Report, Wanted
from zoo_builders.spec import Sha256, Spec
from zoo_registry.model.errors import MissingExtra, Unreachable

_PIECE = 1 << 20


class S3Params(Spec):
    """What `weights` says about `s3`."""

    url: str = Field(
        pattern=r"^s3://[^/]+/.+\.(keras|h5|hdf5|safetensors|pth|pt|bin)$",
        description="s3://bucket/path/NAME.h5, .keras, …",
    )
    sha256: Sha256 = Field(description="what `sha256sum` says of the file")
    layout: str | None = Field(
        default=None,
        description="whose names a PyTorch file uses, where they fit several: timm, timm-tf, …",
    )


def bring(wanted: Wanted, report: Report) -> Path:
    """Fetch the object once.

    Raises:
        MissingExtra: boto3 is not installed.
        Unreachable: there is no such object, no access, or no answer.
        DigestMismatch: other bytes come.
    """
    params: S3Params = wanted.params
    return kept(params.sha256, PurePosixPath(params.url).name, lambda: _pieces(params.url), report)


def _pieces(url: str) -> Iterator[bytes]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise MissingExtra(
            f"{url} needs boto3, which is not installed", hint="pip install 'edgezoo[s3]'"
        ) from error
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        session = boto3.session.Session()
        client = session.client("s3", region_name=session.region_name or "us-east-1")
        yield from client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_PIECE)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Unreachable(f"{url}: {error}", hint=f"aws s3 ls {url}") from error


WEIGHTS.add(
    "s3",
    WeightsSource(
        S3Params,
        doc="an object in a bucket, by sha256",
        bring=bring,
        read=weight_files.read,
        module=__name__,
    ),
)
