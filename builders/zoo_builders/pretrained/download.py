"""Weights that are fetched.

Kept in the project as `.zoo/cache/weights/<sha256><suffix>`, and verified each time they are used.
"""

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from zoo_builders.pretrained.wanted import Report
from zoo_client.settings import Settings
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import DigestMismatch
from zoo_registry.model.files import digest_file, keep_verified

LIMIT = 4 << 30

IMAGENET = 1000


def folder() -> Path:
    """Where fetched weights are kept."""
    return Settings.read().home.absolute() / "cache" / "weights"


def kept(sha256: str, name: str, fetch: Callable[[], Iterable[bytes]], report: Report) -> Path:
    """Give the file that has this digest, from the project's folder or, once, from elsewhere.

    Raises:
        DigestMismatch: the other side gives other bytes; nothing is kept.
    """
    path = folder() / f"{sha256}{PurePosixPath(name).suffix}"
    if path.is_file() and digest_file(path) == sha256:
        return path
    path.unlink(missing_ok=True)
    report(0, 1, f"fetching {name}")
    keep_verified(fetch(), path, Digest(sha256), limit=LIMIT)
    return path


def verified(path: Path, sha256: str) -> Path:
    """Give `path` back if it is what it should be.

    Raises:
        DigestMismatch: it is not.
    """
    found = digest_file(path)
    if found != sha256:
        raise DigestMismatch(
            path.name,
            expected=sha256,
            actual=str(found),
            hint=f"write sha256: {found}, if this is the file meant",
        )
    return path
