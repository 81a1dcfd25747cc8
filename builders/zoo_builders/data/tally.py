"""How many files of a source needed what: counted while they are read, told in the record."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts files by what was done to them; `kind` is what one file is called."""

    kind: str
    found: Counter[str] = field(default_factory=Counter)

    def add(self, what: str) -> None:
        """Count one file more."""
        self.found[what] += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """One line a reason, with the number of files."""
        return tuple(
            f"{count} {self.kind}{'s' if count > 1 else ''}: {what}"
            for what, count in sorted(self.found.items())
        )
