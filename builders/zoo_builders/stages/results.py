"""How stages spell the parts of a record that they find."""

import json
from collections.abc import Sequence
from pathlib import Path

from zoo_builders import finite
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.files import write_bytes
from zoo_registry.model.part import Part


def write_parts(path: Path, found: Part | Sequence[Part]) -> None:
    """Write a part, or a list of parts, as JSON; equal values give equal bytes.

    Raises:
        BuildFailed: a value is NaN or infinite; with its path.
    """
    plain = (
        found.model_dump(mode="json")
        if isinstance(found, Part)
        else [part.model_dump(mode="json") for part in found]
    )
    if wrong := finite.path_in(plain):
        raise BuildFailed(f"{path.name}: {wrong} is no number, and a record holds numbers only")
    spelled = json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_bytes(path, spelled.encode())
