"""Stores, one file each: blobs by digest and small named documents.

A store registers the scheme of its addresses.
"""

from collections.abc import Callable

from zoo_registry.model.plugins import Kind
from zoo_registry.stores.base import Store

STORES: Kind[Callable[[str], Store]] = Kind("store", "stores", __name__)
store = STORES.register


def open_store(url: str) -> Store:
    """Open the store at `url`. Nothing is created or contacted before the first use.

        /folder, file:///folder   a folder            s3://bucket/prefix   an S3 prefix
        memory://                 this process only, empty

    Raises:
        UnknownPlugin: nobody speaks that scheme.
        WrongUse: the address is incomplete.
        MissingExtra: the package that the store needs is not installed.
    """
    scheme, separator, _ = url.partition("://")
    return STORES.get(scheme.lower() if separator else "file")(url)
