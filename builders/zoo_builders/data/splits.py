"""Split expressions: which examples of a data source make a split of the manifest. Pure.

    expression = term {"+" term}
    term       = NAME ["[" [bound] ":" [bound] "]"]
    bound      = ["-"] DIGITS ["%"]

    train                          all of it, in the source's order
    train[:90%]                    the first 90 % (a share is rounded down, so [:90%] and [90%:]
                                   meet without overlap)
    train[-200:]                   the last 200
    train[10%:20%]+test[:50]       one after the other

The words are those of TensorFlow Datasets; nothing is shuffled, so an expression means the same
examples for ever.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from zoo_registry.model.errors import WrongUse

_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*")
_BOUND = re.compile(r"\s*(-?)(\d{1,12})(%?)\s*")
_HUNDRED = 100
_TRIED = (100, 1_000, 10_000, 100_000, 1_000_000)
"""Sizes of a split at which expressions are held against each other where its size is unknown."""


class BadSplit(WrongUse):
    """A split expression does not parse, or asks for what the source does not have.

    `position` counts characters from 0.
    """

    slug = "bad-split"

    def __init__(self, message: str, *, position: int = 0, hint: str = "") -> None:
        super().__init__(
            message,
            hint=hint or "such as train, train[:90%], train[-200:] or train[:50%]+test[:50]",
        )
        self.position = position


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a slice: a number of examples or a percentage.

    It counts from the start or, if negative, from the end.
    """

    value: int
    percent: bool

    def at(self, count: int) -> int:
        """Give the position this means among `count` examples, between 0 and `count`."""
        size = abs(self.value) * count // _HUNDRED if self.percent else abs(self.value)
        return max(count - size, 0) if self.value < 0 else min(size, count)

    def __str__(self) -> str:
        return f"{self.value}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Term:
    """A slice of one split of the source."""

    split: str
    start: Bound | None = None
    stop: Bound | None = None

    def range(self, count: int) -> range:
        """Give the positions it takes out of `count` examples."""
        start = self.start.at(count) if self.start else 0
        stop = self.stop.at(count) if self.stop else count
        return range(start, max(start, stop))

    def __str__(self) -> str:
        if self.start is None and self.stop is None:
            return self.split
        return f"{self.split}[{self.start or ''}:{self.stop or ''}]"


def parse(text: str) -> tuple[Term, ...]:
    """Read an expression.

    Raises:
        BadSplit: it does not follow the grammar; with the position of the first wrong character.
    """
    terms, position = [], 0
    while True:
        term, position = _term(text, position)
        terms.append(term)
        if position == len(text):
            return tuple(terms)
        if text[position] != "+":
            raise _unexpected(text, position, "'+' or the end")
        position += 1


def spell(terms: tuple[Term, ...]) -> str:
    """Write an expression; `parse` gives the same terms back."""
    return "+".join(str(term) for term in terms)


def select(terms: tuple[Term, ...], counts: Mapping[str, int]) -> list[tuple[str, range]]:
    """Turn terms into positions, given how many examples each split of the source has.

    Raises:
        BadSplit: the source has no such split, or nothing is selected.
    """
    for term in terms:
        if term.split not in counts:
            have = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
            raise BadSplit(f"the source has no split {term.split!r}; it has {have}")
    chosen = [(term.split, term.range(counts[term.split])) for term in terms]
    if not any(positions for _, positions in chosen):
        raise BadSplit(f"{spell(terms)} selects no example of {dict(counts)}")
    return chosen


def shared(left: tuple[Term, ...], right: tuple[Term, ...], counts: Mapping[str, int]) -> float:
    """Give the share of the examples of `left` that `right` selects too.

    `counts` gives sizes of the source's splits where they are known. Else it is the least share of
    those at `_TRIED` sizes, at which both select something: what holds whatever the size is.
    """
    tried = [counts] if _names(left, right) <= set(counts) else _guesses(left, right, counts)
    return min((share for sizes in tried for share in _share(left, right, sizes)), default=0.0)


def _guesses(
    left: tuple[Term, ...], right: tuple[Term, ...], counts: Mapping[str, int]
) -> list[Mapping[str, int]]:
    return [{**dict.fromkeys(_names(left, right), size), **counts} for size in _TRIED]


def _names(*expressions: tuple[Term, ...]) -> set[str]:
    return {term.split for terms in expressions for term in terms}


def _share(
    left: tuple[Term, ...], right: tuple[Term, ...], counts: Mapping[str, int]
) -> list[float]:
    ours = [(term.split, term.range(counts[term.split])) for term in left]
    theirs = [(term.split, term.range(counts[term.split])) for term in right]
    total = sum(len(positions) for _, positions in ours)
    if not total or not any(positions for _, positions in theirs):
        return []
    return [sum(_common(name, positions, theirs) for name, positions in ours) / total]


def _common(name: str, ours: range, theirs: list[tuple[str, range]]) -> int:
    """Count the positions of one slice that any of the others holds."""
    found, reached = 0, ours.start
    for split, other in sorted(theirs, key=lambda one: (one[0], one[1].start)):
        if split == name:
            start, stop = max(other.start, reached), min(other.stop, ours.stop)
            found += max(stop - start, 0)
            reached = max(reached, stop)
    return found


def _unexpected(text: str, position: int, expected: str) -> BadSplit:
    found = repr(text[position]) if position < len(text) else "the end"
    return BadSplit(
        f"bad split {text!r}: expected {expected} at position {position}, found {found}",
        position=position,
    )


def _term(text: str, position: int) -> tuple[Term, int]:
    name = _NAME.match(text, position)
    if name is None:
        raise _unexpected(text, position, "the name of a split")
    position = name.end()
    if not text.startswith("[", position):
        return Term(name[1]), position
    start, position = _bound(text, position + 1)
    if not text.startswith(":", position):
        raise _unexpected(text, position, "':'" if start else "a number, a percentage or ':'")
    stop, position = _bound(text, position + 1)
    if not text.startswith("]", position):
        raise _unexpected(text, position, "']'" if stop else "a number, a percentage or ']'")
    return Term(name[1], start, stop), _skip(text, position + 1)


def _bound(text: str, position: int) -> tuple[Bound | None, int]:
    match = _BOUND.match(text, position)
    if match is None:
        return None, _skip(text, position)
    value, percent = int(match[2]), bool(match[3])
    if percent and value > _HUNDRED:
        raise BadSplit(
            f"bad split {text!r}: {value}% at position {match.start(2)} is more than 100%",
            position=match.start(2),
        )
    if match[1] and not value:
        raise BadSplit(
            f"bad split {text!r}: -0 at position {match.start(1)} means nothing",
            position=match.start(1),
        )
    return Bound(-value if match[1] else value, percent), match.end()


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] == " ":
        position += 1
    return position
