"""What a file keeps from one inference to the next, told by its operators. Pure and light.

Most files keep nothing. Two kinds do, and an example must not see what the one before it left:

    variables   tensors of the graph that operators write in place: recurrent and SVDF layers.
                `Interpreter.reset_all_variables` clears them (`Subgraph::ResetVariableTensors`).
    resources   values beside the graph: VAR_HANDLE and its kin, and generators of random numbers.
                The runtime's reset does not touch them, and what CALL_ONCE put there at first is
                not put there again: only a file loaded anew starts with them as it should.
"""

from collections.abc import Collection
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

State = Literal["", "variables", "resources"]
"""Empty: the file keeps nothing."""

VARIABLES = {
    16: "LSTM",
    24: "RNN",
    27: "SVDF",
    35: "UNIDIRECTIONAL_SEQUENCE_RNN",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    46: "BIDIRECTIONAL_SEQUENCE_RNN",
    52: "BIDIRECTIONAL_SEQUENCE_LSTM",
}
"""Operators with tensors that outlive an inference, by their number in the schema."""

RESOURCES = {
    142: "VAR_HANDLE",
    143: "READ_VARIABLE",
    144: "ASSIGN_VARIABLE",
    146: "RANDOM_STANDARD_NORMAL",
    148: "RANDOM_UNIFORM",
    149: "MULTINOMIAL",
}
"""Operators with values that the runtime's reset leaves as they are."""

_OPERATOR_CODES, _DEPRECATED, _BUILTIN = 6, 4, 10
"""Places in the tables' lists of fields (schema.fbs: 4 + 2 * the field's number)."""


def of(codes: Collection[str], *, variables: bool = False) -> State:
    """Say what a file of these operators keeps; `variables`: whether a tensor is marked as one."""
    if not set(codes).isdisjoint(RESOURCES.values()):
        return "resources"
    return "variables" if variables or not set(codes).isdisjoint(VARIABLES.values()) else ""


def holds_resources(source: bytes | Path) -> bool:
    """Whether a file that the runtime has loaded keeps resources.

    Only the table of operator codes is read, of all subgraphs at once: a measuring process reads
    no more of a file than it must.
    """
    if isinstance(source, bytes):
        return _any_code(source)
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        return _any_code(mapped)


def _any_code(data: bytes | mmap) -> bool:
    from flatbuffers import encode
    from flatbuffers.number_types import Int8Flags, Int32Flags, UOffsetTFlags
    from flatbuffers.table import Table

    model = Table(data, encode.Get(UOffsetTFlags.packer_type, data, 0))
    place = model.Offset(_OPERATOR_CODES)
    if not place:
        return False
    start = model.Vector(place)
    for index in range(model.VectorLen(place)):
        code = Table(data, model.Indirect(start + 4 * index))
        numbers = (code.GetSlot(_DEPRECATED, 0, Int8Flags), code.GetSlot(_BUILTIN, 0, Int32Flags))
        if max(numbers) in RESOURCES:
            return True
    return False
