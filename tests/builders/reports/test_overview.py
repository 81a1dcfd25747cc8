"""Which variant a results page names as the fastest: never by noise, never by a hair."""

from typing import Any

from plugins.records import blob, make, measured
from zoo_builders.reports.overview import overview
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record


def variant(name: str, *sessions: dict[str, Any], size: int = 300) -> Record:
    data = blob(name, size)
    return make(
        model="m",
        variant=name,
        data=data,
        technique=None if name == "fp32" else "quantize",
        measurements=[measured(Digest.of(data), **session) for session in sessions],
    )


def ratio(value: float, verdict: str = "faster", **more: Any) -> dict[str, Any]:
    interval = {"value": value, "ci95": (value * 0.99, value * 1.01)}
    return {"ratio": interval, "verdict": verdict, "protocol": "interleaved/v2"} | more


def named(*records: Record) -> list[str]:
    """Give the lines of the table, without the words above and below it."""
    return [line for line in overview(records) if line.startswith("| [m]")]


FLOAT = variant("fp32", ratio(1.09, "baseline", aa_ratio={"value": 1.09, "ci95": (1.0, 1.2)}))


def test_a_noisy_session_makes_nothing_the_fastest() -> None:
    (line,) = named(FLOAT, variant("a", ratio(0.4, noisy=True), size=900))
    assert "none is close enough" in line or "fastest" not in line
    quiet = variant("b", ratio(0.7), size=901)
    (line,) = named(FLOAT, variant("a", ratio(0.4, noisy=True), size=900), quiet)
    assert "`b` | fastest on `host-cpu`" in line


def test_a_quiet_session_speaks_for_a_file_though_a_noisy_one_is_newer() -> None:
    both = variant("a", ratio(0.7), ratio(0.4, noisy=True, when="2027-01-01T00:00:00Z"), size=900)
    (line,) = named(FLOAT, both)
    assert " 0.70 `host-cpu`" in line
    assert "noisy" not in line


def test_of_those_that_cannot_be_told_apart_the_smallest_is_named() -> None:
    small, large = variant("small", ratio(0.505), size=900), variant("large", ratio(0.5), size=5000)
    (line,) = named(FLOAT, large, small)
    assert "`small` | fastest on `host-cpu`, not told from `large`" in line
    sure = variant("sure", ratio(0.4), size=5000)
    (line,) = named(FLOAT, small, sure)
    assert "`sure` | fastest on `host-cpu` |" in line
