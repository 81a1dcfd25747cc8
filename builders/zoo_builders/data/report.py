"""What is to be told of the examples of a manifest's splits: shared ones, classes without any.

An example is shared where its bytes, after the geometric steps, are equal: as the model sees it.
Calibration examples out of `train` are the normal case. What `test` shares with `train` makes a
number too good and is refused above `data.max_overlap`; what it shares with a split of calibration
moves two numbers a tensor, and is refused above `CALIBRATION_OVERLAP`; what it shares with
`validation`, and `validation` with `train`, is told.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders.data.examples import BadData, Examples
from zoo_registry.model.data_report import Absent, DataReport, Overlap

TEST, TRAIN, VALIDATION, CALIBRATION = "test", "train", "validation", "calibration"
MAX_OVERLAP = 0.01
"""Share of `test` that another split may hold.

It moves an accuracy by less than the 95 % interval of a test of 2,000 examples (1.3 points at 0.9).
"""

CALIBRATION_OVERLAP = 0.2
"""Share of `test` that `calibration` may hold (more, if `data.max_overlap` is larger).

Fidelity leaves out what both hold.
"""

_BYTES, _NAMED = 16, 3


def held_against(splits: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair the splits whose overlap is told: (judged, other)."""
    yield from ((TEST, other) for other in splits if TEST in splits and other != TEST)
    if {TRAIN, VALIDATION} <= set(splits):
        yield VALIDATION, TRAIN


def limit_of(judged: str, other: str, max_overlap: float, *, labelled: bool) -> float:
    """Give the share of `judged` that `other` may hold; 1 where an overlap is only told.

    Nothing is trained on examples without labels, so only calibration counts there.
    """
    if judged != TEST or other == VALIDATION or not (labelled or other == CALIBRATION):
        return 1.0
    return max(max_overlap, CALIBRATION_OVERLAP) if other == CALIBRATION else max_overlap


@dataclass(slots=True)
class Seen:
    """Gathers what a report needs, split by split."""

    classes: Sequence[str]
    prints: dict[str, list[bytes]] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, split: str, examples: Examples) -> None:
        """Take the examples of one split as they are stored."""
        self.prints[split] = _prints(examples.images)
        self.labels[split], self.names[split] = examples.labels, examples.names

    def report(self, notes: Sequence[str]) -> DataReport:
        """Say what is shared and what is absent."""
        return DataReport(
            overlaps=tuple(self._overlaps()), absent=tuple(self._absent()), notes=tuple(notes)
        )

    def pairs(self, judged: str, other: str) -> str:
        """Name a few files that hold the same example; empty where examples have no names."""
        if not self.names[judged] or not self.names[other]:
            return ""
        theirs = dict(zip(self.prints[other], self.names[other], strict=True))
        ours = zip(self.prints[judged], self.names[judged], strict=True)
        found = [f"{name} = {theirs[one]}" for one, name in ours if one in theirs]
        return f", such as {', '.join(found[:_NAMED])}"

    def _overlaps(self) -> Iterator[Overlap]:
        for judged, other in held_against(tuple(self.prints)):
            ours, theirs = self.prints[judged], set(self.prints[other])
            count = sum(one in theirs for one in ours)
            if count:
                share = count / len(ours)
                yield Overlap(split=judged, other=other, examples=count, share=share)

    def _absent(self) -> Iterator[Absent]:
        """Name classes without examples in `test`, and in a `train` that could hold them all."""
        for split in (TRAIN, TEST):
            labels = self.labels.get(split, ())
            there = set(map(int, labels))
            absent = tuple(name for at, name in enumerate(self.classes) if at not in there)
            if absent and split in self.labels and (split == TEST or len(labels) >= len(absent)):
                yield Absent(split=split, classes=absent)


def refuse(
    overlaps: Sequence[Overlap], max_overlap: float, cuts: Mapping[str, str], seen: Seen
) -> None:
    """Insist that `test` shares no more than it may with what shapes the file.

    Args:
        overlaps: what was found.
        max_overlap: `data.max_overlap` of the manifest.
        cuts: split → its expression, for the message.
        seen: what the examples are; without classes they train nothing.

    Raises:
        BadData: more is shared; with both expressions and the share.
    """
    for one in overlaps:
        limit = limit_of(one.split, one.other, max_overlap, labelled=bool(seen.classes))
        if one.share > limit:
            raise BadData(
                f"{one.words}, more than {limit:.1%}: a number measured there is too good"
                f" ({one.split}: {cuts[one.split]}; {one.other}: {cuts[one.other]}"
                f"{seen.pairs(one.split, one.other)})",
                hint=hint(one.share),
            )


def hint(share: float) -> str:
    """Say what to do about an overlap."""
    return (
        "cut the splits apart and remove duplicates; or write"
        f" data: {{max_overlap: {min(1.0, share + 0.01):.2f}}} and let every record say it"
    )


def fresh(images: Any, known: Any) -> Any:
    """Give the places of those `images` that `known` does not hold, byte for byte."""
    import numpy as np

    there = set(_prints(known))
    return np.array([at for at, one in enumerate(_prints(images)) if one not in there], int)


def _prints(images: Any) -> list[bytes]:
    """Give a hash of the bytes of each example."""
    import numpy as np

    return [
        hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=_BYTES).digest()
        for one in images
    ]
