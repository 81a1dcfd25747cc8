"""Canonical bytes: one JSON document, one spelling (RFC 8785).

Equal values have equal bytes, so a digest means something.
"""

import json
from typing import Any

import rfc8785
from pydantic import BaseModel

from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRecord

_SAFE = 2**53 - 1
_LONGEST = 20


def canonical(value: Any) -> bytes:
    """Spell `value` (a pydantic model or plain JSON data) as RFC 8785 canonical JSON.

    Raises:
        InvalidRecord: a NaN, an infinity, an integer beyond 2**53 or something that is not JSON.
    """
    data = value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
    try:
        spelled: bytes = rfc8785.dumps(data)
    except (rfc8785.CanonicalizationError, TypeError) as error:
        raise InvalidRecord(f"cannot be written as canonical JSON: {error}") from error
    return spelled


def digest_of(value: Any) -> Digest:
    """Hash the canonical bytes of `value`."""
    return Digest.of(canonical(value))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:  # once through: a stranger's document may hold millions of keys
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _number(text: str) -> int | float:
    """Read an integer as RFC 8785 means it: beyond 2**53 every number is a double."""
    number = int(text) if len(text) <= _LONGEST else float(text)
    return number if abs(number) <= _SAFE else float(text)


def parse(data: bytes, *, limit: int = 8 << 20) -> Any:
    """Read JSON strictly: bounded size, UTF-8, no duplicate keys, no NaN.

    Integers beyond 2**53 come as floats.

    Raises:
        InvalidRecord: any of these does not hold.
    """
    if len(data) > limit:
        raise InvalidRecord(f"document of {len(data)} bytes; at most {limit} are read")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_int=_number,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"not a JSON document: {error}") from error
