"""Values that are not numbers, found where they enter and named by where they are."""

import math
from typing import Any

_BLOCK = 1024


def first(values: Any) -> tuple[int, ...] | None:
    """Give the place of the first NaN or infinity of an array; None where all are numbers.

    Looked at block by block: a memory-mapped array is not read at once.
    """
    import numpy as np

    if values.dtype.kind not in "fc":
        return None
    for start in range(0, len(values), _BLOCK) if values.ndim else ():
        wrong = ~np.isfinite(values[start : start + _BLOCK])
        if wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            return (start + int(place[0]), *map(int, place[1:]))
    return () if not values.ndim and not np.isfinite(values) else None


def count(values: Any) -> int:
    """Count the values that are no numbers."""
    import numpy as np

    return int((~np.isfinite(values)).sum())


def problem(examples: Any, where: str) -> str:
    """Name the first value of examples [N, …] that is no number; empty where there is none."""
    place = first(examples)
    if place is None:
        return ""
    inside = f" at {list(place[1:])}" if place[1:] else ""
    return (
        f"{where}: example {place[0]} holds {examples[place]}{inside}; every value must be a number"
        " (positions count from 0)"
    )


def path_in(value: Any, path: str = "") -> str:
    """Give the path of the first float in plain JSON data that is no number; empty without one."""
    if isinstance(value, float):
        return path if not math.isfinite(value) else ""
    inner = (
        [(f"{path}.{key}".lstrip("."), one) for key, one in value.items()]
        if isinstance(value, dict)
        else [(f"{path}[{at}]", one) for at, one in enumerate(value)]
        if isinstance(value, list | tuple)
        else []
    )
    return next(filter(None, (path_in(one, where) for where, one in inner)), "")
