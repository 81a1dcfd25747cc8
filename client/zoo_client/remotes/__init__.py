"""Remotes, one file each: where artifacts are published to and pulled from.

A remote registers the schemes it speaks.
"""

from collections.abc import Callable

from zoo_client.remotes.base import Remote
from zoo_client.settings import Settings
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.plugins import Kind

REMOTES: Kind[Callable[[str, Settings], Remote]] = Kind("remote", "remotes", __name__)
remote = REMOTES.register

EMBEDDED = "embedded"


def open_remote(url: str | None, settings: Settings) -> Remote:
    """Open the remote at `url`.

    Without a URL it is the one that `ZOO_REGISTRY` names, else the registry in the project's
    folder.

        https://zoo.example.org   a registry
        hub://org/repo            the Hugging Face Hub
        s3://bucket/prefix        an S3 prefix, with no server
        file:///folder            a folder, with no server
        embedded:                 the registry in the project's folder, whatever ZOO_REGISTRY says

    Raises:
        UnknownPlugin: nobody speaks that scheme.
        WrongUse: the address is incomplete.
        MissingExtra: the package that the remote needs is not installed.
    """
    address = url or settings.registry or f"{EMBEDDED}:"
    scheme, colon, _ = address.partition(":")
    make = REMOTES.get(scheme.lower() if colon else address)
    try:
        return make(address, settings)
    except ValueError as error:  # urllib's word for brackets and ports that mean nothing
        raise WrongUse(f"not an address: {address!r}: {error}") from error
