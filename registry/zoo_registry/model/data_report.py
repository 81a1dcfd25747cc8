"""What a record says of its data: examples that splits share, classes without examples, files.

All of it is found before anything is trained, and none of it is a measurement of the file.
"""

from typing import Annotated

from pydantic import Field

from zoo_registry.model.part import Part, Share, shorten

_NAMED = 5
_LONGEST = 300


class Overlap(Part):
    """Examples of `split` that `other` holds too, byte for byte as the model sees them."""

    split: str
    other: str
    examples: Annotated[int, Field(gt=0)]
    share: Share = Field(description="of the examples of `split`")

    @property
    def words(self) -> str:
        """One line for people."""
        return (
            f"{self.examples} examples of {self.split} ({self.share:.1%}) are also in {self.other}"
        )


class Absent(Part):
    """Classes of which a split holds no example."""

    split: str
    classes: tuple[str, ...]

    @property
    def words(self) -> str:
        """One line for people."""
        more = len(self.classes) - _NAMED
        named = ", ".join(self.classes[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return shorten(f"no example of {named} is in {self.split}", _LONGEST)


class DataReport(Part):
    """What whoever reads a metric should know of the examples it was measured on."""

    overlaps: tuple[Overlap, ...] = ()
    absent: tuple[Absent, ...] = ()
    notes: tuple[str, ...] = Field(
        default=(), description="how files were read, and which were not: a line each"
    )

    @property
    def words(self) -> tuple[str, ...]:
        """Everything, a line each."""
        return (
            *(overlap.words for overlap in self.overlaps),
            *(absent.words for absent in self.absent),
            *self.notes,
        )
