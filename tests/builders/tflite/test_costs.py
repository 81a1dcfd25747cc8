"""What operators cost, held against the networks of the golden files and against files with
nothing to multiply.
"""

from collections.abc import Mapping

import pytest

from zoo_builders.tflite.inspection import inspect


def test_costs_add_up_to_the_work_of_the_whole_file(files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        seen = inspect(data)
        assert sum(cost.macs for cost in seen.costs) == seen.macs, name
        assert {cost.operator for cost in seen.costs} <= set(seen.operators)
        assert all(cost.macs_skipped <= cost.macs for cost in seen.costs)


def test_bytes_are_those_of_the_tensors(files: Mapping[str, bytes]) -> None:
    stem = next(cost for cost in inspect(files["fp32"]).costs if cost.operator == "CONV_2D")
    assert stem.weight_bytes == 4 * (4 * 3 * 3 * 3 + 4)
    assert stem.activation_bytes == 4 * (18 * 18 * 3 + 8 * 8 * 4)


def test_int8_moves_a_quarter_of_the_bytes(files: Mapping[str, bytes]) -> None:
    def moved(name: str) -> int:
        return sum(cost.activation_bytes for cost in inspect(files[name]).costs if cost.macs)

    assert moved("int8") == pytest.approx(moved("fp32") / 4, rel=0.01)


def test_zeros_are_skipped_only_where_a_sparse_path_is_predicted(
    files: Mapping[str, bytes],
) -> None:
    sparse, dense = inspect(files["sparse"]), inspect(files["fp32"])
    assert sparse.xnnpack.predicted_sparse
    assert not dense.xnnpack.predicted_sparse
    assert not any(cost.macs_skipped for cost in dense.costs)
    skipping = [cost for cost in sparse.costs if cost.macs_skipped]
    assert skipping
    assert {cost.operator for cost in skipping} <= {"CONV_2D", "FULLY_CONNECTED"}
    assert not sparse.costs[1].macs_skipped  # the 3x3 stem: XNNPACK has sparse kernels for 1x1 only
    assert not any("DENSIFY" in cost.operator for cost in sparse.costs)
    by_name = {cost.name: cost for cost in dense.costs}
    assert all(
        by_name[cost.name].weight_bytes == cost.weight_bytes
        for cost in sparse.costs
        if cost.name in by_name
    )
