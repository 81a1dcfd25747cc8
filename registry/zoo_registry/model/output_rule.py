"""When a device's outputs count as the golden ones: part of a record.

Stored, so that whoever checks needs nothing but the golden vectors. What it means is decided in
`zoo_builders.tflite.agreement` and `litertjs/browser/agreement.js`.
"""

from typing import Annotated, Literal

from pydantic import Field

from zoo_registry.model.part import Count, Finite, Part, Positive

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class OutputLimits(Part):
    """How far one output may be off, and how that is told."""

    measure: Literal["values", "log-odds", "same"] = Field(
        description=(
            "what is compared: values, log-odds of probabilities, or how many values are equal"
        )
    )
    offset: Finite = Field(description="real values are (stored - offset) * factor")
    factor: Positive
    resolution: NotNegative = Field(description="real values are known to no more than this")
    typical: NotNegative = Field(description="most that the median example may be off")
    most: NotNegative = Field(description="beyond it an example is an exception")


class OutputRule(Part):
    """When outputs agree: limits of each output, and the exceptions among all examples."""

    encoding: str = Field(description="how the file computes, which decided the limits: int8, …")
    outputs: tuple[OutputLimits, ...]
    exceptions: Count = Field(
        description="examples that may be off by more than `most`, or decide otherwise"
    )
