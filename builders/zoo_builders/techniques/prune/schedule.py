"""When pruning masks are renewed, and how many weights they leave out then.

Zhu & Gupta 2017, section 3. Pure.

TFMOT counts the steps of a training from 1 and renews its masks at the steps `begin`, `begin +
every`, … up to `end` (never at 0). Left alone it renews every 100 steps, so that a short training
prunes nothing, and a polynomial whose end no renewal falls on stops short of its target. Here
`every` follows from the length of the schedule unless it is said, and `end` moves back to the last
renewal.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_builders.techniques.prune.params import Params

UPDATES = 50
"""How often the masks are renewed on the way to the target, unless the manifest says otherwise."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a manifest says of a schedule, in steps or epochs.

    Steps come first where both are there.
    """

    epochs: int
    from_epoch: int = 0
    until_epoch: int | None = None
    every_epoch: int | None = None
    begin_step: int | None = None
    end_step: int | None = None
    frequency: int | None = None

    def window(self, steps_per_epoch: int) -> "Window":
        """Give the same in steps, with `end` moved back to the last renewal."""
        begin = self.from_epoch * steps_per_epoch if self.begin_step is None else self.begin_step
        asked = (
            (self.until_epoch or self.epochs) * steps_per_epoch
            if self.end_step is None
            else self.end_step
        )
        every = (
            self.frequency
            or (self.every_epoch or 0) * steps_per_epoch
            or max(1, (asked - begin) // UPDATES)
        )
        return Window(
            begin,
            asked,
            begin + max(0, asked - begin) // every * every,
            every,
            self.epochs * steps_per_epoch,
        )

    def in_steps(self) -> "Window | None":
        """Give what is known without the data.

        The window of a schedule said in steps, of a training long enough for it; None in epochs.
        """
        if self.end_step is None or (self.begin_step is None and self.from_epoch):
            return None
        return replace(self.window(0), last=self.end_step)


@dataclass(frozen=True, slots=True)
class Window:
    """A schedule in steps.

    Attributes:
        begin: step the schedule starts from.
        asked: step by which the target was to be reached.
        end: step of the last renewal at or before it: there the target is reached exactly.
        every: steps between renewals.
        last: step with which the training ends.
    """

    begin: int
    asked: int
    end: int
    every: int
    last: int

    @property
    def renewals(self) -> range:
        """Steps at which the masks are renewed."""
        first = self.begin if self.begin >= 1 else self.every
        return range(first, self.end + 1, self.every)


def timing(params: "Params") -> Timing:
    """Give the schedule, in steps or epochs as the manifest says."""
    return Timing(
        params.epochs,
        params.prune_from_epoch,
        params.prune_until_epoch,
        params.prune_every_epoch,
        params.begin_step,
        params.end_step,
        params.frequency,
    )


def share_at(step: int, window: Window, initial: float, final: float, power: float) -> float:
    """Give the share of zeros a polynomial schedule asks for at a step."""
    done = min(1.0, max(0.0, (step - window.begin) / (window.end - window.begin)))
    return float(final + (initial - final) * (1 - done) ** power)
