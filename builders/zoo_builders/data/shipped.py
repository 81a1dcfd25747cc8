"""Files that an installed package ships, found without importing it.

Importing scikit-learn for a file of 60 kB would bring SciPy too, and take two seconds.
"""

from importlib.util import find_spec
from pathlib import Path

from zoo_registry.model.errors import MissingExtra


def shipped(package: str, name: str, extra: str) -> Path:
    """Give the path of the file `name` in `package`, which the extra `extra` brings.

    Raises:
        MissingExtra: the package is not installed, or lacks the file.
    """
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    for folder in folders:
        if (path := Path(folder, name)).is_file():
            return path
    message = (
        f"{name.rpartition('/')[2]} is a file of {package}, which is not installed (or lacks it)"
    )
    raise MissingExtra(message, hint=f"pip install 'edgezoo[{extra}]'")
