"""The subgraph that a chosen signature runs takes the first place, which is the one that runs.

Devices, browsers and benchmark tools run the first subgraph. Nothing is left out: the two change
places, and all that names one of them by number names it anew.
"""

from collections.abc import Iterator
from typing import Any

from zoo_builders.tflite.flatbuffer import pack, unpacked
from zoo_builders.tflite.tflite_file import TfliteFile


def put(file: TfliteFile, number: int) -> bytes:
    """Give the file with subgraph `number` in the first place; its own bytes where it is there."""
    if number == 0:
        return file.data
    model = unpacked(file.data)
    graphs, places = model.subgraphs, {0: number, number: 0}
    graphs[0], graphs[number] = graphs[number], graphs[0]
    for signature in model.signatureDefs or ():
        signature.subgraphIndex = places.get(signature.subgraphIndex, signature.subgraphIndex)
    for operator in (one for graph in graphs for one in graph.operators or ()):
        for options, name in _numbers(operator):
            found = getattr(options, name)
            renamed = (
                places.get(int(found), int(found))
                if isinstance(found, int)
                else [places.get(int(one), int(one)) for one in found]
            )
            setattr(options, name, renamed)
    return pack(model)


def _numbers(operator: Any) -> Iterator[tuple[Any, str]]:
    """Find the fields of an operator's options that hold numbers of subgraphs.

    By the names that the schema gives them: `condSubgraphIndex`, `branchSubgraphIndices`, and
    `subgraph` of CALL.
    """
    tables = [operator.builtinOptions, operator.builtinOptions2]
    for options in tables:
        for name, value in vars(options).items() if options is not None else ():
            numbered = name == "subgraph" or name.endswith(("SubgraphIndex", "SubgraphIndices"))
            if numbered and value is not None:
                yield options, name
