"""What building an artifact once more can be expected to give, and where. Pure.

Training adds up floats in the order that a processor's kernels have: the same seed and the same
tools gave other files on a processor without AVX-512. So `bitwise` and `weights` hold on machines
of the class that built it.
"""

from collections.abc import Mapping, Sequence

from zoo_registry.model.platform import classes, told

_SAME: Mapping[str, str] = {
    "bitwise": "the same bytes",
    "weights": "the same weights",
    "metrics": "the same quality",
}


def expected(reproducible: str, built_on: Sequence[str], here: str = "") -> str:
    """Say what a second build gives.

    Args:
        reproducible: as the record says it.
        built_on: keys of the platforms that built it; empty in records that do not say.
        here: key of the platform where it would be built again; empty: say it of any.
    """
    same = _SAME[reproducible]
    if reproducible == "metrics":
        return f"gives {same}"
    if not built_on:
        return f"gives {same} on machines like the one that built it, whose class is not recorded"
    where = " and ".join(told(key) for key in built_on)
    line = f"gives {same} on machines like {where}"
    if here and classes(built_on) != classes([here]):
        line += f"; here, {told(here)}, expect {_SAME['metrics']}, not {same}"
    return line


def differently(standing: Sequence[str], mine: Sequence[str]) -> str:
    """Say that two builds of one plan may differ, for they were made on other classes of machines.

    Empty where that explains nothing.
    """
    if not standing or not mine or classes(standing) == classes(mine):
        return ""
    first, second = (" and ".join(sorted(classes(keys))) for keys in (standing, mine))
    return f"; it was built on {first}, this one on {second}, which may give other bytes"
