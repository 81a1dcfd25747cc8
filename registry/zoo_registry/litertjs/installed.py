"""LiteRT.js as it lies on this machine: where, which version, and whether it is undamaged.

    <the user's cache folder>/litertjs/<version>/
        litertjs.json                  {"version", "files": {path: sha256}}
        core/dist/index.js             the library; it imports its helper by a relative path, so
                                       that workers can load it too
        core/wasm/litert_wasm_*        builds for browsers with and without relaxed SIMD, and with
                                       threads
        wasm-utils/dist/index.js

`npm` brings it there.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from zoo_registry.model.errors import DigestMismatch, NotFound
from zoo_registry.model.files import digest_file

VERSION = "2.5.3"
VARIABLE = "ZOO_LITERTJS"
COMMAND = "zoo devices install web-wasm"
ABOUT = "litertjs.json"
MODULES = Path(__file__).parent / "browser"
"""Our own modules that run it: the device's page and the visitor's page share them."""


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package: its name.

    What its tarball must hash to (the sha512 that registries call integrity), the files wanted of
    it.
    """

    name: str
    integrity: str
    files: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where its files go."""
        return self.name.partition("/")[2]


_BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal", "litert_wasm_threaded_internal")
PACKAGES = (
    Package(
        "@litertjs/core",
        "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        (
            "dist/index.js",
            *(f"wasm/{build}.{kind}" for build in _BUILDS for kind in ("js", "wasm")),
        ),
    ),
    Package(
        "@litertjs/wasm-utils",
        "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        ("dist/index.js",),
    ),
)
_TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
FILES: Mapping[str, str] = MappingProxyType(
    {
        path: _TYPES[Path(path).suffix]
        for path in (
            ABOUT,
            *(f"{package.folder}/{file}" for package in PACKAGES for file in package.files),
        )
    }
)
"""Everything that may be served, with its media type."""


def folder(given: Path | None = None) -> Path:
    """Say where it lies or would lie.

    That is where `ZOO_LITERTJS` says (`given`), else in the user's cache folder.
    """
    if given is not None:
        return given
    import platformdirs

    return platformdirs.user_cache_path("edgezoo") / "litertjs" / VERSION


def version_in(where: Path) -> str:
    """Version that is installed in a folder, whole; empty where none is."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        version = str(json.loads((where / ABOUT).read_bytes())["version"])
        return version if all((where / path).is_file() for path in FILES) else ""
    return ""


def found(given: Path | None = None) -> Path:
    """Give the folder of the installed runtime.

    Raises:
        NotFound: it is not there; the hint installs it.
    """
    where = folder(given)
    if not version_in(where):
        raise NotFound(f"LiteRT.js is not in {where}", hint=COMMAND)
    return where


def verify(where: Path) -> None:
    """Hold every file against the digest it had when it was installed.

    Raises:
        NotFound: none is installed there.
        DigestMismatch: a file changed since.
    """
    noted = json.loads((found(where) / ABOUT).read_bytes()).get("files", {})
    for path in sorted(set(FILES) - {ABOUT}):
        actual = digest_file(where / path)
        if actual != noted.get(path):
            raise DigestMismatch(
                str(where / path), expected=str(noted.get(path)), actual=actual, hint=COMMAND
            )
