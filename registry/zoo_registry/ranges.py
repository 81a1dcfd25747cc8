"""Parts of a blob, as HTTP asks for them (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Portion:
    """What to send: bytes `start` up to, not including, `end`; nothing for 304 and 416."""

    status: int
    start: int
    end: int


def portion(headers: Mapping[str, str], etag: str, size: int) -> Portion:
    """Decide on 200, 206, 304 or 416 for a resource with a strong `etag` and `size` bytes.

    One range is honoured, from a start or as a suffix; several, or one that does not parse, count
    as none, as the RFC allows.
    """
    if matches(headers.get("if-none-match"), etag):
        return Portion(304, 0, 0)
    wanted = _RANGE.fullmatch(headers.get("range", "").strip())
    condition = headers.get("if-range")
    if wanted is None or (condition is not None and condition.strip() != etag):
        return Portion(200, 0, size)
    first, last = wanted[1], wanted[2]
    if not first and not last:
        return Portion(200, 0, size)
    if first and last and int(last) < int(first):
        return Portion(200, 0, size)
    start, end = (
        (int(first), min(int(last) + 1, size) if last else size)
        if first
        else (max(size - int(last), 0), size)
    )
    return Portion(206, start, end) if start < end else Portion(416, 0, 0)


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names `etag` (weakly compared) or anything."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {
        tag.strip().removeprefix("W/") for tag in header.split(",")
    }


def content_range(header: str) -> tuple[int, int, int] | None:
    """Read the Content-Range of an upload as start, end (exclusive) and total.

    None when the header is not one.
    """
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        return None
    start, last, total = (int(part) for part in found.groups())
    return (start, last + 1, total) if start <= last < total else None
