"""The browser that `web-wasm` measures in.

The one that `ZOO_CHROMIUM` names, else a Chromium or Chrome on the search path.
"""

import shutil
from pathlib import Path

from zoo_client.settings import Settings

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HINT = "apt-get install chromium   # or: export ZOO_CHROMIUM=/path/to/chrome"


def find(settings: Settings) -> Path | None:
    """Give the browser's executable; None where there is none."""
    if settings.chromium is not None:
        return settings.chromium if settings.chromium.is_file() else None
    return next((Path(path) for path in map(shutil.which, NAMES) if path), None)
