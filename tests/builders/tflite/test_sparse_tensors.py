"""The sparse tensor format: whatever is encoded comes back.

Whatever contradicts itself is refused.
"""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zoo_builders.tflite.sparse_tensors import decode
from zoo_builders.tflite.tflite_file import BadFile, Level, Sparse

Array = np.ndarray[Any, Any]


def encode(
    dense: Array,
    order: tuple[int, ...],
    block_map: tuple[int, ...],
    blocks: tuple[int, ...],
    formats: list[str],
) -> tuple[Array, Sparse]:
    """Encode by the format's definition, element by element.

    A plain tree walk, unlike the decoder's array arithmetic.
    """
    rank = dense.ndim
    size = dict(zip(block_map, blocks, strict=True))
    sizes = [blocks[d - rank] if d >= rank else dense.shape[d] // size.get(d, 1) for d in order]

    def at(path: tuple[int, ...]) -> tuple[int, ...]:
        along = dict(zip(order, path, strict=True))
        return tuple(
            along[d] * size.get(d, 1) + (along[rank + block_map.index(d)] if d in size else 0)
            for d in range(rank)
        )

    def filled(prefix: tuple[int, ...]) -> bool:
        rest = [range(n) for n in sizes[len(prefix) :]]
        return any(dense[at((*prefix, *tail))] for tail in itertools.product(*rest))

    nodes: list[tuple[int, ...]] = [()]
    levels = []
    for depth, form in enumerate(formats):
        children = [
            [i for i in range(sizes[depth]) if form == "dense" or filled((*node, i))]
            for node in nodes
        ]
        if form == "dense":
            levels.append(Level("dense", sizes[depth]))
        else:
            segments = np.cumsum([0, *(len(child) for child in children)])
            levels.append(
                Level(
                    "csr", 0, segments, np.array([i for child in children for i in child], np.int64)
                )
            )
        nodes = [(*node, i) for node, child in zip(nodes, children, strict=True) for i in child]
    return np.array([dense[at(node)] for node in nodes], dense.dtype), Sparse(
        order, block_map, tuple(levels)
    )


@st.composite
def tensors(
    draw: st.DrawFn,
) -> tuple[Array, tuple[int, ...], tuple[int, ...], tuple[int, ...], list[str]]:
    rank = draw(st.integers(1, 4))
    block_map = tuple(draw(st.lists(st.integers(0, rank - 1), unique=True, max_size=min(2, rank))))
    blocks = tuple(
        draw(st.lists(st.integers(1, 3), min_size=len(block_map), max_size=len(block_map)))
    )
    size = dict(zip(block_map, blocks, strict=True))
    shape = tuple(draw(st.integers(1, 3)) * size.get(d, 1) for d in range(rank))
    dense = draw(arrays.arrays(np.int8, shape, elements=st.sampled_from([0, 0, 0, 1, -3])))
    outer = draw(st.permutations(range(rank)))
    order = (*outer, *range(rank, rank + len(block_map)))
    formats = [draw(st.sampled_from(["dense", "csr"])) for _ in outer] + ["dense"] * len(block_map)
    return dense, order, block_map, blocks, formats


@settings(max_examples=300, deadline=None)
@given(tensors())
def test_decoding_gives_back_what_was_encoded(
    case: tuple[Array, tuple[int, ...], tuple[int, ...], tuple[int, ...], list[str]],
) -> None:
    dense, *layout = case
    values, sparse = encode(dense, *layout)
    assert np.array_equal(decode(values, dense.shape, sparse), dense)


MATRIX = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], np.int8)
VALUES = np.array([2, 1, 3], np.int8)


def rows(segments: list[int], indices: list[int]) -> Sparse:
    return Sparse(
        (0, 1), (), (Level("dense", 3), Level("csr", 0, np.array(segments), np.array(indices)))
    )


def test_compressed_rows_by_hand() -> None:
    assert np.array_equal(decode(VALUES, (3, 3), rows([0, 1, 1, 3], [1, 0, 2])), MATRIX)


@pytest.mark.parametrize(
    ("sparse", "word"),
    [
        (rows([0, 1, 1, 3], [1, 0, 9]), "index 9"),
        (rows([0, 1, 1, 3], [1, -1, 2]), "names index"),
        (rows([0, 2, 1, 3], [1, 0, 2]), "follow"),
        (rows([0, 1, 3], [1, 0, 2]), "3 rows"),
        (rows([1, 1, 1, 3], [1, 0, 2]), "follow"),
        (rows([0, 1, 1, 2], [1, 0]), "3 values for 2 places"),
        (Sparse((0, 0), (), (Level("dense", 3), Level("dense", 3))), "belong together"),
        (Sparse((0, 1), (), (Level("dense", 1 << 30), Level("dense", 3))), "dense level"),
        (
            Sparse((0, 1, 2), (0,), (Level("dense", 1), Level("dense", 3), Level("dense", 2))),
            "blocks of 2",
        ),
        (
            Sparse((0, 1, 2), (5,), (Level("dense", 3), Level("dense", 3), Level("dense", 1))),
            "block map",
        ),
    ],
)
def test_contradictions_are_refused(sparse: Sparse, word: str) -> None:
    with pytest.raises(BadFile, match=word):
        decode(VALUES, (3, 3), sparse)
