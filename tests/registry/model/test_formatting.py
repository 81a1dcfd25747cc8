import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_registry.model import formatting
from zoo_registry.model.query import parse_size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (14872, "14.9 kB"),
        (999_499, "999 kB"),
        (999_600, "1.00 MB"),
        (13_900_000, "13.9 MB"),
    ],
)
def test_sizes_use_the_decimal_units_of_the_query(count: int, text: str) -> None:
    assert formatting.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.5412, "3.54"),
        (0.01234, "0.0123"),
        (1234.5, "1234"),
        (0.0, "0"),
        (99.96, "100"),
        (9.996, "10.0"),
    ],
)
def test_three_digits_and_never_an_exponent(value: float, text: str) -> None:
    assert formatting.significant(value) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_what_is_printed_is_within_half_a_percent(value: float) -> None:
    assert float(formatting.significant(value)) == pytest.approx(value, rel=0.0051)


@given(st.integers(0, 10**11))
def test_a_size_that_is_printed_can_be_typed_as_a_limit(count: int) -> None:
    assert parse_size(formatting.size(count)) == pytest.approx(count, rel=0.0051, abs=1)


def test_shares_are_percentages_and_error_rates_are_not() -> None:
    assert formatting.metric("top1", 0.4461) == "44.6 %"
    assert formatting.metric("wer", 0.0767) == "0.07670"


def test_a_difference_that_prints_as_zero_has_no_direction() -> None:
    assert formatting.points(0.0002) == "±0.0"
    assert formatting.points(-0.012) == f"{formatting.MINUS}1.2"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (1.5, "1.5 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_limits_carry_their_units() -> None:
    assert formatting.limit_value("max_latency_ms", 0.02) == "0.02 ms"
    assert formatting.limit_value("max_size_gzip", 4e6) == "4.00 MB"
    assert formatting.limit_value("min_top1", 0.7) == "70.0 %"
    assert formatting.limit_name("min_top1") == "top-1"
