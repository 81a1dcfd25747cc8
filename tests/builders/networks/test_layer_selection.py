"""Rules that pick layers: by name, class and position; and what is said of those that pick none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.manifest.diagnostics import validate
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.layer_selection import Rule, chosen, objections, spell
from zoo_builders.networks.shipped import NETWORKS

GRAPH = NETWORKS.get("digits_cnn")(width=4)
CAN = tuple(node for node in GRAPH.nodes if node.op in {"Conv2D", "Dense"})
ALL = ("stem_conv", "block1_pointwise", "block2_pointwise", "classifier")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"name": "block*"}, ALL[1:3]),
        ({"name": ["stem_conv", "class*"]}, (ALL[0], ALL[3])),
        ({"type": "Dense"}, ALL[3:]),
        ({"type": ["Dense", "Conv2D"]}, ALL),
        ({"position": "first"}, ALL[:1]),
        ({"position": "last"}, ALL[3:]),
        ({"position": -2}, ALL[2:3]),
        ({"position": "1:-1"}, ALL[1:3]),
        ({"position": ":2", "type": "Conv2D", "name": "*_conv"}, ALL[:1]),
        ({"position": 9}, ()),
        ({"position": -9}, ()),
        ({"name": "BLOCK*"}, ()),
    ],
)
def test_name_class_and_position_hold_together(
    said: dict[str, object], found: tuple[str, ...]
) -> None:
    assert Rule.model_validate(said).picks(CAN) == found


@pytest.mark.parametrize(
    "said",
    [
        {"name": "block*"},
        {"name": ["a", "b"], "type": "Dense"},
        {"position": "1:"},
        {"position": -1},
    ],
)
def test_a_rule_of_a_manifest_survives_the_plan(said: dict[str, object]) -> None:
    rule = validate(Rule, said)
    assert Rule.model_validate(rule.model_dump(mode="json")) == Rule.model_validate(said) == rule


@pytest.mark.parametrize(
    "said", [{}, {"position": "middle"}, {"position": "1:2:3"}, {"kind": "Conv2D"}]
)
def test_a_rule_that_says_nothing_or_nonsense_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"picks nothing|position|kind"):
        Rule.model_validate(said)


def test_the_first_rule_that_picks_a_layer_decides_and_the_rest_is_left_alone() -> None:
    special, general = Rule(name=("block2*",)), Rule(name=("block*",))
    assert chosen([special, general], CAN) == {ALL[1]: general, ALL[2]: special}
    assert chosen([], CAN) == dict.fromkeys(ALL)


def test_a_rule_that_picks_nothing_is_told_with_the_nearest_names() -> None:
    [found] = objections("prune", [Rule(name=("clasifier",)), Rule(name=("block*",))], GRAPH, CAN)
    assert found.layer == "{name: clasifier}"
    assert "'classifier'" in found.fix


def test_a_rule_that_picks_only_what_cannot_be_changed_says_so() -> None:
    [found] = objections("prune", [Rule(name=("*_depthwise",))], GRAPH, CAN)
    assert "block1_depthwise (DepthwiseConv2D)" in found.reason
    [found] = objections("prune", [Rule(type=("Conv3D",))], GRAPH, CAN)
    assert "Conv2D" in found.fix


def test_nothing_is_said_of_a_network_nobody_can_read_yet() -> None:
    assert objections("prune", [Rule(name=("x",))], Graph("unknown", ()), ()) == []


@given(
    st.lists(
        st.sampled_from(
            [Rule(name=("block*",)), Rule(type=("Dense",)), Rule(position="1:"), Rule(position=0)]
        )
    )
)
def test_every_layer_chosen_is_picked_by_its_rule_and_by_none_before(rules: list[Rule]) -> None:
    for name, rule in chosen(rules, CAN).items():
        if rule is not None:
            before = rules[: rules.index(rule)]
            assert name in rule.picks(CAN)
            assert not any(name in other.picks(CAN) for other in before)


def test_a_rule_is_spelled_as_the_manifest_does() -> None:
    assert spell(Rule(name=("a", "b*"), position=0)) == "{name: a, b*, position: 0}"
