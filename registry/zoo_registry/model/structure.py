"""The part of a record that says what the file holds.

Weights and operators, read back from its bytes, and what was promised of them.
"""

from typing import Literal

from pydantic import Field

from zoo_registry.model.part import Count, Part, Share, is_empty


class TensorSparsity(Part):
    """One weight tensor as it stands in the file."""

    name: str
    operator: str = Field(description="flatbuffer operator that reads it, such as CONV_2D")
    shape: tuple[int, ...]
    dtype: str
    sparsity: Share
    distinct: Count = Field(description="distinct stored values over the whole tensor")
    distinct_per_channel: Count = Field(
        description="the most distinct stored values in any one output channel"
    )
    encoded_sparse: bool = Field(description="stored with sparse encoding (behind a DENSIFY)")
    granularity: str = Field(
        default="",
        description=(
            "of integers: what one scale stands for: tensor, channel, or block32 (32 inputs)"
        ),
    )
    layers: tuple[str, ...] = Field(
        default=(),
        exclude_if=is_empty,
        description="layers of the model whose kernel this is, where its values told",
    )


class Xnnpack(Part):
    """Whether XNNPACK takes its sparse kernels for this graph, on which CPUs, and why not."""

    predicted_sparse: bool
    cpus: tuple[str, ...] = Field(
        default=(), description="CPU families on which the sparse path is predicted"
    )
    reason: str


class OperatorCost(Part):
    """What one operator costs in one inference: a lower bound of its time, from two sides."""

    name: str = Field(description="of its first output")
    operator: str = Field(description="flatbuffer operator, such as CONV_2D")
    macs: Count = Field(description="multiply-accumulates")
    macs_skipped: Count = Field(
        default=0,
        description="of these, with weights that are zero, where XNNPACK's sparse kernels run",
    )
    weight_bytes: Count = Field(description="weights and biases it reads, as it computes with them")
    activation_bytes: Count = Field(description="what it reads and writes beside them")


class Structure(Part):
    """What the flatbuffer holds, read back from its bytes."""

    parameters: Count
    macs: Count
    operators: dict[str, int]
    tensors_by_dtype: dict[str, int]
    sparsity_overall: Share
    weights: tuple[TensorSparsity, ...]
    densify: Count = Field(description="number of DENSIFY operators")
    xnnpack: Xnnpack
    costs: tuple[OperatorCost, ...] = Field(
        default=(), exclude_if=is_empty, description="operators that cost anything, in their order"
    )
    state: Literal["", "variables", "resources"] = Field(
        default="",
        exclude_if=is_empty,
        description=(
            "what it keeps from one inference to the next: tensors that the runtime's reset clears"
            " (variables), or values that only loading it anew clears (resources)"
        ),
    )

    @property
    def before_each(self) -> str:
        """What an application must do before each new input; empty where nothing is kept."""
        return {
            "": "",
            "variables": "it keeps state: reset_all_variables() before each new input",
            "resources": "it keeps state that no reset clears: load it anew for each new input",
        }[self.state]


class Finding(Part):
    """One promise of a technique held against one tensor of the file."""

    technique: str
    promise: str
    tensor: str
    expected: str
    found: str
    held: bool
