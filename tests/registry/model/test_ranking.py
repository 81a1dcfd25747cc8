"""Nothing is ranked by noise: sessions put together, intervals, fronts with a band."""

from typing import Any

import pytest

from plugins.records import BASELINE, blob, make, measured
from zoo_registry.catalogue import Catalogue
from zoo_registry.model.compare import front, ordered, points, resolve
from zoo_registry.model.digest import Digest
from zoo_registry.model.query import Query
from zoo_registry.model.summary import Summary, settle
from zoo_registry.model.timing import Timing, surely_faster

HERE = Query(device="host-cpu")
FLOAT = blob("model-fp32@1.0.0")


def session(
    data: bytes, ratio: float, half: float = 0.01, *, ms: float = 1.0, aa: float = 1.0, **more: Any
) -> Any:
    """Make one session of a file, held against `FLOAT`."""
    interval = {"value": ratio, "ci95": (ratio * (1 - half), ratio * (1 + half))}
    own = data == FLOAT
    about = {"baseline": {"name": "fp32", "sha256": Digest.of(FLOAT)}, "ratio": interval}
    about |= {"aa_ratio": {"value": aa, "ci95": (aa - 0.01, aa + 0.01)}}
    verdict = "baseline" if own else "faster" if ratio < 0.95 else "within noise"
    return measured(Digest.of(data), median=ms, verdict=verdict, **(about | more))


def file(variant: str, top1: float, *sessions: tuple[Any, ...], size: int = 1000) -> Summary:
    """Give the summary of one variant; each session is (ratio, ms, noisy)."""
    data = blob(f"model-{variant}@1.0.0")
    made = [session(data, ratio, ms=ms, noisy=noisy) for ratio, ms, noisy in sessions]
    record = make(model="model", variant=variant, top1=top1, data=data, measurements=made)
    found = Summary.of(record, Digest.of(record.to_bytes()))
    return found.model_copy(update={"size_gzip": size})


def timing(item: Summary) -> Timing:
    found = item.timing("host-cpu", 1)
    assert found is not None
    return found


FP32 = file("fp32", 0.90, (1.09, 2.0, False), (1.0, 9.0, True), size=4000)


def test_the_float_file_has_a_control_and_no_ratio() -> None:
    found = timing(FP32)
    assert (found.ratio, found.ratio_ci95, found.verdict) == (1.0, (1.0, 1.0), "baseline")
    off = Timing.of(session(FLOAT, 1.09, aa=1.09))
    assert (off.ratio, off.aa_ratio, off.reach) == (1.0, 1.09, 1.09)
    old = {"device": "d", "threads": 1, "median_ms": 1, "p95_ms": 1, "ratio": 1.09}
    old |= {"ratio_ci95": (1.0, 1.2), "verdict": "baseline", "noisy": False, "sparse_path": "none"}
    read = Timing.model_validate(old)
    assert (read.ratio, read.aa_ratio) == (1.0, 1.09)


def test_milliseconds_are_the_float_files_quiet_ones_times_the_ratio() -> None:
    noisy = file("int8", 0.9, (1.05, 1.46, True))
    _, item = settle([FP32, noisy])
    assert timing(noisy).median_ms == 1.46, "without the float file: its own"
    assert timing(item).median_ms == pytest.approx(2.0 * 1.05), "not 0.73 of float"
    assert settle(settle([FP32, noisy])) == settle([FP32, noisy])


def test_quiet_sessions_count_and_noisy_ones_only_alone() -> None:
    both = timing(file("a", 0.9, (0.5, 1.0, True), (0.8, 1.6, False)))
    assert (both.ratio, both.noisy, both.sessions) == (0.8, False, 1)
    assert timing(file("a", 0.9, (0.5, 1.0, True))).noisy


def test_sessions_of_one_place_are_put_together() -> None:
    agree = timing(file("a", 0.9, (0.80, 1, False), (0.81, 1, False), (0.80, 1, False)))
    assert agree.ratio == pytest.approx(0.8033, abs=1e-3)
    assert agree.sessions == 3
    single = timing(file("a", 0.9, (0.80, 1, False)))
    assert agree.ratio_ci95[1] - agree.ratio_ci95[0] < single.ratio_ci95[1] - single.ratio_ci95[0]
    apart = timing(file("a", 0.9, (0.6, 1, False), (1.0, 1, False)))
    low, high = apart.ratio_ci95
    assert low < 0.6
    assert high > 1.0
    assert apart.verdict == "within noise"


def test_sessions_of_two_protocols_are_not_put_together() -> None:
    old, new = file("a", 0.9, (0.6, 1, False), (0.8, 1, False)).timings
    item = file("a", 0.9).model_copy(
        update={"timings": (old.model_copy(update={"protocol": "interleaved/v0"}), new)}
    )
    assert (timing(item).ratio, timing(item).sessions) == (0.8, 1)
    other = old.model_copy(update={"baseline_sha256": BASELINE})
    assert timing(item.model_copy(update={"timings": (other, new)})).sessions == 1


def test_intervals_that_overlap_tell_nothing_apart() -> None:
    one, near, far = (timing(file("a", 0.9, (r, 1, False))) for r in (0.80, 0.82, 0.90))
    assert not surely_faster(one, near)
    assert surely_faster(one, far)
    assert not surely_faster(far, one)
    assert not surely_faster(one, far.model_copy(update={"noisy": True}))
    assert not surely_faster(one, far.model_copy(update={"platform": "other/x/y"}))
    off = far.model_copy(update={"aa_ratio": 1.2})
    assert not surely_faster(one, off), "the control of that session was farther off"


def test_of_those_that_cannot_be_told_apart_the_smallest_is_chosen_and_it_is_said() -> None:
    quick = file("quick", 0.9, (0.80, 1, False), size=900)
    small = file("small", 0.9, (0.81, 1, False), size=500)
    slow = file("slow", 0.9, (1.5, 1, False), size=100)
    found = resolve(HERE, settle([FP32, quick, small, slow]))
    assert found.chosen is not None
    assert found.chosen.variant == "small"
    assert "cannot tell its time from that of model-quick" in found.why
    assert [item.variant for item in found.alternatives] == ["quick", "fp32", "slow"]


def test_under_a_budget_of_time_noise_is_the_last_resort() -> None:
    noisy = file("noisy", 0.95, (0.5, 1, True))
    quiet = file("quiet", 0.90, (0.6, 1, False))
    budget = Query(device="host-cpu", max_latency_ms=1.5)
    assert resolve(budget, settle([FP32, noisy, quiet])).chosen.variant == "quiet"  # type: ignore[union-attr]
    alone = resolve(budget, settle([FP32, noisy]))
    assert "only noisy sessions" in alone.why


def test_a_budget_that_the_interval_reaches_over_is_said() -> None:
    item = file("a", 0.9, (0.5, 1, False))
    found = resolve(Query(device="host-cpu", max_latency_ms=1.005), settle([FP32, item]))
    assert "reaches over the limit" in found.why
    sure = resolve(Query(device="host-cpu", max_latency_ms=1.2), settle([FP32, item]))
    assert "reaches" not in sure.why


def test_the_front_has_a_band() -> None:
    items = settle(
        [
            FP32,
            file("int8", 0.89, (0.50, 1, False), size=900),
            file("other", 0.88, (0.495, 1, False), size=900),
            file("beaten", 0.87, (0.70, 1, False)),
            file("noisy", 0.99, (0.2, 1, True)),
            file("same", 0.90, (1.001, 1, False), size=5000),
        ]
    )
    found = {p.item.variant: p.mark for p in points(HERE, items, "latency_ms", "top1")}
    assert found == {
        "fp32": "front",
        "int8": "front",
        "other": "band",
        "beaten": "beaten",
        "noisy": "noisy",
        "same": "band",
    }
    marked = points(HERE, items, "ratio", "top1")
    assert all(p.on_front == (p.mark == "front") for p in marked)
    assert all(p.interval and p.interval[0] <= p.x <= p.interval[1] for p in marked)
    assert {item.variant for item in front(HERE.model_copy(update={"pareto": True}), items)} == {
        "fp32",
        "int8",
    }


def test_when_all_is_noise_nothing_is_on_the_front() -> None:
    items = settle([file("a", 0.9, (0.5, 1, True)), file("b", 0.8, (0.4, 1, True))])
    assert {p.mark for p in points(HERE, items, "latency_ms", "top1")} == {"noisy"}


def test_a_list_by_time_puts_noisy_ones_behind() -> None:
    items = settle([FP32, file("noisy", 0.9, (0.1, 1, True)), file("quiet", 0.9, (0.5, 1, False))])
    asked = HERE.model_copy(update={"sort": "latency"})
    rows = [row for item in items for row in asked.apart(item)]
    assert [item.variant for item in ordered(asked, rows)] == ["quiet", "fp32", "noisy"]


def test_a_catalogue_follows_the_float_file(tmp_path: Any) -> None:
    item = file("int8", 0.9, (0.5, 1.7, False))
    asked = Query(device="host-cpu", max_latency_ms=1.2)
    with Catalogue(str(tmp_path / "zoo.db")) as catalogue:
        catalogue.put(item.name, item.version, lambda _: item)
        assert catalogue.page(asked, limit=5)[0] == ()
        catalogue.put(FP32.name, FP32.version, lambda _: FP32)
        (found,), _ = catalogue.page(asked, limit=5)
        assert timing(found).median_ms == pytest.approx(1.0)
        catalogue.rebuild(lambda: [item, FP32])
        assert catalogue.page(asked, limit=5)[0] == (found,)


def test_a_baseline_elsewhere_is_no_yardstick() -> None:
    item = file("int8", 0.9, (0.5, 1.7, False))
    away = FP32.model_copy(
        update={
            "timings": tuple(
                t.model_copy(update={"platform": "host-cpu/arm64-neon/x"}) for t in FP32.timings
            )
        }
    )
    assert settle([away, item])[1] == item
    assert Digest.of(FLOAT) != BASELINE
