"""The page of traps names modules and tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "docs/traps.md").read_text().splitlines()
    if line.startswith("| ")
]
TRAPS = [row for row in ROWS if row[0] != "trap"]


@pytest.mark.parametrize("row", TRAPS, ids=[row[0][:60] for row in TRAPS])
def test_every_trap_has_a_module_that_mends_it_and_a_test_that_shows_it(row: list[str]) -> None:
    _, done, where, test = row
    assert done
    package = ROOT / "builders/zoo_builders"
    named = re.findall(r"`([a-z_0-9/]+)`", where)
    assert named
    assert [
        name
        for name in named
        if not (package / name).is_dir() and not (package / f"{name}.py").is_file()
    ] == []
    [shown] = re.findall(r"`(tests/[^`]+)`", test)
    file, _, function = shown.partition("::")
    assert f"def {function}" in (ROOT / file).read_text()
