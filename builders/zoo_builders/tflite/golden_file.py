"""Golden vectors as they are stored: `golden.npz`, read by those who compute and those who check.

golden.npz    input_0 [E, …], …; output_0 [E, …], …    as the file takes and gives them (int8 stays
              int8), E examples

Light on purpose: a measuring child reads it.
"""

from pathlib import Path

from zoo_builders.arrays import Array
from zoo_registry.model.errors import MeasureFailed


def read(path: Path) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Give inputs and outputs by port.

    Raises:
        MeasureFailed: (kind `load`) it cannot be read.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise MeasureFailed(f"the golden vectors cannot be read: {error}", kind="load") from error
    return _numbered(arrays, "input"), _numbered(arrays, "output")


def _numbered(arrays: dict[str, Array], kind: str) -> tuple[Array, ...]:
    """Take the ports of one kind in their order: the tenth comes after the second."""
    count = sum(name.startswith(f"{kind}_") for name in arrays)
    names = [f"{kind}_{index}" for index in range(count)]
    missing = next((name for name in names if name not in arrays), None)
    if missing:
        raise MeasureFailed(f"the golden vectors hold no {missing}", kind="load")
    return tuple(arrays[name] for name in names)
