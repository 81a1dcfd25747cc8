"""What was probably meant: the nearest of the names that exist.

Every hint of this kind comes from here.
"""

import difflib
from collections.abc import Iterable

CUTOFF = 0.5
"""How alike two names must be for one to be suggested for the other.

It goes from 0 to 1 (difflib's ratio).
"""


def alike(name: str, known: Iterable[str], most: int) -> tuple[str, ...]:
    """Give at most so many known names that are like `name`, the most alike first."""
    return tuple(difflib.get_close_matches(name, list(known), n=most, cutoff=CUTOFF))


def close(name: str, known: Iterable[str]) -> str:
    """Give the known name that is most like `name`; empty where none is."""
    return next(iter(alike(name, known, 1)), "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say what was probably meant, then what there is."""
    names = sorted(known)
    near = close(name, names)
    listed = f"known here: {', '.join(names)}" if names else "nothing can stand here"
    return f"did you mean {near!r}? {listed}" if near else listed
