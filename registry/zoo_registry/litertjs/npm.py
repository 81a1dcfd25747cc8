"""LiteRT.js brought to this machine: fetched by npm once, held against committed digests."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zoo_registry.litertjs.installed import (
    ABOUT,
    COMMAND,
    FILES,
    PACKAGES,
    VARIABLE,
    VERSION,
    Package,
    verify,
    version_in,
)
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch, NotFound, Unreachable, Unsupported
from zoo_registry.model.files import digest_file, sync_folder

Progress = Callable[[int, int, str], None]

_TIMEOUT_S = 600
_LARGEST = 64 << 20
_LAST_WORDS = 400
_BARE, _RELATIVE = b'"@litertjs/wasm-utils"', b'"../../wasm-utils/dist/index.js"'


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
