"""What a place that gives no latency can still show of a file.

It can show that its outputs agree there, and whether its sparse path is taken.

A sparse file and its dense twin take turns in the same emulator; the emulator's time is no latency,
but that one of two files of the same graph takes far less of it can only come from other kernels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from zoo_builders.devices import DEVICES, Device, Place, Ready, Runner, Setting
from zoo_builders.lab import protocol
from zoo_builders.lab.candidates import Candidate, Failure, Order
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.record import Ratio

Taken = Literal["taken", "not taken", "unclear", "not stored sparse"]
TAKEN_BELOW = 0.9
"""Ratio, sparse by dense, below which the sparse path counts as taken.

Kernels that skip three quarters of the work, or even half of it, gain more than this in any
emulator.
"""

_SAID: Mapping[Taken, str] = {
    "taken": "path taken",
    "not taken": "path not taken",
    "unclear": "unclear whether the path is taken",
}
_ROUNDS, _RUNS, _WARMUP = 3, 15, 2


@runtime_checkable
class Paced(Protocol):
    """What runners of such a place have beside those of others."""

    def pace(self, count: int) -> Sequence[float]:
        """Give seconds of `count` runs in the place's own time: no latency."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one file.

    Attributes:
        ready: what loading gave; None when it failed. Outputs agreed with the golden ones when it
            is there.
        ratio: sparse by dense, in the place's own time; None where the file is not stored sparse.
    """

    name: str
    device: str
    ready: Ready | None = None
    ratio: Ratio | None = None
    failure: Failure | None = None

    @property
    def path(self) -> Taken:
        """Whether the sparse path was taken."""
        if self.ratio is None:
            return "not stored sparse"
        if self.ratio.ci95[1] < TAKEN_BELOW:
            return "taken"
        return "not taken" if self.ratio.ci95[0] >= TAKEN_BELOW else "unclear"

    def told(self) -> str:
        """Say it in a sentence."""
        if self.failure is not None or self.ready is None:
            return (
                f"{self.name}: {self.failure.kind if self.failure else 'runtime'}:"
                f" {self.failure.message if self.failure else 'no answer'}"
            )
        taken = (
            f"{self.ready.nodes_delegated}/{self.ready.nodes_total} nodes taken by"
            f" {self.ready.delegate}"
        )
        sparse = (
            f"sparse/dense ratio under emulation {self.ratio.value:.2f}: {_SAID[self.path]}; "
            if self.ratio
            else ""
        )
        return f"{self.name}: outputs agree; {taken}; {sparse}no latency"


def split(orders: Sequence[Order]) -> tuple[list[Order], list[Order]]:
    """Part the orders of places that measure from those that only give evidence.

    Raises:
        UnknownPlugin: no device is called so.
    """
    timed = [order for order in orders if _device(order).measures]
    return timed, [order for order in orders if order not in timed]


def _device(order: Order) -> Device:
    return DEVICES.get(order.device.partition(":")[0])


def gather(candidates: Sequence[Candidate], order: Order) -> Iterator[Evidence]:
    """See what the place of `order` shows of each candidate.

    One that fails says so, and the others go on.

    Raises:
        Unsupported: the place cannot run as asked, or its parts are missing.
    """
    with _device(order).connect(Setting(order.device, order.threads, order.timeout_s)) as place:
        for one in candidates:
            bare = Evidence(one.name, order.device)
            try:
                yield _seen(one, place, bare)
            except MeasureFailed as error:
                yield replace(bare, failure=Failure.of(error))


def _seen(one: Candidate, place: Place, bare: Evidence) -> Evidence:
    with place.prepare(one.subject) as sparse:
        ready = sparse.ready
        if one.dense is None:
            return replace(bare, ready=ready)
        with place.prepare(replace(one.subject, file=one.dense)) as dense:
            return replace(bare, ready=ready, ratio=_ratio(sparse, dense))


def _ratio(sparse: Runner, dense: Runner) -> Ratio:
    """Let both take turns, after a warm-up."""
    if not (isinstance(sparse, Paced) and isinstance(dense, Paced)):
        raise Unsupported("this place gives latencies, not evidence", hint="zoo bench")
    _ = dense.ready
    for runner in (sparse, dense):
        runner.pace(_WARMUP)
    rounds = [(list(sparse.pace(_RUNS)), list(dense.pace(_RUNS))) for _ in range(_ROUNDS)]
    return protocol.ratio([ours for ours, _ in rounds], [theirs for _, theirs in rounds])
