"""A question as query parameters, the same for the API and the pages. Pure.

Every parameter is known: a misspelled one is refused with the nearest valid name, because a budget
    that is silently ignored is a
wrong answer. An empty value counts as not given, as forms send it.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.query import Query, parse_size
from zoo_registry.model.record import explain, shorten
from zoo_registry.model.suggest import close

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MINIMUM = re.compile(r"min_([a-z0-9_]{1,40})")
_TRUE, _FALSE = frozenset({"1", "true", "on", "yes"}), frozenset({"0", "false", "off", "no"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_CURSOR_LENGTH = 2000
_TEXT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Search:
    """A question with its paging; `extra` holds the parameters that one route adds."""

    query: Query
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def number(text: str) -> float:
    """Read a finite decimal number."""
    if not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("expected a number")
    return value


def whole(text: str) -> int:
    """Read a whole number without a sign."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise ValueError("expected a whole number")
    return int(text)


def flag(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("expected true or false")
    return text.lower() in _TRUE


def words(text: str) -> str:
    """Let text through that a database can look for."""
    if len(text) > _TEXT_LENGTH or not text.replace("\t", " ").isprintable():
        raise ValueError(f"expected at most {_TEXT_LENGTH} printable characters")
    return text


READERS: dict[str, Callable[[str], Any]] = {
    "q": words,
    "task": words,
    "model": words,
    "technique": words,
    "license": words,
    "device": words,
    "threads": whole,
    "max_latency_ms": number,
    "max_ratio": number,
    "max_size": parse_size,
    "max_size_gzip": parse_size,
    "all_versions": flag,
    "yanked": flag,
    "sort": words,
    "pareto": flag,
}
PAGING = ("limit", "cursor")


def read_search(
    pairs: Iterable[tuple[str, str]], *, paging: bool = True, extra: Iterable[str] = ()
) -> Search:
    """Read query parameters.

    Args:
        pairs: names and values as they came, such as `request.query_params.multi_items()`.
        paging: whether `limit` and `cursor` are known.
        extra: names that this route adds; their values come back in `Search.extra`.

    Raises:
        InvalidQuery: a name is unknown or given twice, or a value cannot be understood.
    """
    known = (*READERS, *(PAGING if paging else ()), *extra)
    given = _given(pairs, known)
    minima = {name: given.pop(name) for name in list(given) if name not in known}
    rest = {name: given.pop(name) for name in extra if name in given}
    limit = _value("limit", given.pop("limit", str(DEFAULT_LIMIT)), whole)
    cursor = given.pop("cursor", None)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidQuery(f"limit: expected 1 to {MAX_LIMIT}, found {limit}")
    if cursor is not None and len(cursor) > _CURSOR_LENGTH:
        raise InvalidQuery(
            "the cursor is not one of this search", hint="zoo search   # starts from the first page"
        )
    values = {name: _value(name, text, READERS[name]) for name, text in given.items()}
    values["min_metrics"] = {
        name.removeprefix("min_"): _value(name, text, number) for name, text in minima.items()
    }
    return Search(_query(values), limit, cursor, rest)


def read_query(pairs: Iterable[tuple[str, str]], *, extra: Iterable[str] = ()) -> Search:
    """Read query parameters where there are no pages: see `read_search`."""
    return read_search(pairs, paging=False, extra=extra)


def _given(pairs: Iterable[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known and not _MINIMUM.fullmatch(name):
            raise InvalidQuery(
                f"no parameter is called {shorten(name, 60)!r}", hint=_nearest(name, known)
            )
        if name in given:
            raise InvalidQuery(f"{name} is given twice")
        given[name] = value.strip()
    return {name: value for name, value in given.items() if value}


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = close(name, (*known, "min_top1"))
    guess = f"did you mean {near!r}? " if near else ""
    return f"{guess}known: {', '.join(known)}, min_<metric>"


def _value(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except (ValueError, InvalidQuery) as error:
        said = error.message if isinstance(error, InvalidQuery) else str(error)
        raise InvalidQuery(f"{name}: {said} (found {shorten(repr(text), 60)})") from error


def _query(values: dict[str, Any]) -> Query:
    try:
        return Query.model_validate(values)
    except ValidationError as error:
        raise InvalidQuery(explain(error)) from error


def documented(*, paging: bool = False, extra: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """Describe the parameters for OpenAPI."""
    text, positive = (
        {"type": "string", "maxLength": _TEXT_LENGTH},
        {"type": "number", "exclusiveMinimum": 0},
    )
    schemas: dict[str, tuple[dict[str, Any], str]] = {
        "q": (text, "words that the name or description contains"),
        "task": (text, "such as image-classification"),
        "model": (text, "the manifest's model"),
        "technique": (text, "one the recipe uses, or `none` for the float model"),
        "license": (text, "an SPDX name, case ignored"),
        "device": (text, "measured on this device"),
        "threads": (
            {"type": "integer", "minimum": 1, "maximum": 1024},
            "measured with that many threads",
        ),
        "max_latency_ms": (positive, "median milliseconds, at most"),
        "max_ratio": (positive, "time over that of the float file, at most"),
        "max_size": (text, "bytes of the file, at most; 4MB and 4MiB are understood"),
        "max_size_gzip": (text, "bytes gzipped, at most"),
        "all_versions": ({"type": "boolean"}, "every version, not only the latest"),
        "yanked": ({"type": "boolean"}, "withdrawn ones too"),
        "sort": (
            {"type": "string"},
            (
                "name, newest, latency, ratio, size, size_gzip or a metric; `-` in front turns it"
                " round"
            ),
        ),
        "pareto": ({"type": "boolean"}, "only what nothing beats in accuracy and latency"),
        "min_top1": ({"type": "number"}, "`min_<metric>`: at least that, for any metric"),
    }
    if paging:
        schemas["limit"] = (
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            "length of a page",
        )
        schemas["cursor"] = (
            {"type": "string", "maxLength": _CURSOR_LENGTH},
            "the `next_cursor` of the page before, with the same search",
        )
    found = [
        {"name": name, "in": "query", "required": False, "schema": s, "description": d}
        for name, (s, d) in schemas.items()
    ]
    return {"parameters": [*found, *extra]}
