"""LiteRT.js as it was installed beside the registry, for pages to load.

The known files only, held against their digests.
"""

import gzip
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from zoo_registry.litertjs import installed
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound

_LARGEST = "core/wasm/litert_wasm_internal.wasm"


@dataclass(frozen=True)
class RuntimeFile:
    """One file, whole in memory."""

    media: str
    data: bytes

    @cached_property
    def digest(self) -> Digest:
        """Give the sha256 of the bytes."""
        return Digest.of(self.data)

    @cached_property
    def packed(self) -> bytes:
        """Give the bytes in gzip: of WebAssembly, a visitor's phone then loads a quarter."""
        return gzip.compress(self.data, 6, mtime=0)


@lru_cache(maxsize=16)
def _read(path: Path, media: str, _changed: tuple[int, int, int]) -> RuntimeFile:
    return RuntimeFile(media, path.read_bytes())


class RuntimeFiles:
    """The files of one folder; it may be filled, emptied or replaced while the registry runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def version(self) -> str:
        """Version that is installed now; empty where none is."""
        return installed.version_in(self._folder)

    def get(self, name: str) -> RuntimeFile:
        """Give a file of `installed.FILES`; no other name ever becomes a path.

        Raises:
            NotFound: nothing is installed, it is not one of the known files, or it changed since it
                was installed.
        """
        if not self.version:
            raise NotFound(
                "LiteRT.js is not installed beside this registry", hint=installed.COMMAND
            )
        if name not in installed.FILES:
            raise NotFound(f"LiteRT.js has no file {name[:80]!r}")
        try:
            path = self._folder / name
            now = path.stat()
            file = _read(path, installed.FILES[name], (now.st_mtime_ns, now.st_size, now.st_ino))
            noted = json.loads((self._folder / installed.ABOUT).read_bytes())["files"]
        except (OSError, ValueError, KeyError) as error:
            raise NotFound(f"{name} of LiteRT.js cannot be read", hint=installed.COMMAND) from error
        if name != installed.ABOUT and noted.get(name) != file.digest:
            raise NotFound(
                f"{name} of LiteRT.js changed since it was installed", hint=installed.COMMAND
            )
        return file

    @property
    def download(self) -> int:
        """Bytes that a visitor loads once, about: by far the largest file, packed.

        Raises:
            NotFound: as `get`.
        """
        return len(self.get(_LARGEST).packed)
