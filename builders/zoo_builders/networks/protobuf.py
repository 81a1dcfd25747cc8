"""The wire format of protocol buffers, without anybody's schema.

A message is its fields by number. Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}

Fields = dict[int, list[Any]]
"""Field number → its values in order: whole numbers, or bytes (text, a message, a fixed size)."""


def fields(message: bytes) -> Fields:
    """Read a message.

    Raises:
        ValueError: the bytes are none.
    """
    found: Fields = {}
    for number, value in _pairs(memoryview(message)):
        found.setdefault(number, []).append(value)
    return found


def _pairs(data: memoryview) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"{size} bytes at byte {at} of {len(data)}")
        yield number, bytes(data[at : at + size])
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:  # noqa: PLR2004  # a varint holds at most 64 bits
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:  # noqa: PLR2004  # the last byte has no continuation bit
            return value, at
    raise ValueError(f"a number is cut off at byte {at}")


def signed(value: int) -> int:
    """Read a 64-bit varint as an int64."""
    return value - (1 << 64) if value >> 63 else value
