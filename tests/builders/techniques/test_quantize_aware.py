"""`quantize_aware` before TensorFlow.

What it preserves, which layers it takes, which it refuses, what may follow it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.recipes import graphs, read_recipes
from zoo_builders.manifest.yaml_lines import Document
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.quantize_aware.params import Params
from zoo_builders.techniques.quantize_aware.rules import check, layers, promises
from zoo_builders.techniques.quantize_aware.selection import quantized_layers

GRAPH = NETWORKS.get("digits_cnn")(width=8)


def resolved(*recipe: Mapping[str, Any]) -> tuple[tuple[Step, ...], list[str]]:
    """Resolve a recipe as a manifest's; give the steps and the mistakes."""
    mistakes = Mistakes("m.yaml", Document({}, {}))
    steps = read_recipes({"v": list(recipe)}, mistakes)["v"]
    return steps, [str(error) for error in mistakes.found]


def objected(recipe: Sequence[Mapping[str, Any]], graph: Graph = GRAPH) -> list[str]:
    steps, mistakes = resolved(*recipe)
    assert mistakes == []
    met = graphs(graph, steps)[-1]
    params = steps[-1].params
    assert isinstance(params, Params)
    return [f"{o.layer}: {o.reason}; {o.fix}" for o in check(met, params, steps[:-1])]


Entry = Mapping[str, Any]
P: Entry = {"prune": {}}
C: Entry = {"cluster": {"clusters": 8}}
Q: Entry = {"quantize_aware": {}}


@pytest.mark.parametrize(
    ("before", "preserved", "clusters"),
    [
        ([], (), None),
        ([P], ("sparsity",), None),
        ([C], ("clusters",), 8),
        ([P, C], ("sparsity", "clusters"), 8),
    ],
    ids=["QAT", "PQAT", "CQAT", "PCQAT"],
)
def test_what_is_preserved_follows_from_the_recipe(
    before: list[Any], preserved: tuple[str, ...], clusters: int | None
) -> None:
    steps, mistakes = resolved(*before, Q)
    assert mistakes == []
    params = steps[-1].params
    assert isinstance(params, Params)
    assert (params.preserve, params.clusters) == (preserved, clusters)
    said = {"quantize_aware": {"preserve": list(preserved)}}
    assert resolved(*before, said)[0][-1].params == params
    assert objected([*before, said]) == []


def test_cluster_keeps_the_zeros_of_prune_without_being_told() -> None:
    steps, _ = resolved(P, C)
    assert steps[-1].params.model_dump()["preserve"] == "sparsity"
    assert resolved(C)[0][-1].params.model_dump()["preserve"] == "none"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (
            [P, {"quantize_aware": {"preserve": []}}],
            "prune made sparsity, which preserve leaves out; drop preserve",
        ),
        ([P, C, {"quantize_aware": {"preserve": ["clusters"]}}], "prune made sparsity"),
        (
            [C, {"quantize_aware": {"preserve": ["sparsity", "clusters"]}}],
            "preserve: sparsity, but no earlier step makes any; put prune",
        ),
        (
            [{"quantize_aware": {"preserve": ["clusters"]}}],
            "no earlier step makes any; put cluster before",
        ),
    ],
)
def test_a_preserve_that_contradicts_the_recipe_is_refused(recipe: list[Any], said: str) -> None:
    [found] = objected(recipe)
    assert said in found


@pytest.mark.parametrize(
    ("after", "hint"),
    [
        ({"quantize": {}}, "drop 'quantize'"),
        ({"prune": {}}, "move 'prune' before"),
        ({"quantize_aware": {}}, "before"),
    ],
)
def test_nothing_can_follow(after: Mapping[str, Any], hint: str) -> None:
    _, [mistake] = resolved(Q, after)
    assert "nothing can follow 'quantize_aware'" in mistake
    assert hint in mistake


def _strange() -> Graph:
    net = Net("strange", (8, 8, 3))
    net.rescale(2.0, -1.0, name="scaled")
    net.conv(4, 3, name="conv", activation="elu")
    net.relu(name="relu")
    net.batch_norm(name="late_bn")
    net.global_pool(name="pool")
    net.flatten(name="flat")
    net.dense(10, name="dense")
    return net.graph()


def test_every_layer_that_cannot_be_quantized_is_named_with_a_way_out() -> None:
    found = objected([Q], _strange())
    assert [line.partition(":")[0] for line in found] == ["scaled", "conv", "late_bn"]
    assert all("skip: [{name:" in line for line in found)
    skipped = {"quantize_aware": {"skip": [{"name": ["scaled", "conv", "late_bn"]}]}}
    assert objected([skipped], _strange()) == []


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("swish", "Activation layer of its own"),
        ("relu6", "layer of its own"),
        ("selu", "use one of gelu"),
    ],
)
def test_an_activation_within_a_convolution_that_would_stay_float_is_refused(
    kind: str, hint: str
) -> None:
    net = Net("short", (8, 8, 3))
    net.conv(4, 3, name="conv", activation=kind)
    [found] = objected([Q], net.graph())
    assert hint in found


def test_rules_that_pick_nothing_are_refused() -> None:
    assert "classifier" in objected([{"quantize_aware": {"layers": [{"name": "clasifier"}]}}])[0]
    assert "stem_pad" in objected([{"quantize_aware": {"skip": [{"name": "stem_pat"}]}}])[0]
    nothing = objected(
        [{"quantize_aware": {"skip": [{"type": ["Conv2D", "DepthwiseConv2D", "Dense"]}]}}]
    )
    assert "is left to quantize" in nothing[0]


def test_what_works_on_float_inputs_stays_float() -> None:
    last = Params.model_validate({"layers": [{"name": "classifier"}]})
    assert quantized_layers(GRAPH, last) == ("stem_pad", "classifier")
    none_but_stem = Params.model_validate({"skip": [{"name": "stem_conv"}]})
    chosen = quantized_layers(GRAPH, none_but_stem)
    assert "stem_conv" not in chosen
    assert "stem_bn" not in chosen
    assert "block1_pointwise_bn" in chosen
    assert quantized_layers(GRAPH, Params()) == tuple(node.name for node in GRAPH.nodes[1:])


def test_promises_leave_out_what_stays_float() -> None:
    whole = promises(GRAPH, Params(interface="int8"), ())
    assert [(p.kind, p.value) for p in whole] == [
        ("weights_dtype", "int8"),
        ("activations_dtype", "int8"),
        ("interface_dtype", "int8"),
    ]
    part = promises(GRAPH, Params.model_validate({"skip": [{"name": "stem_conv"}]}), ())
    assert [(p.kind, p.besides) for p in part] == [
        ("weights_dtype", ("stem_conv", "stem_bn")),
        ("interface_dtype", ()),
    ]


def test_verdicts_say_what_is_preserved_where() -> None:
    said = layers(GRAPH, Params(), [Step("prune", TECHNIQUES.get("prune").params())])
    assert said["block1_pointwise"].reason == "preserves sparsity"
    assert "nothing to preserve" in said["block1_depthwise"].reason
    assert "folded into stem_conv" in said["stem_bn"].reason
    left = layers(_strange(), Params.model_validate({"layers": [{"name": "dense"}]}), ())
    assert not left["conv"].applies
    assert left["conv"].fix


def test_what_becomes_of_hard_swish_is_remarked() -> None:
    full, minimal = (
        NETWORKS.get("mobilenet_v3")(minimalistic=minimalistic) for minimalistic in (False, True)
    )
    said = TECHNIQUES.get("quantize_aware").remarks
    [remark] = said(full, Params(), ())
    assert remark.startswith(
        "19 hard-swish (Conv_hard_swish, …) are trained and stored piece by piece"
    )
    assert not said(minimal, Params(), ())
    assert check(full, Params(), ()) == []
