"""Whether two sets of outputs come from the same file: the pure decision.

Correct kernels differ: sums in another order, a step rounded up where the other rounds down. So one
example proves nothing, but the distribution over many does. An example's error is the largest of
its values, told before the softmax where there is one: the smallest change of log-odds
log(p / (1 - p)) that explains the difference of two probabilities, each known to `resolution`.
There a quantization step is a step; behind the softmax the same step is nothing for a sure answer
and a tenth of the range for an unsure one.

Outputs agree when, of n examples,

    fewer than half are off by more than `typical`;
    at most `exceptions` are off by more than `most`;
    at most `exceptions` name another class although the golden one led by more than 2 `typical`
    (a smaller lead can turn within the error).

A wrong kernel, file or input moves the bulk. Good kernels have single examples that are far off,
and these are rarely many at once: with shares p and q of examples beyond `typical` and `most`, a
good file fails with at most P(Bin(n, p) >= n/2) + P(Bin(n, q) > k) + P(Bin(n, p) > k), where k =
`exceptions`. See `agreement_limits` for the limits, `docs/adr/0012` for the rate as measured, and
`litertjs/browser/agreement.js`, which decides the same way; a test holds it against this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoo_builders.arrays import Array
from zoo_registry.model.errors import MeasureFailed

Measure = Literal["values", "log-odds", "same"]
_TOLD = {"values": "", "log-odds": " of log-odds", "same": " of all values"}

CROWD = 1024
"""Values of an output for one that is left out of an example's largest error.

Of a map of pixels, the thousandth part at a border may turn.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far one output may be off, and how that is told.

    Attributes:
        measure: what is compared: the values, log-odds of probabilities, or how many are the same.
        offset: of what is stored; real values are (stored - offset) * factor.
        factor: see `offset`; 1 for floats.
        resolution: real values are known to no more than this, on either side.
        typical: most that the median example may be off, in the measure.
        most: beyond it an example is an exception.
    """

    measure: Measure
    offset: float
    factor: float
    resolution: float
    typical: float
    most: float

    def real(self, stored: Array) -> Array:
        """Turn [examples, …] as stored into real values [examples, values], float64."""
        import numpy as np

        values = (stored.astype(np.float64) - self.offset) * self.factor
        return np.asarray(values.reshape(len(stored), -1))

    def told(self, stored: Array) -> Array:
        """Tell stored values in the measure, [examples, values], as far as they are known."""
        import numpy as np

        values = self.real(stored)
        if self.measure != "log-odds":
            return values
        return _log_odds(np.clip(values, self.resolution, 1 - self.resolution))

    def errors(self, found: Array, wanted: Array) -> Array:
        """Tell each example's error, [examples], in the measure."""
        import numpy as np

        off = self._apart(self.real(found), self.real(wanted))
        if not off.shape[1]:
            return np.zeros(len(off))
        if self.measure == "same":
            return np.asarray((off > 0).mean(axis=1))
        place = off.shape[1] - 1 - off.shape[1] // CROWD
        return np.asarray(np.partition(off, place, axis=1)[:, place])

    def turned(self, found: Array, wanted: Array) -> Array:
        """Say which examples name another class though the golden one clearly led, [examples]."""
        import numpy as np

        ours, theirs = self.real(found), self.real(wanted)
        if self.measure == "same" or ours.shape[1] < _CLASSES:
            return np.zeros(len(ours), bool)
        ranked, rows = np.argsort(-theirs, axis=1, kind="stable"), np.arange(len(theirs))
        first, second = (theirs[rows, ranked[:, place]] for place in range(_CLASSES))
        lead = self._apart(first, second)
        return np.asarray((ours[rows, ranked[:, 0]] < ours.max(axis=1)) & (lead > 2 * self.typical))

    def _apart(self, ours: Array, theirs: Array) -> Array:
        """Give the least distance of values that are known to ± `resolution`.

        Never NaN: of a probability at 0 or 1 one end is open, the other is not.
        """
        import numpy as np

        low = np.maximum(ours, theirs) - self.resolution
        high = np.minimum(ours, theirs) + self.resolution
        if self.measure == "log-odds":
            low, high = _log_odds(low), _log_odds(high)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(low > high, low - high, 0.0))


_CLASSES = 2


def _log_odds(shares: Array) -> Array:
    import numpy as np

    inside = np.clip(shares, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(inside) - np.log1p(-inside))


@dataclass(frozen=True, slots=True)
class Rule:
    """When outputs count as the golden ones; the record's `OutputRule` says the same."""

    encoding: str
    outputs: tuple[Limits, ...]
    exceptions: int

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Rule":
        """Read it from plain values, as `plain` gives them."""
        outputs = tuple(Limits(**limits) for limits in plain["outputs"])
        return cls(str(plain["encoding"]), outputs, int(plain["exceptions"]))

    def plain(self) -> dict[str, Any]:
        """Spell it in plain values, for JSON."""
        return asdict(self)

    def judge(self, found: Sequence[Array], wanted: Sequence[Array]) -> None:
        """See that outputs agree; both hold one array a port, [examples, …], as stored.

        Raises:
            MeasureFailed: (kind `wrong-output`) they do not; with the output, how far off it is,
                how far it may be, and the example that is farthest off.
        """
        for port, (limits, ours, theirs) in enumerate(
            zip(self.outputs, found, wanted, strict=True)
        ):
            objection = self._objection(limits, ours, theirs)
            if objection:
                raise MeasureFailed(
                    f"output {port} is not the golden one: {objection}", kind="wrong-output"
                )

    def _objection(self, limits: Limits, found: Array, wanted: Array) -> str:
        import numpy as np

        errors = limits.errors(found, wanted)
        total, worst = len(errors), int(errors.argmax())
        median = float(np.sort(errors)[total // 2])
        far = int((errors > limits.most).sum())
        turned = int(limits.turned(found, wanted).sum())
        unit = _TOLD[limits.measure]
        where = f"(golden example {worst} by {errors[worst]:.3g}; {self.encoding} file)"
        if median > limits.typical:
            return (
                f"half of {total} golden examples are off by {median:.3g}{unit} or more, a good"
                f" file by {limits.typical:.3g} at most {where}"
            )
        if far > self.exceptions:
            return (
                f"{far} of {total} golden examples are off by more than {limits.most:.3g}{unit},"
                f" of a good file at most {self.exceptions} {where}"
            )
        if turned > self.exceptions:
            return (
                f"{turned} of {total} golden examples name another class although the golden one"
                f" led by more than {2 * limits.typical:.3g}{unit}, of a good file at most"
                f" {self.exceptions} {where}"
            )
        return ""


def judge(
    found: Sequence[Array], wanted: Sequence[Array], atol: float, rule: Rule | None = None
) -> None:
    """See that outputs are the golden ones; both hold one array a port, [examples, …], as stored.

    Without a rule (releases of older programs have none) no value may be off by more than `atol`,
    in stored units.

    Raises:
        MeasureFailed: (kind `wrong-output` or `not-finite`) they are not; with what was found and
            what was expected.
    """
    for port, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        _refuse_form(f"output {port}", ours, theirs)
    if rule is not None:
        rule.judge(found, wanted)
        return
    for port, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        _near(f"output {port}", ours, theirs, atol)


def _refuse_form(what: str, found: Array, wanted: Array) -> None:
    import numpy as np

    if found.shape[1:] != wanted.shape[1:] or found.dtype != wanted.dtype:
        raise MeasureFailed(
            f"{what} is {found.dtype}{found.shape[1:]}, the golden one"
            f" {wanted.dtype}{wanted.shape[1:]}",
            kind="wrong-output",
        )
    if not np.issubdtype(found.dtype, np.integer) and not np.isfinite(found).all():
        raise MeasureFailed(f"{what} holds values that are not numbers", kind="not-finite")


def _near(what: str, found: Array, wanted: Array, atol: float) -> None:
    import numpy as np

    off = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    if off.size and float(off.max()) > atol:
        place = np.unravel_index(int(off.argmax()), off.shape)
        raise MeasureFailed(
            f"golden example {place[0]}, {what}: found {found[place]}, expected {wanted[place]}"
            f" within {atol:g}",
            kind="wrong-output",
        )
