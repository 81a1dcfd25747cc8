"""A file whose batch is open, fixed to one: the same outputs, and a delegate takes it whole."""

import numpy as np
import pytest

from plugins import edited_files
from plugins.edited_files import committed, edited
from zoo_builders.tflite import fixed_shapes
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import Unsupported

SHAPE = (1, 16, 16, 3)


def examples(count: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.uniform(-1, 1, SHAPE).astype(np.float32) for _ in range(count)]


def test_an_open_batch_becomes_one_and_outputs_stay() -> None:
    old = read(edited(committed(), edited_files.open_batch))
    assert fixed_shapes.is_open(old)
    new = read(fixed_shapes.fix(old, SHAPE, examples()[0]))
    assert not fixed_shapes.is_open(new)
    assert all(-1 not in tensor.shape for tensor in new.main.tensors)
    assert fixed_shapes.difference(old.data, new.data, SHAPE, examples()) == 0
    assert [one.code for one in new.main.operators] == [one.code for one in old.main.operators]


def test_operators_that_compute_shapes_become_constants_so_that_the_delegate_takes_all() -> None:
    """Flatten with an open batch is SHAPE, STRIDED_SLICE, PACK, RESHAPE; a delegate stops there."""
    old = read(edited(committed(), edited_files.computed_reshape, edited_files.open_batch))
    new = read(fixed_shapes.fix(old, SHAPE, examples()[0]))
    codes = [one.code for one in new.main.operators]
    assert codes[-2:] == ["RESHAPE", "FULLY_CONNECTED"]
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & set(codes)
    assert fixed_shapes.difference(old.data, new.data, SHAPE, examples()) == 0
    before, after = Session(old.data).coverage(), Session(new.data).coverage()
    assert before.delegated < before.total
    assert after.delegated == after.total == len(codes)
    assert after.partitions == 1


def test_a_file_that_was_changed_for_the_worse_is_noticed() -> None:
    old = edited(committed(), edited_files.open_batch)
    other = edited(committed(), edited_files.second_subgraph)
    moved = edited(other, lambda _, model: model.subgraphs.reverse())
    assert fixed_shapes.difference(old, moved, SHAPE, examples()) > 0.1


def test_a_shape_that_the_network_does_not_take_is_refused() -> None:
    old = read(edited(committed(), edited_files.open_batch))
    with pytest.raises(Unsupported, match=r"does not run with an input of \[1, 16, 16, 5\]"):
        fixed_shapes.fix(old, (1, 16, 16, 5), np.zeros((1, 16, 16, 5), np.float32))
