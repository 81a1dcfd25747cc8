"""Whether a tag may be released: it is the version, and the changelog has its section.

python .ci/release.py v1.2.3    prints that section, which becomes the release's notes
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def version(pyproject: str) -> str:
    """Read the version from the text of pyproject.toml."""
    return str(tomllib.loads(pyproject)["project"]["version"])


def section(changelog: str, wanted: str) -> str:
    """Give what the changelog says of a version: `## [1.2.3] - date` up to the next heading."""
    heading = rf"## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d"
    found = re.search(rf"(?ms)^{heading}\n(.*?)(?=^## |\Z)", changelog)
    return found[1].strip() if found else ""


def notes(tag: str, pyproject: str, changelog: str) -> str:
    """Give the notes of a release.

    Raises:
        SystemExit: the tag is not the version, or the changelog says nothing of it.
    """
    wanted = version(pyproject)
    if tag != f"v{wanted}":
        raise SystemExit(
            f"the tag is {tag}, the version in pyproject.toml {wanted}: expected v{wanted}"
        )
    found = section(changelog, wanted)
    if not found:
        raise SystemExit(
            f"CHANGELOG.md has no section: ## [{wanted}] - YYYY-MM-DD, with text below"
        )
    return found


if __name__ == "__main__":
    texts = [
        (ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CHANGELOG.md")
    ]
    print(notes(sys.argv[1], *texts))
