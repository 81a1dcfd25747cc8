"""The decision whether outputs agree: what good kernels do passes, what wrong ones do fails."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.tflite import agreement_limits, flatbuffer, litert
from zoo_builders.tflite.agreement import Limits, Rule, judge
from zoo_registry.model.errors import MeasureFailed
from zoo_registry.model.output_rule import OutputRule

Array = np.ndarray[Any, Any]

VALUES = Limits("values", 0.0, 1.0, 0.0, typical=1.0, most=3.0)
ODDS = Limits("log-odds", 0.0, 1.0, 1 / 256, typical=0.5, most=1.5)
SAME = Limits("same", 0.0, 1.0, 0.0, typical=0.1, most=1.0)
EXAMPLES, CLASSES = 32, 10


def rule(*limits: Limits, exceptions: int = 5) -> Rule:
    return Rule("int8", limits, exceptions)


def scores(seed: int = 0) -> Array:
    """Draw logits that lead by different margins."""
    return np.random.default_rng(seed).normal(0, 4, (EXAMPLES, CLASSES))


def softmax(logits: Array) -> Array:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def stored(probabilities: Array) -> Array:
    """Round as an int8 softmax does: steps of 1/256, zero point -128."""
    return np.clip(np.rint(probabilities * 256) - 128, -128, 127).astype(np.int8)


def test_single_examples_may_be_far_off_and_half_of_them_may_not() -> None:
    wanted = scores()
    few, many = wanted.copy(), wanted.copy()
    few[:5] += 100
    many[:16] += 1.5
    rule(VALUES).judge([few], [wanted])
    with pytest.raises(MeasureFailed, match=r"half of 32 golden examples are off by 1\.5") as found:
        rule(VALUES).judge([many], [wanted])
    assert found.value.kind == "wrong-output"
    assert "golden example 0 by 1.5; int8 file" in found.value.message


def test_more_exceptions_than_a_good_file_has_are_refused() -> None:
    wanted = scores()
    found = wanted.copy()
    found[:6] += 4
    with pytest.raises(MeasureFailed, match="6 of 32 golden examples are off by more than 3, of a"):
        rule(VALUES).judge([found], [wanted])


def test_a_decision_may_turn_only_where_the_lead_is_within_the_error() -> None:
    close = np.tile([[1.9, 0.0, -50.0]], (EXAMPLES, 1))
    clear = np.tile([[2.1, 0.0, -50.0]], (EXAMPLES, 1))
    for wanted, lead in ((close, 1.9), (clear, 2.1)):
        found = wanted.copy()
        found[:6, 1] += lead + 0.1
        if wanted is close:
            rule(VALUES).judge([found], [wanted])
        else:
            with pytest.raises(MeasureFailed, match="6 of 32 golden examples name another class"):
                rule(VALUES).judge([found], [wanted])


def test_a_step_of_an_unsure_answer_is_a_step_and_of_a_sure_one_nothing() -> None:
    """The old question, 6 % of the range behind the softmax, says the opposite of both."""
    unsure, moved = softmax(np.array([[0.0, 0.0]])), softmax(np.array([[0.3, 0.0]]))
    assert np.abs(unsure - moved).max() > 0.06
    assert ODDS.errors(moved, unsure) < 0.3
    sure, wrong = np.array([[0.999, 0.001]]), np.array([[0.95, 0.05]])
    assert np.abs(sure - wrong).max() < 0.06
    assert ODDS.errors(wrong, sure) > 2


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.sampled_from([0.0, 1e-6, 1 / 256, 0.1]),
)
def test_errors_are_numbers_symmetric_and_zero_within_the_resolution(
    ours: list[float], theirs: list[float], resolution: float
) -> None:
    size = min(len(ours), len(theirs))
    one, other = np.array([ours[:size]]), np.array([theirs[:size]])
    limits = Limits("log-odds", 0.0, 1.0, resolution, 0.5, 1.5)
    error = float(limits.errors(one, other)[0])
    assert error >= 0
    assert not math.isnan(error)
    assert error == float(limits.errors(other, one)[0])
    assert float(limits.errors(one, one)[0]) == 0
    near = np.clip(one + resolution, 0, 1)
    assert float(limits.errors(near, one)[0]) == pytest.approx(0, abs=1e-9)


@given(st.floats(-6, 6), st.floats(-6, 6))
def test_the_error_of_exact_probabilities_is_that_of_the_logits(one: float, other: float) -> None:
    shares = [np.array([[1 / (1 + math.exp(-x)), 1 / (1 + math.exp(x))]]) for x in (one, other)]
    exact = Limits("log-odds", 0.0, 1.0, 0.0, 0.5, 1.5)
    assert exact.errors(*shares) == pytest.approx(abs(one - other), abs=1e-6)


@given(st.integers(1, 300))
def test_exceptions_are_the_fewest_that_a_good_file_seldom_passes(examples: int) -> None:
    p, k = agreement_limits.RARE, agreement_limits.exceptions(examples)

    def beyond(most: int) -> float:
        return 1 - sum(
            math.comb(examples, i) * p**i * (1 - p) ** (examples - i) for i in range(most + 1)
        )

    assert beyond(k) <= agreement_limits.SURE + 1e-12
    assert beyond(k - 1) > agreement_limits.SURE


def test_integers_without_a_scale_are_compared_by_being_the_same() -> None:
    """Indices of classes: the ninth is not nearer to the eighth than to the first."""
    wanted = np.arange(EXAMPLES, dtype=np.int32).reshape(-1, 1)
    few = wanted.copy()
    few[:10] += 1
    rule(SAME).judge([few], [wanted])
    with pytest.raises(MeasureFailed, match="half of 32"):
        rule(SAME).judge([wanted + 1], [wanted])


def test_a_map_of_pixels_may_turn_at_a_thousandth_of_them() -> None:
    wanted = np.zeros((4, 64, 64))
    found = wanted.copy()
    found[:, 0, :4] = 100
    assert not VALUES.errors(found, wanted).any()
    found[:, 0, 4] = 100
    assert (VALUES.errors(found, wanted) == 100).all()


def test_another_shape_type_or_no_number_is_refused_before_anything_is_compared() -> None:
    wanted = scores().astype(np.float32)
    nan = wanted.copy()
    nan[3, 3] = np.nan
    wrong = {
        "float64": (wanted.astype(np.float64), "wrong-output"),
        r"\(9,\)": (wanted[:, :9], "wrong-output"),
        "not numbers": (nan, "not-finite"),
    }
    for words, (found, kind) in wrong.items():
        with pytest.raises(MeasureFailed, match=words) as failed:
            judge([found], [wanted], 1.0, rule(VALUES))
        assert failed.value.kind == kind


def test_without_a_rule_no_value_may_be_off_by_more_than_the_tolerance() -> None:
    wanted = scores()
    judge([wanted + 0.09], [wanted], 0.1)
    off = wanted.copy()
    off[7, 2] += 0.11
    with pytest.raises(MeasureFailed, match="golden example 7, output 0: found"):
        judge([off], [wanted], 0.1)


def test_a_rule_is_the_same_in_a_record_and_back() -> None:
    made = rule(VALUES, ODDS, SAME)
    assert Rule.of(OutputRule.model_validate(made.plain()).model_dump()) == made


@pytest.mark.parametrize("name", ["fp32", "int8", "sparse", "sparse-fp16"])
def test_limits_of_a_file_follow_from_how_it_computes(
    name: str, files: Mapping[str, bytes]
) -> None:
    expected = {"fp32": "float32", "int8": "int8", "sparse": "float32", "sparse-fp16": "float16"}
    file = flatbuffer.read(files[name])
    session = litert.Session(files[name])
    inputs = np.random.default_rng(0).uniform(-1, 1, (8, 1, 16, 16, 3)).astype(np.float32)
    outputs = litert.outputs(session, [inputs])
    found = agreement_limits.rule(file, outputs)
    assert found.encoding == expected[name]
    assert found.exceptions == agreement_limits.exceptions(8)
    (limits,) = found.outputs
    assert limits.most / limits.typical == pytest.approx(agreement_limits.MOST, rel=0.01)
    (narrow,) = agreement_limits.rule(file, outputs, outputs).outputs
    least, widest = agreement_limits.LIMITS[found.encoding]
    assert limits.typical / narrow.typical == pytest.approx(widest / least, rel=0.01)
    far = [outputs[0].astype(np.float32) + 100]
    assert agreement_limits.rule(file, outputs, far).outputs[0].typical == limits.typical


def test_of_thousands_of_good_sets_fewer_than_one_in_a_thousand_fails() -> None:
    """Noise of kernels as the limits allow it: 2 % of examples beyond `typical`."""
    random, failed, sets = np.random.default_rng(0), 0, 3000
    made = rule(VALUES, exceptions=agreement_limits.exceptions(EXAMPLES))
    wanted = np.zeros((EXAMPLES, 1))
    for _ in range(sets):
        tail = random.random(EXAMPLES) < agreement_limits.RARE
        found = np.where(tail, 10.0, random.uniform(0, 1, EXAMPLES)).reshape(-1, 1)
        try:
            made.judge([found], [wanted])
        except MeasureFailed:
            failed += 1
    assert failed < sets / 1000
