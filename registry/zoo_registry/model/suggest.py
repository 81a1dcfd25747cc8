"""What was probably meant: the nearest of the names that exist.

Every hint of this kind comes from here.
"""

import difflib
from collections.abc import Iterable

CUTOFF = 0.5
"""How alike two names must be, from 0 to 1 (difflib's ratio).

For one to be suggested for the other.
"""


def close(name: str, known: Iterable[str]) -> str:
    """Give the known name that is most like `name`; empty where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=CUTOFF)), "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say what was probably meant, then what there is."""
    names = sorted(known)
    near = close(name, names)
    listed = f"known here: {', '.join(names)}" if names else "nothing can stand here"
    return f"did you mean {near!r}? {listed}" if near else listed
