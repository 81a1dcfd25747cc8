"""How large a file is to store and to download."""

import gzip

from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Part

GZIP_LEVEL, ZSTD_LEVEL = 9, 19


class Sizes(Part):
    """A file's digest and its bytes: as it is, gzip at level 9, zstd at level 19."""

    sha256: Digest
    size: int
    size_gzip: int
    size_zstd: int


def measure(data: bytes) -> Sizes:
    """Compress `data` both ways; equal bytes give equal sizes (gzip's time stamp is left out)."""
    import zstandard

    return Sizes(
        sha256=Digest.of(data),
        size=len(data),
        size_gzip=len(gzip.compress(data, GZIP_LEVEL, mtime=0)),
        size_zstd=len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)),
    )
