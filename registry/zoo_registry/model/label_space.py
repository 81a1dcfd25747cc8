"""What the outputs of a classifier mean: a name for a list of labels. Pure.

Two files answer the same question only where their labels mean the same, place by place. A list
that everybody knows has a name (`imagenet-1k`); any other is called by its length and digest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoo_registry.model.canonical import digest_of

_DIGITS = 12
_SPACES = re.compile(r"[\s_-]+")
_SYNONYMS = re.compile(r"\s*[,;]\s*")


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """A list of labels that has a name.

    Attributes:
        count: labels of it.
        signs: place → what may stand there, in every spelling in use; these places tell the list.
        datasets: how names of its data sets begin, for files whose labels nobody wrote down.
        background: it is also used with one more class, for nothing, in front.
    """

    name: str
    count: int
    signs: Mapping[int, frozenset[str]]
    datasets: tuple[str, ...]
    background: bool = field(default=False)

    def counts(self, outputs: int) -> bool:
        """Whether a file with so many outputs may be one of it."""
        return outputs == self.count or (self.background and outputs == self.count + 1)

    def holds(self, labels: Sequence[str]) -> bool:
        """Whether `labels`, spelled plainly, are these."""
        shift = len(labels) - self.count
        return self.counts(len(labels)) and all(
            bool(spellings & _readings(labels[place + shift]))
            for place, spellings in self.signs.items()
        )


def _signs(*spelled: str) -> dict[int, frozenset[str]]:
    return {place: frozenset(one.split("|")) for place, one in enumerate(spelled)}


KNOWN = (
    LabelSpace(
        "imagenet-1k",
        1000,
        {
            0: frozenset({"tench", "n01440764", "tinca tinca"}),
            1: frozenset({"goldfish", "n01443537", "carassius auratus"}),
            2: frozenset({"great white shark", "n01484850", "white shark"}),
            388: frozenset({"giant panda", "n02510455", "panda"}),
            999: frozenset({"toilet tissue", "toilet paper", "n15075141"}),
        },
        ("imagenet", "ilsvrc"),
        background=True,
    ),
    LabelSpace(
        "cifar10",
        10,
        _signs(
            "airplane|plane|aeroplane",
            "automobile|car",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship|boat",
            "truck",
        ),
        ("cifar10", "cifar 10"),
    ),
    LabelSpace(
        "cifar100",
        100,
        {
            0: frozenset({"apple", "apples"}),
            1: frozenset({"aquarium fish"}),
            50: frozenset({"mouse"}),
            99: frozenset({"worm"}),
        },
        ("cifar100", "cifar 100"),
    ),
    LabelSpace(
        "digits",
        10,
        _signs(
            "0|zero",
            "1|one",
            "2|two",
            "3|three",
            "4|four",
            "5|five",
            "6|six",
            "7|seven",
            "8|eight",
            "9|nine",
        ),
        ("digits", "mnist", "fsdd"),
    ),
    LabelSpace(
        "fashion-mnist",
        10,
        _signs(
            "t shirt/top|t shirt|tshirt|top",
            "trouser|trousers",
            "pullover",
            "dress",
            "coat",
            "sandal|sandals",
            "shirt",
            "sneaker|sneakers",
            "bag",
            "ankle boot|ankle boots",
        ),
        ("fashion mnist",),
    ),
)
"""Lists of labels that have a name, in the order in which they are tried."""


def label_space(labels: Sequence[str], *, dataset: str = "", outputs: int = 0) -> str:
    """Name what the outputs mean: `imagenet-1k`, or `3-labels-0f3c…`; empty where nobody knows.

    Spelling counts for nothing: capitals, spaces, `_` and `-` in labels; order counts. Where there
    are no labels, the name of the data set and the number of outputs say it, else the number alone
    (`12-classes`).

    Args:
        labels: one an output, as the record says them.
        dataset: name of the data that the file was measured on.
        outputs: how many scores the file gives; 0 where it gives none.
    """
    plain = _unnumbered([_plain(label) for label in labels])
    if plain:
        found = next((space.name for space in KNOWN if space.holds(plain)), None)
        return found or f"{len(plain)}-labels-{digest_of(plain)[:_DIGITS]}"
    name = _plain(dataset)
    for space in KNOWN:
        if space.counts(outputs) and name.startswith(space.datasets):
            return space.name
    return f"{outputs}-classes" if outputs else ""


def _plain(text: str) -> str:
    """Spell a label without what spelling may change."""
    return _SPACES.sub(" ", text.strip().casefold()).strip()


def _unnumbered(labels: list[str]) -> list[str]:
    """Drop the numbers of lists such as `0 background`, `1 tench`."""
    parts = [label.partition(" ") for label in labels]
    numbered = all(
        number.rstrip(":.") == str(place) and rest for place, (number, _, rest) in enumerate(parts)
    )
    return [rest for _, _, rest in parts] if numbered else labels


def _readings(label: str) -> frozenset[str]:
    """Give what one label may stand for: itself, each of its synonyms, its first word."""
    return frozenset({label, *_SYNONYMS.split(label), label.partition(" ")[0]})
