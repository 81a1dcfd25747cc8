import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.data.splits import BadSplit, Bound, Term, parse, select, spell

bounds = st.one_of(
    st.none(),
    st.builds(Bound, st.integers(0, 100), st.just(True)),
    st.builds(Bound, st.integers(-100, -1), st.just(True)),
    st.builds(Bound, st.integers(-5000, 5000), st.just(False)),
)
terms = st.lists(
    st.builds(Term, st.sampled_from(["train", "test"]), bounds, bounds), min_size=1, max_size=4
).map(tuple)


@given(terms)
def test_what_is_spelled_reads_back(wanted: tuple[Term, ...]) -> None:
    again = parse(spell(wanted))
    assert spell(again) == spell(wanted)
    assert [term.range(777) for term in again] == [term.range(777) for term in wanted]


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_position(text: str) -> None:
    try:
        terms = parse(text)
    except BadSplit as error:
        terms, position = (), error.position
    assert terms or 0 <= position <= len(text)


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_two_shares_meet_without_gap_or_overlap(percent: int, count: int) -> None:
    (left,), (right,) = parse(f"train[:{percent}%]"), parse(f"train[{percent}%:]")
    assert [*left.range(count), *right.range(count)] == list(range(count))


@given(terms, st.integers(0, 300))
def test_positions_lie_within_the_source(wanted: tuple[Term, ...], count: int) -> None:
    assert all(0 <= position < count for term in wanted for position in term.range(count))


@pytest.mark.parametrize(
    ("text", "first", "last", "size"),
    [
        ("train[:90%]", 0, 899, 900),
        ("train[-200:]", 800, 999, 200),
        ("train[10%:20%]", 100, 199, 100),
        ("train[:-10%]", 0, 899, 900),
    ],
)
def test_slices(text: str, first: int, last: int, size: int) -> None:
    ((_, positions),) = select(parse(text), {"train": 1000})
    assert (positions[0], positions[-1], len(positions)) == (first, last, size)


def test_a_sum_takes_one_after_the_other() -> None:
    assert select(parse("train[:2] + test[1:]"), {"train": 5, "test": 3}) == [
        ("train", range(2)),
        ("test", range(1, 3)),
    ]


@pytest.mark.parametrize("text", ["validation", "train[3:3]", "train[9:]"])
def test_what_the_source_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(BadSplit, match="train"):
        select(parse(text), {"train": 5})
