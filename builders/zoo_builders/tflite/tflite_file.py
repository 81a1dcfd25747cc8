"""What a .tflite file says, as plain values: tensors, operators, subgraphs.

`flatbuffer.read` makes a `TfliteFile` of bytes, once; whoever wants to know something of the file
takes that value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from zoo_builders.arrays import Array
from zoo_builders.tflite import state
from zoo_builders.tflite.state import State
from zoo_registry.model.errors import WrongUse


class BadFile(WrongUse):
    """The bytes are not a TFLite model that can be read."""

    slug = "bad-file"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the sparse format.

    Every index present (`dense`), or compressed rows (`segments`, `indices`).
    """

    format: Literal["dense", "csr"]
    size: int
    segments: Array | None = None
    indices: Array | None = None


@dataclass(frozen=True, slots=True)
class Sparse:
    """How the values of a sparsely stored tensor are laid out.

    Order of the dimensions, blocks, one level a dimension.
    """

    order: tuple[int, ...]
    block_map: tuple[int, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor. `data` is empty when it is computed.

    A dimension of -1 is unknown until the file runs.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    data: bytes
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    sparse: Sparse | None = None
    variable: bool = False
    block: int = 0
    """With blockwise scales: how many consecutive values of the last dimension share one."""

    @property
    def constant(self) -> bool:
        """Whether its values stand in the file."""
        return bool(self.data)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: builtin name, tensors by index (-1 = left out), and options.

    The options are those that decide shapes and paths. `custom` is a custom operator's own name.
    """

    index: int
    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]
    custom: str = ""


@dataclass(frozen=True)
class Subgraph:
    """Tensors and operators in the order of execution."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def producers(self) -> dict[int, Operator]:
        """Map each tensor that is computed to the operator that writes it."""
        return {tensor: operator for operator in self.operators for tensor in operator.outputs}

    @cached_property
    def consumers(self) -> dict[int, list[Operator]]:
        """Map each tensor to the operators that read it, in order."""
        found: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for tensor in dict.fromkeys(operator.inputs):
                found.setdefault(tensor, []).append(operator)
        return found


@dataclass(frozen=True, slots=True)
class Called:
    """One signature: its key, the subgraph it runs, and names of that one's tensors → index."""

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A file that was read: its bytes, and what they say.

    Attributes:
        data: the whole file, as it is stored.
        subgraphs: the first is the one that runs.
        input_names: tensor index → the name people gave to that input of the first subgraph;
            outputs likewise.
        signatures: all of them, in the file's order.
        metadata: (name, bytes) of each entry, in the file's order.
    """

    data: bytes = field(repr=False)
    subgraphs: tuple[Subgraph, ...]
    input_names: Mapping[int, str]
    output_names: Mapping[int, str]
    signatures: tuple[Called, ...] = ()
    metadata: tuple[tuple[str, bytes], ...] = ()

    @property
    def main(self) -> Subgraph:
        """The subgraph that runs."""
        return self.subgraphs[0]

    @property
    def state(self) -> State:
        """What it keeps from one inference to the next; empty where it keeps nothing."""
        graphs = self.subgraphs
        return state.of(
            {operator.code for graph in graphs for operator in graph.operators},
            variables=any(tensor.variable for graph in graphs for tensor in graph.tensors),
        )
