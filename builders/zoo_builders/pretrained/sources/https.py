"""`https`: a file of weights from anywhere on the web, demanded by its sha256."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from zoo_builders.pretrained import weight_files
from zoo_builders.pretrained.download import kept
from zoo_builders.pretrained.sources import WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Report, Wanted
from zoo_builders.spec import Sha256, Spec
from zoo_registry.model.errors import Unreachable

_OWN = ("127.0.0.1", "localhost", "::1")
_SECONDS = 60


class HttpsParams(Spec):
    """What `weights` says about `https`."""

    url: str = Field(description="https://…/NAME.h5, .keras, .safetensors or .pth")
    sha256: Sha256 = Field(description="what `sha256sum` says of the file")
    layout: str | None = Field(
        default=None,
        description="whose names a PyTorch file uses, where they fit several: timm, timm-tf, …",
    )

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _OWN):
            raise ValueError("only https:// is fetched (http:// from this machine alone)")
        if PurePosixPath(parts.path).suffix not in weight_files.SUFFIXES:
            raise ValueError(f"its name ends in none of {', '.join(weight_files.SUFFIXES)}")
        return url


def bring(wanted: Wanted, report: Report) -> Path:
    """Fetch the file once.

    Raises:
        Unreachable: there is no answer, or a refusal.
        DigestMismatch: other bytes come.
    """
    params: HttpsParams = wanted.params
    return kept(
        params.sha256,
        PurePosixPath(urlsplit(params.url).path).name,
        lambda: _pieces(params.url),
        report,
    )


def _pieces(url: str) -> Iterator[bytes]:
    import httpx

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            yield from answer.iter_bytes()
    except httpx.HTTPError as error:
        raise Unreachable(
            f"{url}: {error}", hint=f"curl -LO {url}   # then weights: {{source: file, path: …}}"
        ) from error


WEIGHTS.add(
    "https",
    WeightsSource(
        HttpsParams,
        doc="a file on the web, by sha256",
        bring=bring,
        read=weight_files.read,
        module=__name__,
    ),
)
