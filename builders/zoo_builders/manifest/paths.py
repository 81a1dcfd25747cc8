"""Paths in a manifest: relative to it, or below ${ZOO_DATA}. Pure."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from zoo_registry.model.errors import WrongUse

VARIABLE = "${ZOO_DATA}"
_ANY_VARIABLE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?")


def place(text: str, folder: Path, env: Mapping[str, str]) -> Path:
    """Turn a manifest's path into an absolute one.

    Raises:
        WrongUse: it is absolute, empty, starts at a home folder, or uses a variable that is unset
            or not allowed.
    """
    if text.startswith(VARIABLE):
        return _below_data(text, env)
    variable = _ANY_VARIABLE.search(text)
    if variable:
        raise WrongUse(
            f"{variable[0]} in {text!r}: only a leading {VARIABLE} is filled in",
            hint=f"write {VARIABLE}/… or a path relative to the manifest",
        )
    if not text or "\0" in text:
        raise WrongUse(f"not a path: {text!r}", hint="write a path relative to the manifest")
    if (
        PurePosixPath(text).is_absolute()
        or PureWindowsPath(text).drive
        or text.startswith(("~", "\\"))
    ):
        raise WrongUse(
            f"absolute path {text!r}: it would mean something else on every machine",
            hint=f"write {VARIABLE}/… or a path relative to the manifest",
        )
    return _normal(folder / text)


def _below_data(text: str, env: Mapping[str, str]) -> Path:
    inner = text.removeprefix(VARIABLE)
    if not env.get("ZOO_DATA"):
        raise WrongUse(f"{VARIABLE} is not set", hint="export ZOO_DATA=/folder/with/the/data")
    if (
        not inner.startswith("/")
        or ".." in PurePosixPath(inner).parts
        or _ANY_VARIABLE.search(inner)
        or "\0" in inner
    ):
        raise WrongUse(f"{text!r} must lie below {VARIABLE}", hint=f"write {VARIABLE}/folder/file")
    return _normal(Path(env["ZOO_DATA"]).absolute() / inner.lstrip("/"))


def _normal(path: Path) -> Path:
    """Take out `..` by spelling alone, so that git trees and folders agree on the name."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return Path(*parts)
