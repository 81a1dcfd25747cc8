"""Digests: what a file is, whatever it is called."""

import hashlib
import re
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from zoo_registry.model.errors import WrongUse

_HEX = re.compile(r"[0-9a-f]{64}")


class Digest(str):
    """A sha256 as 64 lower-case hex digits; `sha256:` in front is taken off on the way in.

    Raises:
        WrongUse: the text is anything else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check `text` and drop the prefix."""
        bare = text.removeprefix("sha256:")
        if not _HEX.fullmatch(bare):
            raise WrongUse(f"not a sha256 digest: {text!r} (expected 64 lower-case hex digits)")
        return super().__new__(cls, bare)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Hash `data`."""
        return cls(hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve digits, for people; never a key."""
        return self[:12]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from a string, serialise as one; the JSON schema names the pattern."""
        return core_schema.no_info_after_validator_function(
            cls._parse, core_schema.str_schema(pattern=r"^(sha256:)?[0-9a-f]{64}$")
        )

    @classmethod
    def _parse(cls, text: str) -> Self:
        return cls(text)
