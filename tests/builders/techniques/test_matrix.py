"""Every technique on every kind of network: it is built and proven, or refused with the reason.

Docs/techniques.md says which.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.matrix import (
    CELLS,
    LEFT,
    LEGEND,
    NETWORKS,
    RECIPES,
    TABLE,
    Bench,
    committed,
    left_alone,
    mark,
    recipe,
    resolve,
    table,
)
from zoo_builders.techniques import TECHNIQUES


def test_every_technique_has_a_row() -> None:
    used = {name for steps in RECIPES.values() for step in steps for name in step}
    assert used == set(TECHNIQUES.names()), (
        "a technique without a row in RECIPES (tests/plugins/matrix.py) is nowhere proven"
    )


def test_the_table_has_every_cell_and_no_other() -> None:
    assert set(committed()) == set(CELLS), "make golden"


def test_every_technique_is_proven_somewhere_and_none_does_nothing_in_silence() -> None:
    cells = committed()
    assert all(text.startswith(("proven: ", "refused: ")) for text in cells.values())
    proven = {
        name
        for (row, _), text in cells.items()
        if text.startswith("proven")
        for step in RECIPES[row]
        for name in step
    }
    assert proven == set(TECHNIQUES.names())


def test_every_network_is_described() -> None:
    assert list(LEGEND) == list(NETWORKS)


def test_layers_that_a_step_leaves_alone_stand_in_the_cell_and_change_its_mark() -> None:
    for row, column in CELLS:
        said = committed()[row, column]
        if said.startswith("proven"):
            graph = NETWORKS[column]()
            steps, _ = resolve(recipe(row, column), graph)
            assert [part for part in said.split("; ") if part.startswith(LEFT)] == left_alone(
                graph, steps
            )
    marks = {(row, column): mark(committed()[row, column]) for row, column in CELLS}
    assert (marks["prune", "Dense"], marks["prune", "depthwise"], marks["svd", "Conv 3x3"]) == (
        "✓",
        "(✓)",
        "(✓)!",
    )


@pytest.mark.parametrize("column", ["depthwise", "residual"])
def test_the_sparse_path_opens_somewhere(column: str) -> None:
    said = committed()["prune, XNNPACK policy, 90 % zeros", column]
    assert "predicted to run sparse on arm64, predicted to run sparse on wasm-simd" in said


@pytest.mark.parametrize(
    ("row", "column"), CELLS, ids=[f"{row} on {column}" for row, column in CELLS]
)
def test_what_is_refused_is_refused_before_anything_is_trained(row: str, column: str) -> None:
    _, refused = resolve(recipe(row, column), NETWORKS[column]())
    assert refused == (
        committed()[row, column] if committed()[row, column].startswith("refused") else ""
    )


@pytest.mark.train
@pytest.mark.parametrize(
    ("row", "column"), CELLS, ids=[f"{row} on {column}" for row, column in CELLS]
)
def test_the_file_holds_what_the_table_says(
    row: str, column: str, bench: Bench, request: pytest.FixtureRequest
) -> None:
    said = bench.cell(row, column)
    if not request.config.getoption("--golden"):
        assert said == committed()[row, column], "if that is right: make golden"


@pytest.mark.train
@pytest.mark.golden
def test_the_table_is_what_the_files_say(golden: Callable[[Path, str], None], bench: Bench) -> None:
    golden(TABLE, table({cell: bench.cell(*cell) for cell in CELLS}))
