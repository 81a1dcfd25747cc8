"""The sparse tensor format of TFLite: compressed rows, level by level, with optional dense blocks.

Format: `SparsityParameters` in TensorFlow's lite/schema/schema.fbs, after Kjolstad et al., "The
    Tensor Algebra Compiler" (2017). A
tensor of rank r with b blocked dimensions is seen as one of rank r + b; `order` names its
dimensions in the order they are nested (r + k is the inner part of dimension `block_map[k]`), and
each level is dense or lists the indices that exist.
"""

import math

from zoo_builders.arrays import Array
from zoo_builders.tflite.tflite_file import BadFile, Level, Sparse


def decode(values: Array, shape: tuple[int, ...], sparse: Sparse) -> Array:
    """Spread the stored `values` over a dense array of `shape`; what is not stored is 0.

    Raises:
        BadFile: the description contradicts itself, the shape, or the number of values.
    """
    import numpy as np

    blocks = _block_sizes(shape, sparse)
    coordinates: list[Array] = []
    nodes = 1
    for level, dimension in zip(sparse.levels, sparse.order, strict=True):
        size = _size(dimension, shape, sparse.block_map, blocks)
        parents, indices = _expand(level, nodes, size, limit=math.prod(shape))
        coordinates = [*(coordinate[parents] for coordinate in coordinates), indices]
        nodes = len(indices)
    if nodes != len(values):
        raise BadFile(f"a sparse tensor stores {len(values)} values for {nodes} places")
    dense = np.zeros(shape, values.dtype)
    dense[_places(coordinates, shape, sparse, blocks)] = values
    return dense


def _block_sizes(shape: tuple[int, ...], sparse: Sparse) -> dict[int, int]:
    """Check the description; give the block size of each blocked dimension."""
    rank, depth = len(shape), len(sparse.levels)
    if (
        not rank
        or sorted(sparse.order) != list(range(depth))
        or depth != rank + len(sparse.block_map)
    ):
        raise BadFile(
            f"sparse tensor of rank {rank}: order {sparse.order}, blocks {sparse.block_map},"
            f" {depth} levels do not belong together"
        )
    if len(set(sparse.block_map)) != len(sparse.block_map) or any(
        not 0 <= dimension < rank for dimension in sparse.block_map
    ):
        raise BadFile(f"sparse tensor of rank {rank} with the block map {sparse.block_map}")
    inner = {
        dimension - rank: level
        for dimension, level in zip(sparse.order, sparse.levels, strict=True)
        if dimension >= rank
    }
    sizes = {sparse.block_map[block]: level.size for block, level in inner.items()}
    wrong = next(
        (
            d
            for d, size in sizes.items()
            if size < 1 or shape[d] % size or inner[sparse.block_map.index(d)].format != "dense"
        ),
        None,
    )
    if wrong is not None:
        raise BadFile(f"sparse tensor: blocks of {sizes[wrong]} in a dimension of {shape[wrong]}")
    return sizes


def _size(
    dimension: int, shape: tuple[int, ...], block_map: tuple[int, ...], blocks: dict[int, int]
) -> int:
    rank = len(shape)
    return (
        blocks[block_map[dimension - rank]]
        if dimension >= rank
        else shape[dimension] // blocks.get(dimension, 1)
    )


def _expand(level: Level, nodes: int, size: int, *, limit: int) -> tuple[Array, Array]:
    """Give, for each child of `nodes` parents, its parent and its index along this dimension."""
    import numpy as np

    if level.format == "dense":
        if level.size != size or nodes * size > limit:
            raise BadFile(f"a dense level of {level.size} where the shape says {size}")
        return np.repeat(np.arange(nodes), size), np.tile(np.arange(size), nodes)
    segments, indices = level.segments, level.indices
    if segments is None or indices is None or len(segments) != nodes + 1 or len(indices) > limit:
        raise BadFile(f"a compressed level does not describe {nodes} rows")
    counts = np.diff(segments)
    if segments[0] != 0 or segments[-1] != len(indices) or (counts < 0).any():
        raise BadFile("a compressed level's rows do not follow one another")
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise BadFile(
            f"a compressed level names index {int(indices.max())} in a dimension of {size}"
        )
    return np.repeat(np.arange(nodes), counts), indices


def _places(
    coordinates: list[Array], shape: tuple[int, ...], sparse: Sparse, blocks: dict[int, int]
) -> tuple[Array, ...]:
    by_dimension = dict(zip(sparse.order, coordinates, strict=True))
    rank = len(shape)
    places = []
    for dimension in range(rank):
        place = by_dimension[dimension] * blocks.get(dimension, 1)
        if dimension in sparse.block_map:
            place = place + by_dimension[rank + sparse.block_map.index(dimension)]
        places.append(place)
    return tuple(places)
