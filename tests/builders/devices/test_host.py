"""How busy a machine was: counted from the kernel's ticks, without what is ours."""

import os

import pytest

from zoo_builders.devices.host import Clock, Load

TICKS = os.sysconf("SC_CLK_TCK")


def clock(user: int = 0, idle: int = 0, stolen: int = 0, own_s: float = 0.0) -> Clock:
    """One look at counters of a machine that works for users, idles and is stolen from."""
    return Clock.of(f"cpu {user} 0 0 {idle} 0 0 0 {stolen} 0 0\ncpu0 1 2 3\n", own_s)


def test_others_are_told_in_cores_without_what_is_ours() -> None:
    before = clock(user=1000, idle=1000, own_s=3)
    after = clock(user=1000 + 6 * TICKS, idle=1000 + 4 * TICKS, own_s=3 + 2)
    assert after.since(before, cores=2) == Load(others=pytest.approx(0.4 * 2), stolen=0)
    assert after.plus_own(4).since(before, cores=2).others == 0
    assert after.plus_own(99).since(before, cores=2).others == 0


def test_every_kind_of_work_counts_as_busy_and_waiting_does_not() -> None:
    before = Clock.of("cpu 0 0 0 0 0 0 0 0", 0)
    kinds = {
        name: Clock.of("cpu " + " ".join("50" if at == place else "0" for at in range(8)), 0)
        for place, name in enumerate(
            ("user", "nice", "system", "idle", "waiting", "irq", "softirq", "stolen")
        )
    }
    busy = {name for name, after in kinds.items() if after.since(before, cores=1).others == 1}
    assert busy == {"user", "nice", "system", "irq", "softirq"}


def test_stolen_time_is_a_share_of_all_time() -> None:
    found = clock(user=10, idle=70, stolen=20).since(clock(), cores=4)
    assert found.stolen == pytest.approx(0.2)


@pytest.mark.parametrize("stat", ["", "cpu", "cpu a b c d e f g h", "intr 1 2"])
def test_a_system_that_does_not_tell_is_called_idle(stat: str) -> None:
    assert Clock.of(stat, 5.0).since(Clock.of(stat, 1.0)) == Load()
