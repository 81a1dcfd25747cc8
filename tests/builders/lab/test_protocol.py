"""What may be concluded from times: properties of the plan, the statistics and the verdicts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_builders.lab import protocol
from zoo_builders.lab.protocol import (
    Prediction,
    Session,
    noise,
    ratio,
    steady,
    summarize,
    turns,
    verdict,
)
from zoo_registry.model.digest import Digest
from zoo_registry.model.measurement import Host, Ratio
from zoo_registry.model.structure import Xnnpack

names = st.lists(
    st.sampled_from(["file", "baseline", "control", "dense"]), min_size=1, max_size=4, unique=True
)
seconds = st.lists(st.floats(1e-6, 10), min_size=3, max_size=12)
rounds = st.lists(seconds, min_size=2, max_size=5)


def quiet(level: float, *, seed: int = 0, count: int = 5) -> list[list[float]]:
    random = np.random.default_rng(seed)
    return [list(level * random.normal(1, 0.01, 50)) for _ in range(count)]


@given(names, st.integers(1, 200), st.integers(0, 1 << 32))
def test_every_runner_gets_its_runs_and_a_turn_in_every_pass(
    runners: list[str], runs: int, seed: int
) -> None:
    plan = turns(runners, runs=runs, seed=seed)
    assert plan == turns(runners, runs=runs, seed=seed)
    assert {
        name: sum(turn.count for turn in plan if turn.runner == name) for name in runners
    } == dict.fromkeys(runners, runs)
    for start in range(0, len(plan), len(runners)):
        assert {turn.runner for turn in plan[start : start + len(runners)]} == set(runners)


def test_orders_differ_between_seeds() -> None:
    found = Counter(turns(["a", "b", "c"], runs=50, seed=seed) for seed in range(50))
    assert len(found) > 40


def test_runners_load_in_an_order_of_each_round() -> None:
    runners = ["file", "baseline", "control"]
    orders = [protocol.loading_order(runners, seed=seed) for seed in range(40)]
    assert orders == [protocol.loading_order(runners, seed=seed) for seed in range(40)]
    assert {frozenset(order) for order in orders} == {frozenset(runners)}
    assert len(set(orders)) == 6
    assert all(len(order) == 3 for order in orders)


@settings(max_examples=15, deadline=None)
@given(rounds)
def test_the_interval_contains_the_ratio(times: list[list[float]]) -> None:
    other = [[value * 1.5 for value in one] for one in times]
    found = ratio(times, other)
    assert found.ci95[0] <= found.value <= found.ci95[1]
    assert found.value == pytest.approx(1 / 1.5)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.2, 5), st.integers(0, 1000))
def test_the_interval_covers_the_truth_of_quiet_times(truth: float, seed: int) -> None:
    found = ratio(quiet(truth, seed=seed), quiet(1.0, seed=seed + 1))
    assert found.ci95[0] * 0.99 <= truth <= found.ci95[1] * 1.01


def unsteady(seed: int) -> tuple[list[list[float]], list[list[float]]]:
    """Make the times of two equal files whose rounds differ by 3 % and whose runs by 5 %."""
    random = np.random.default_rng(seed)
    first, second = (
        [list(at * random.lognormal(0, 0.05, 10)) for at in random.normal(1, 0.03, 5)]
        for _ in range(2)
    )
    return first, second


def test_the_interval_is_as_wide_as_chance_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """95 % of a bell curve lie within 1.96 standard deviations of its middle, on both sides."""
    monkeypatch.setattr(protocol, "RESAMPLES", 1)
    spread = float(np.std([np.log(ratio(*unsteady(seed)).value) for seed in range(400)]))
    monkeypatch.setattr(protocol, "RESAMPLES", 400)
    found = [ratio(*unsteady(seed), seed=seed) for seed in range(12)]
    width = float(np.mean([np.log(one.ci95[1] / one.ci95[0]) for one in found]))
    assert 2 * 1.96 * spread * 0.87 < width < 2 * 1.96 * spread * 1.25, (
        "a 90 % interval is 0.84 times as wide, an 80 % one 0.65, a 98 % one 1.19 and more"
    )
    assert all(one.ci95[0] < one.value < one.ci95[1] for one in found)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 200))
def test_most_runs_may_be_disturbed_without_moving_the_ratio(seed: int) -> None:
    random = np.random.default_rng(seed)
    calm = quiet(1.0, seed=seed)
    rough = [
        [value * random.uniform(1.2, 9) if random.random() < 0.7 else value for value in one]
        for one in quiet(1.0, seed=seed + 1)
    ]
    assert ratio(rough, calm).value == pytest.approx(1.0, abs=0.02)
    assert (
        np.median(np.concatenate(rough)) > 1.2
    )  # by medians, one and the same file would be slower than itself


ratios = st.tuples(st.floats(0.1, 10), st.floats(1, 1.5), st.floats(1, 1.5)).map(
    lambda t: Ratio(value=t[0], ci95=(t[0] / t[1], t[0] * t[2]))
)


def inverse(found: Ratio) -> Ratio:
    return Ratio(value=1 / found.value, ci95=(1 / found.ci95[1], 1 / found.ci95[0]))


@given(ratios, st.floats(0.8, 1.25))
def test_verdicts_are_symmetric(found: Ratio, control: float) -> None:
    aa = Ratio(value=control, ci95=(control, control))
    swapped = {"faster": "slower", "slower": "faster", "within noise": "within noise"}
    floor = protocol.noise_floor(aa)
    margin = min(abs(np.log(bound * reach)) for bound in found.ci95 for reach in (floor, 1 / floor))
    if margin > 1e-9:  # rounding decides nothing
        assert verdict(inverse(found), aa) == swapped[verdict(found, aa)]


@pytest.mark.parametrize(
    ("value", "low", "high", "control", "expected"),
    [
        (0.5, 0.45, 0.55, 1.0, "faster"),
        (2.0, 1.9, 2.1, 1.0, "slower"),
        (1.0, 0.9, 1.1, 1.0, "within noise"),
        (0.95, 0.93, 0.97, 1.0, "faster"),
        (0.985, 0.984, 0.986, 1.0, "within noise"),
        (0.95, 0.93, 0.97, 1.1, "within noise"),
        (0.95, 0.93, 0.97, 1 / 1.1, "within noise"),
    ],
)
def test_a_difference_smaller_than_the_control_is_noise(
    value: float, low: float, high: float, control: float, expected: str
) -> None:
    assert (
        verdict(Ratio(value=value, ci95=(low, high)), Ratio(value=control, ci95=(control, control)))
        == expected
    )


@given(rounds)
def test_the_summary_is_in_order(times: list[list[float]]) -> None:
    found = summarize(times)
    slack = 1 + 1e-9
    assert found.min <= found.p5 * slack
    assert found.p5 <= found.median * slack
    assert found.median <= found.p95 * slack
    assert found.p95 <= found.p99 * slack
    assert found.p99 <= found.max * slack
    assert found.max == pytest.approx(1e3 * max(max(one) for one in times))


def test_the_summary_is_of_all_runs_in_milliseconds() -> None:
    times = [0.001 * value for value in range(1, 102)]
    found = summarize([times[:40], times[40:]])
    assert (found.p5, found.median, found.p95, found.p99) == pytest.approx((6, 51, 96, 100))
    assert (found.min, found.max, found.mean) == pytest.approx((1, 101, 51))
    assert found.std == pytest.approx(np.std(range(101)))


def test_rounds_that_do_not_match_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio(quiet(1), quiet(1, count=4))


def test_the_same_times_give_the_same_interval() -> None:
    assert ratio(*unsteady(1), seed=5) == ratio(*unsteady(1), seed=5)
    assert ratio(*unsteady(1), seed=5) != ratio(*unsteady(1), seed=6)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1, 1], True),
        ([1], False),
        ([100, 105], True),
        ([100, 95], True),
        ([100, 106], False),
        ([100, 94], False),
        ([1000, 100, 100], True),
    ],
)
def test_warming_up_ends_within_a_twentieth(times: list[float], expected: bool) -> None:
    assert steady(times, window=1) is expected


def test_warming_up_looks_at_the_last_two_windows() -> None:
    assert steady([9, 9, 1, 1, 1, 9, 1, 1, 1], window=3)
    assert steady([1, 2, 3, 3, 2, 1], window=3)
    assert not steady([1, 1, 1, 1, 2, 2], window=3)


def test_warming_up_ends_when_times_stand_still() -> None:
    assert steady([5, 5, 5, 1, 1, 1, 1, 1, 1], window=3)
    assert not steady([5, 5, 5, 1, 1, 1], window=3)
    assert not steady([1, 1, 1, 1, 1], window=3)


EVEN = Ratio(value=1.0, ci95=(0.99, 1.01))


@pytest.mark.parametrize(
    ("session", "control", "cause"),
    [
        (
            Session(quiet(1), quiet(1), others=1.5),
            EVEN,
            "load: other processes kept 1.50 cores busy",
        ),
        (Session(quiet(1), quiet(1), stolen=0.2), EVEN, "steal: 20.0%"),
        (
            Session(quiet(1), quiet(1)),
            Ratio(value=1.2, ci95=(1.1, 1.3)),
            "A/A off: the baseline against itself gave 1.200",
        ),
        (Session(quiet(1), quiet(1)), Ratio(value=1 / 1.2, ci95=(0.8, 0.9)), "A/A off"),
        (Session([[1.0] * 45 + [9.0] * 5], quiet(1)), EVEN, "wide spread: p95 is 9.00 times"),
        (Session(quiet(1), [*quiet(1), *quiet(2, count=1)]), EVEN, "drift"),
    ],
)
def test_each_kind_of_noise_is_named(session: Session, control: Ratio, cause: str) -> None:
    (found,) = noise(session, control)
    assert cause in found


def test_what_reaches_a_limit_and_no_further_is_quiet() -> None:
    level = [[1.0] * 50]
    limits = protocol.Limits(others=0.25, stolen=0.5, spread=2.0, drift=2.0)
    session = Session([[1.0] * 45 + [2.0] * 5], [*level, [2.0] * 50], others=0.25, stolen=0.5)
    assert noise(session, EVEN, limits) == ()
    for value, count in ((1.0499, 0), (1.0501, 1), (1 / 1.0499, 0), (1 / 1.0501, 1)):
        control = Ratio(value=value, ci95=(0.9, 1.1))
        assert len(noise(Session(level, level), control)) == count
    (found,) = noise(Session(level, [[2.0] * 50, [5.0] * 50]), EVEN, protocol.Limits(drift=2.0))
    assert "differ by a factor of 2.50 (limit 2)" in found


def test_a_difference_of_exactly_what_chance_reaches_is_none() -> None:
    floor = protocol.noise_floor(EVEN)
    at = Ratio(value=1.1, ci95=(floor, 1.2))
    below = Ratio(value=0.9, ci95=(0.8, 1 / floor))
    assert (verdict(at, EVEN), verdict(below, EVEN)) == ("within noise", "within noise")
    for found in (at, below):
        state = protocol.confirm(PREDICTED, found, EVEN, kernels=(), noisy=False)
        assert state.state == "predicted"
        assert state.reason.endswith("no difference that could be told from chance")
    noisy = protocol.confirm(PREDICTED, SLOWER, EVEN, kernels=(), noisy=True)
    assert noisy.reason.endswith("the session was noisy")


def test_a_quiet_session_has_no_cause() -> None:
    assert noise(Session(quiet(1), quiet(2)), EVEN) == ()


PREDICTED = Prediction(True, "75.0% of its weights are zero")
FASTER, STRADDLING, SLOWER = (Ratio(value=v, ci95=(v * 0.95, v * 1.05)) for v in (0.5, 1.0, 1.3))
SLIGHTLY_SLOWER = Ratio(value=1.04, ci95=(1.03, 1.05))
ANDROID_SPARSE = ("Convolution (NHWC, F32) IGEMM", "Convolution (NCHW, F32) SPMM")


@pytest.mark.parametrize(
    ("against", "kernels", "noisy", "state"),
    [
        (None, (), False, "predicted"),
        (FASTER, (), False, "confirmed"),
        (FASTER, (), True, "confirmed"),
        (STRADDLING, (), False, "predicted"),
        (SLOWER, (), False, "contradicted"),
        (SLOWER, (), True, "predicted"),
        (None, ANDROID_SPARSE, False, "confirmed"),
        (SLOWER, ANDROID_SPARSE, False, "confirmed"),
        (None, ANDROID_SPARSE[:1], False, "contradicted"),
        (FASTER, ANDROID_SPARSE[:1], True, "contradicted"),
        (None, ("TfLiteXNNPackDelegate",), False, "predicted"),
    ],
)
def test_the_sparse_path_is_held_against_kernel_names_then_times(
    against: Ratio | None, kernels: tuple[str, ...], noisy: bool, state: str
) -> None:
    found = protocol.confirm(PREDICTED, against, EVEN, kernels=kernels, noisy=noisy)
    assert found.state == state
    assert found.reason


def test_no_contradiction_comes_from_what_the_control_could_do_as_well() -> None:
    shaky = Ratio(value=1 / 1.05, ci95=(0.9, 1.0))
    assert (
        protocol.confirm(PREDICTED, SLIGHTLY_SLOWER, EVEN, kernels=(), noisy=False).state
        == "contradicted"
    )
    assert (
        protocol.confirm(PREDICTED, SLIGHTLY_SLOWER, shaky, kernels=(), noisy=False).state
        == "predicted"
    )


def machine(arch: str, *features: str) -> Host:
    return Host(cpu="a cpu", arch=arch, cores=1, features=features, fingerprint=Digest("ab" * 32))


SPARSE = Xnnpack(predicted_sparse=True, cpus=("arm64", "wasm-simd"), reason="75.0% are zero")
DENSE = Xnnpack(predicted_sparse=False, reason="no weight is stored sparse")


@pytest.mark.parametrize(
    ("structure", "where", "kernels", "here", "reason"),
    [
        (SPARSE, machine("arm64"), "xnnpack", True, "75.0% are zero"),
        (
            SPARSE,
            machine("x86_64", "sse4_1", "avx2"),
            "xnnpack",
            False,
            "XNNPACK runs no sparse kernels on x86 with AVX",
        ),
        (
            SPARSE,
            machine("x86_64", "sse4_1"),
            "xnnpack",
            False,
            "known on arm64, wasm-simd, not on x86_64",
        ),
        (SPARSE, machine("arm64"), "builtin", False, "the builtin kernels compute"),
        (DENSE, machine("arm64"), "xnnpack", False, "no weight is stored sparse"),
    ],
)
def test_what_is_not_predicted_says_why(
    structure: Xnnpack, where: Host, kernels: str, here: bool, reason: str
) -> None:
    found = protocol.predict(structure, where, here=here, kernels=kernels)
    assert found.sparse is here
    assert reason in found.reason
    if not here:
        assert protocol.confirm(found, None, EVEN, kernels=(), noisy=False) == protocol.SparsePath(
            "none", found.reason
        )
