"""The part of a record that says what goes into the file and what comes out.

It also says how to prepare inputs.
"""

from typing import Annotated, Any

from pydantic import Field

from zoo_registry.model.part import Finite, Part, is_empty


class TensorInfo(Part):
    """One input or output. `scale` and `zero_point` are 0 for float tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: Finite = 0.0
    zero_point: int = 0


class Values(Part):
    """What the value steps of the preprocessing come to.

    `float32(stored) * scale + offset`, lists one entry a channel.

    `low` and `high` bound the stored values, which is not always 0 to 255; of features of
    recordings, they are what training data held.
    """

    scale: Finite | tuple[Finite, ...]
    offset: Finite | tuple[Finite, ...]
    low: Finite
    high: Finite


class Sound(Part):
    """What a file wants that hears recordings itself.

    One channel, `samples` at `sample_rate`, each sample as a share of full scale.

    `front_end` says what it makes of them, as a step of preprocessing would: `{"mfcc": {…}}`, and
    `values` for what follows it.
    """

    sample_rate: Annotated[int, Field(gt=0)]
    samples: Annotated[int, Field(gt=0)]
    front_end: dict[str, Any]

    @property
    def words(self) -> str:
        """What goes in, in one line for people."""
        seconds = f"{self.samples / self.sample_rate:g} s"
        made = ", ".join(self.front_end)
        return (
            f"a recording of {seconds}: {self.samples:,} samples at {self.sample_rate:,} Hz, mono,"
            f" -1 to 1 ({made} inside the file)"
        )


class Signature(Part):
    """What goes in and what comes out, and how to prepare it."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    preprocess: tuple[dict[str, Any], ...] = ()
    values: Values | None = None
    labels: tuple[str, ...] = ()
    output: str = Field(
        default="",
        exclude_if=is_empty,
        description="of several outputs, the one that metrics speak of",
    )
    sound: Sound | None = Field(default=None, exclude_if=is_empty)
