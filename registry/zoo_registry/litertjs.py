"""LiteRT.js on this machine.

Fetched by npm once, held against committed digests, then served to browsers as it lies.

    <the user's cache folder>/litertjs/<version>/
        litertjs.json                  {"version", "files": {path: sha256}}
        core/dist/index.js             the library; it imports its helper by a relative path, so
                                       that workers can load it too
        core/wasm/litert_wasm_*        builds for browsers with and without relaxed SIMD, and with
                                       threads
        wasm-utils/dist/index.js

Standard library and platformdirs only: the server, the client and the builders all look here.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, NotFound, Unreachable, Unsupported
from zoo_registry.model.files import digest_file, sync_folder

VERSION = "2.5.3"
VARIABLE = "ZOO_LITERTJS"
COMMAND = "zoo devices install web-wasm"
ABOUT = "litertjs.json"
LAB = Path(__file__).parent / "web" / "static" / "lab"
"""Our own modules that run it in a browser: the device's page and the visitor's page share them."""

Progress = Callable[[int, int, str], None]

_TIMEOUT_S = 600
_LARGEST = 64 << 20
_LAST_WORDS = 400
_BARE, _RELATIVE = b'"@litertjs/wasm-utils"', b'"../../wasm-utils/dist/index.js"'


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

    Where `ZOO_LITERTJS` says (`given`), else in the user's cache folder.
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


def install(where: Path, *, npm: str = "npm", progress: Progress = lambda *_: None) -> bool:
    """Fetch both packages with npm, verify them and put them in place, whole or not at all.

    False if they were there already, undamaged.

    npm asks whichever registry the user's own configuration names; no script of a package is run.

    Raises:
        Unsupported: there is no npm, or the folder cannot be written, or holds something else.
        Unreachable: npm could not fetch a package; the message is npm's own.
        DigestMismatch: a package is not the one this version of edgezoo was tested with; nothing is
            kept.
    """
    if version_in(where) == VERSION:
        with suppress(DigestMismatch):
            verify(where)
            return False
    _refuse_foreign(where)
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{where.name}.", dir=where.parent) as name:
            _assemble(Path(name), where, npm, progress)
    except OSError as error:
        raise Unsupported(
            f"{where}: {error.strerror}", hint=f"export {VARIABLE}=…   # a folder you may write"
        ) from error
    progress(len(PACKAGES), len(PACKAGES), str(where))
    return True


def _refuse_foreign(where: Path) -> None:
    """A folder that holds anything else is never replaced."""
    foreign = where.is_file() or (
        where.is_dir() and any(where.iterdir()) and not (where / ABOUT).is_file()
    )
    if foreign:
        raise Unsupported(
            f"{where} holds something else; LiteRT.js wants a folder of its own",
            hint=f"export {VARIABLE}={where / 'litertjs'}",
        )


def _assemble(beside: Path, where: Path, npm: str, progress: Progress) -> None:
    downloads, ready = beside / "downloads", beside / "ready"
    downloads.mkdir()
    for index, package in enumerate(PACKAGES):
        progress(index, len(PACKAGES), f"{package.name} {VERSION}")
        unpack(fetch(package, downloads, npm), package, ready)
    _note(ready)
    _replace(ready, where)


def fetch(package: Package, to: Path, npm: str = "npm") -> Path:
    """Have npm download a package's tarball, and verify it.

    Raises:
        Unsupported: there is no npm.
        Unreachable: npm could not fetch it.
        DigestMismatch: it is another tarball.
    """
    command = [
        npm,
        "pack",
        f"{package.name}@{VERSION}",
        "--ignore-scripts",
        "--json",
        "--loglevel=error",
        "--pack-destination",
        str(to),
    ]
    try:
        done = subprocess.run(
            command, cwd=to, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise Unsupported(
            "npm, which fetches LiteRT.js, is not installed", hint="apt-get install npm"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(
            f"npm fetched no {package.name} within {_TIMEOUT_S} s", hint="npm ping"
        ) from error
    if done.returncode:
        raise Unreachable(
            f"npm cannot fetch {package.name}@{VERSION}: {_words(done.stderr)}",
            hint="npm ping   # does the network let npm through?",
        )
    tarballs = sorted(to.glob(f"*{package.folder}-{VERSION}.tgz"))
    if not tarballs:
        raise Unreachable(
            f"npm says it fetched {package.name}@{VERSION}, and left no file",
            hint=" ".join(command[:3]),
        )
    held_against(tarballs[0], package)
    return tarballs[0]


def held_against(tarball: Path, package: Package) -> None:
    """See that a tarball is the one that was committed to.

    Raises:
        DigestMismatch: it is not.
    """
    with tarball.open("rb") as stream:
        actual = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    expected = package.integrity.partition("-")[2]
    if actual != expected:
        raise DigestMismatch(
            f"{package.name}@{VERSION}",
            expected=expected,
            actual=actual,
            algorithm="sha512",
            hint="npm config get registry",
        )


def unpack(tarball: Path, package: Package, to: Path) -> None:
    """Take the wanted files out of a verified tarball, and nothing else.

    The library's bare import becomes a relative one.

    Raises:
        NotFound: a wanted file is not in it.
    """
    with tarfile.open(tarball, "r:gz") as archive:
        for path in package.files:
            target = to / package.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_member(archive, f"package/{path}").replace(_BARE, _RELATIVE))


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    with suppress(KeyError):
        entry = archive.getmember(name)
        stream = archive.extractfile(entry) if entry.isreg() and entry.size <= _LARGEST else None
        if stream is not None:
            return stream.read()
    raise NotFound(f"{name} is not in the package as expected", hint=COMMAND)


def _note(ready: Path) -> None:
    files: dict[str, Digest] = {}
    for path in sorted(set(FILES) - {ABOUT}):
        (ready / path).chmod(0o444)
        files[path] = digest_file(ready / path)
    (ready / ABOUT).write_text(
        json.dumps({"version": VERSION, "files": files}, indent=1, sort_keys=True) + "\n",
        encoding="utf-8",
    )


def _replace(ready: Path, where: Path) -> None:
    """Put the finished folder in place of what is there.

    If another process was first, its folder is as good.
    """
    shutil.rmtree(where, ignore_errors=True)
    try:
        ready.rename(where)
    except OSError:
        if version_in(where) != VERSION:
            raise
    sync_folder(where.parent)


def _words(text: str) -> str:
    lines = [re.sub(r"^npm (error|ERR!) ?", "", line).strip() for line in text.splitlines()]
    kept = [line for line in lines if line and "complete log of this run" not in line]
    return "; ".join(kept)[:_LAST_WORDS] or "without a word"
