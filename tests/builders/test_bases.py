"""Every kind of base with every recipe is built, or refused before anything runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.bases import BASES, RECIPES, Bench, table

TABLE = Path(__file__).parents[2] / "docs/bases.md"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bases"))


@pytest.mark.train
@pytest.mark.golden
@pytest.mark.filterwarnings("ignore")
def test_every_cell_is_built_or_refused_by_validate(
    golden: Callable[[Path, str], None], bench: Bench
) -> None:
    """What fails later than validate raises here, whatever the table says."""
    golden(TABLE, table({(b, r): bench.cell(b, r) for b in BASES for r in RECIPES}))


def test_the_table_is_linked_and_has_every_row() -> None:
    said = TABLE.read_text()
    assert all(f"| {base} |" in said for base in BASES)
    for words in ("Keras 3, a layer the zoo does not know**, prune", "SavedModel**, prune"):
        assert words in said
