"""The sweep finds the front that the definition names: the points that no other beats."""

from hypothesis import given
from hypothesis import strategies as st

from zoo_registry.model.evaluate import pareto

few = st.sampled_from([0.0, 0.25, 1.0, 3.0])
number = few | st.floats(allow_nan=False, allow_infinity=False)
points = st.lists(st.tuples(number, number), max_size=30)


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    no_worse = one[0] <= other[0] and one[1] >= other[1]
    return no_worse and (one[0] < other[0] or one[1] > other[1])


@given(points)
def test_on_the_front_is_what_nothing_beats(placed: list[tuple[float, float]]) -> None:
    assert pareto(placed) == tuple(
        not any(beats(other, point) for other in placed) for point in placed
    )
