"""Raising a manifest's version: one line changes, everything else stays byte for byte."""

import re
from typing import Literal

from zoo_builders.manifest import yaml_lines
from zoo_registry.model.errors import InvalidManifest, WrongUse
from zoo_registry.model.ref import parse_version

Part = Literal["patch", "minor", "major"]
_LINE = re.compile(
    r"^(?P<head>\ufeff?(?:version|\"version\"|'version')\s*:\s*)(?P<quote>[\"']?)(?P<value>[^\"'#\s]+)(?P=quote)(?P<tail>.*)$",
    re.DOTALL,
)


def raised(version: str, part: Part) -> str:
    """Give the next version: 1.2.3 → 1.2.4, 1.3.0 or 2.0.0."""
    current = parse_version(version)
    return str(
        {"patch": current.bump_patch, "minor": current.bump_minor, "major": current.bump_major}[
            part
        ]()
    )


def rewrite(
    text: str, file: str, *, part: Part = "patch", to: str | None = None
) -> tuple[str, str, str]:
    """Change the version in a manifest's text.

    Returns:
        The new text, the old version, the new version.

    Raises:
        InvalidManifest: the file has no version on a line of its own.
        WrongUse: `to` is no version, or not higher than the one that stands there.
    """
    document = yaml_lines.read(text.encode(), file)
    number = document.lines.get(("version",), 0)
    lines = text.splitlines(keepends=True)
    match = _LINE.match(lines[number - 1]) if number else None
    if match is None:
        raise InvalidManifest(
            "no line 'version: MAJOR.MINOR.PATCH'",
            file=file,
            line=number or 1,
            key="version",
            hint="add version: 1.0.0",
        )
    old = match["value"]
    new = str(parse_version(to)) if to is not None else raised(old, part)
    if parse_version(new) <= parse_version(old):
        raise WrongUse(
            f"{new} is not higher than {old}", hint=f"zoo bump {file} --to {raised(old, 'patch')}"
        )
    quote = match["quote"]
    lines[number - 1] = f"{match['head']}{quote}{new}{quote}{match['tail']}"
    return "".join(lines), old, new
