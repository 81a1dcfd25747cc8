"""Refs: how an artifact is named.

NAME[@SELECTOR][#sha256:DIGEST]

mobilenet-v2-sparse75                   the highest version that is not yanked
mobilenet-v2-sparse75@latest            the same
mobilenet-v2-sparse75@1.2.0             that version
mobilenet-v2-sparse75@^1.2              the highest of >= 1.2.0, < 2.0.0
mobilenet-v2-sparse75@~1.2              the highest of >= 1.2.0, < 1.3.0
mobilenet-v2-sparse75@1                 the highest of >= 1.0.0, < 2.0.0
mobilenet-v2-sparse75@stable            where the alias points
mobilenet-v2-sparse75@1.2.0#sha256:…    that version, and only if the file is that digest
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from semver import Version

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRef

NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,94}[a-z0-9])?")
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,31}")
LATEST = "latest"
_RANGE = re.compile(
    r"(?P<kind>[\^~]?)(?P<major>0|[1-9]\d{0,8})(?:\.(?P<minor>0|[1-9]\d{0,8}))?(?:\.(?P<patch>0|[1-9]\d{0,8}))?"
)


def parse_version(text: str) -> Version:
    """Read a semantic version (semver.org 2.0.0).

    Raises:
        InvalidRef: it is not one; the message says what one looks like.
    """
    try:
        return Version.parse(text)
    except (ValueError, TypeError) as error:
        said = f"not a semantic version: {text!r} (expected MAJOR.MINOR.PATCH, such as 1.0.0)"
        raise InvalidRef(
            said, hint="see semver.org: three numbers without leading zeros"
        ) from error


def _bounds(text: str) -> tuple[Version, Version] | None:
    """Read a range as [low, high); None when it is an exact version or no range at all."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    kind, major, minor, patch = match["kind"], int(match["major"]), match["minor"], match["patch"]
    if not kind and patch is not None:
        return None
    low = Version(major, int(minor or 0), int(patch or 0))
    if kind == "^" and major == 0 and minor is not None:
        high = (
            Version(0, low.minor + 1, 0)
            if low.minor or patch is None
            else Version(0, 0, low.patch + 1)
        )
    elif minor is None or kind == "^":
        high = Version(major + 1, 0, 0)
    else:
        high = Version(major, low.minor + 1, 0)
    return low, high


@dataclass(frozen=True, slots=True)
class Ref:
    """An artifact's name, which version of it, and optionally the digest it must have."""

    name: str
    selector: str = LATEST
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the grammar at the top of this module.

        Raises:
            InvalidRef: the text is not a ref.
        """
        head, hash_mark, digest = text.partition("#")
        name, at, selector = head.partition("@")
        if not NAME.fullmatch(name):
            raise InvalidRef(
                f"not an artifact name: {name!r} (lower-case letters, digits, '-' and '.')",
                hint="zoo search   # lists the names",
            )
        if (at and not selector) or (hash_mark and not digest.startswith("sha256:")):
            raise InvalidRef(
                f"not a ref: {text!r} (expected NAME[@VERSION or ALIAS][#sha256:DIGEST])"
            )
        selector = selector or LATEST
        if not (ALIAS.fullmatch(selector) or _bounds(selector)):
            parse_version(selector)
        return cls(name, selector, Digest(digest) if digest else None)

    def __str__(self) -> str:
        pin = f"#sha256:{self.digest}" if self.digest else ""
        return f"{self.name}@{self.selector}{pin}"

    @property
    def is_alias(self) -> bool:
        """Whether the selector is an alias that somebody moves by hand (`latest` is not)."""
        return self.selector != LATEST and bool(ALIAS.fullmatch(self.selector))

    @property
    def exact(self) -> Version | None:
        """The one version asked for, or None for ranges, aliases and `latest`."""
        if ALIAS.fullmatch(self.selector) or _bounds(self.selector):
            return None
        return parse_version(self.selector)

    def pick(self, versions: Iterable[str]) -> str | None:
        """Choose the highest of `versions` (those not yanked) that the selector allows.

        None when there is none.

        Pre-releases are chosen only by naming them exactly. Aliases are not decided here.
        """
        exact, bounds = self.exact, _bounds(self.selector)
        parsed = sorted(Version.parse(text) for text in versions)
        if exact is not None:
            return str(exact) if exact in parsed else None
        stable = [version for version in parsed if version.prerelease is None]
        fitting = [v for v in stable if bounds is None or bounds[0] <= v < bounds[1]]
        return str(fitting[-1]) if fitting else None
