"""NumPy `.npz` files of strangers: read without pickle, and not beyond a size."""

import zipfile
from pathlib import Path
from typing import Any

from zoo_builders.data import BadData


def arrays(path: Path, limit: int) -> dict[str, Any]:
    """Read all arrays of a file that unpacks to at most `limit` bytes.

    Raises:
        BadData: it is no .npz file, is damaged, holds objects, or unpacks to more.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > limit:
            raise BadData(f"{path.name} unpacks to {unpacked} bytes; at most {limit} are read")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:  # the last: a compression zipfile lacks
        raise BadData(f"{path.name} is not a readable .npz file: {error}", hint="write it with numpy.savez, without objects") from error
