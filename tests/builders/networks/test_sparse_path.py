"""XNNPACK's sparse path, layer by layer: who runs sparse, who is in the way, whose zeros count."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net


def network(
    end: Callable[[Net], object], *, inside: Callable[[Net], object] = lambda _: None
) -> Graph:
    """A stem, what `inside` adds, a 1x1 convolution, a pooling that keeps dimensions, and `end`."""
    net = Net("tested", (16, 16, 3))
    net.zero_pad(1, name="pad")
    net.conv(8, 3, 2, name="stem")
    inside(net)
    net.conv(16, name="last")
    net.global_pool(name="pool")
    end(net)
    return net.graph()


def flat(net: Net) -> None:
    net.flatten(name="flat")
    net.dense(4, name="classifier")


def pooled(net: Net) -> None:
    """Two 1x1 convolutions and a ReLU on pooled images, and a classifier behind them."""
    net.conv(32, name="first")
    net.relu(name="clip")
    net.conv(8, name="second")
    flat(net)


def loose(net: Net) -> None:
    """A 1x1 convolution as the classifier on pooled images: nothing ends the sparse part."""
    net.conv(4, name="classifier")
    net.flatten(name="flat")


def opened(net: Net) -> None:
    net.conv(4, name="classifier")


def squeezed(net: Net) -> None:
    entered = net.conv(8, name="enter")
    net.global_pool(name="squeeze")
    net.conv(2, name="narrow")
    net.conv(8, name="widen")
    net.multiply(entered, net.activation("sigmoid", name="excite"), name="weigh")


def changed(graph: Graph, layer: str, **config: object) -> Graph:
    nodes = (
        replace(node, config={**node.config, **config}) if node.name == layer else node
        for node in graph.nodes
    )
    return Graph(graph.name, tuple(nodes))


def counted(graph: Graph) -> dict[str, int]:
    """The weights whose zeros count, by layer: each layer's share of all when it alone is zero."""
    names = [node.name for node in graph.nodes if node.weights]
    total = {node.name: node.kernel_weights for node in graph.nodes if node.weights}
    shares = {name: sparse_path.share_of_zeros(graph, {name: 1.0}) for name in names}
    among = sum(total[name] for name, share in shares.items() if share)
    assert all(share in (0, total[name] / among) for name, share in shares.items())
    return {name: total[name] for name, share in shares.items() if share}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (network(flat), {"last": 128, "classifier": 64}),
        (network(pooled), {"last": 128, "first": 512, "second": 256, "classifier": 32}),
        (
            network(flat, inside=squeezed),
            {"enter": 64, "narrow": 16, "widen": 16, "last": 128, "classifier": 64},
        ),
    ],
    ids=["flat", "pooled", "squeezed"],
)
def test_the_kernels_whose_zeros_count(graph: Graph, expected: dict[str, int]) -> None:
    assert counted(graph) == expected
    assert sparse_path.objections(graph) == []


def test_shares_are_weighed_by_size() -> None:
    graph = network(flat)
    assert sparse_path.share_of_zeros(graph, {"last": 0.5, "classifier": 0.25}) == pytest.approx(
        (64 + 16) / 192
    )
    assert sparse_path.share_of_zeros(graph, {}) == 0


def test_a_network_without_any_such_kernel_has_no_zeros() -> None:
    net = Net("wide", (16, 16, 3))
    net.conv(8, 3, name="only")
    assert sparse_path.share_of_zeros(net.graph(), {"only": 1.0}) == 0


def test_more_than_two_thirds_are_enough() -> None:
    assert not sparse_path.enough(2 / 3)
    assert sparse_path.enough(2 / 3 + 1e-9)
    assert not sparse_path.enough(0.65)


def test_each_layer_with_weights_has_a_verdict() -> None:
    found = sparse_path.verdicts(network(pooled))
    assert {name: verdict.applies for name, verdict in found.items()} == {
        "stem": False,
        "last": True,
        "first": True,
        "second": True,
        "classifier": False,
    }
    assert "in nobody's way" in found["stem"].reason
    assert "more than 2/3" in found["classifier"].reason


def test_a_normalization_is_folded_away() -> None:
    graph = network(flat, inside=lambda net: net.batch_norm(name="norm"))
    verdict = sparse_path.verdicts(graph)["norm"]
    assert verdict.applies is False
    assert "folded" in verdict.reason
    assert sparse_path.objections(graph) == []


def test_a_normalization_that_cannot_be_folded_is_in_the_way() -> None:
    def inside(net: Net) -> None:
        net.relu(name="before")
        net.batch_norm(name="norm")

    (found,) = sparse_path.objections(network(flat, inside=inside))
    assert found.layer == "norm"
    assert "cannot be folded" in found.reason


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"max_value": None}, ""),
        ({"max_value": 1}, ""),
        ({"max_value": 6}, ""),
        ({"max_value": 5}, "clipped at 5"),
        ({"max_value": 6, "threshold": 0.5}, "threshold"),
        ({"threshold": 0.0}, ""),
    ],
)
def test_a_clip_that_is_no_operator_of_its_own_is_in_the_way(
    config: dict[str, object], words: str
) -> None:
    graph = network(flat, inside=lambda net: net.relu(name="clip"))
    found = sparse_path.objections(changed(graph, "clip", **config))
    assert [one.layer for one in found] == (["clip"] if words else [])
    assert all(words in one.reason for one in found)


def test_one_fault_shuts_the_path_for_all_and_the_first_is_named() -> None:
    def inside(net: Net) -> None:
        net.conv(8, 3, padding="same", name="wide")
        net.max_pool(name="max")
        net.depthwise(7, 1, name="seven")

    one = sparse_path.verdicts(network(pooled, inside=lambda net: net.max_pool(name="max")))
    assert one["max"].applies is False
    assert (one["last"].applies, one["last"].fix) == (False, "mend max first")
    many = sparse_path.verdicts(network(pooled, inside=inside))
    assert (many["last"].applies, many["last"].fix) == (False, "mend wide and 2 more first")
    two = sparse_path.verdicts(
        network(pooled, inside=lambda net: (net.max_pool(name="max"), net.max_pool(name="more")))
    )
    assert two["last"].fix == "mend max and 1 more first"


def test_a_fault_is_told_once_though_both_lists_know_it() -> None:
    graph = changed(network(flat, inside=squeezed), "narrow", strides=2)
    assert [one.layer for one in sparse_path.objections(graph)] == ["narrow"]


@pytest.mark.parametrize(
    ("end", "behind", "place"),
    [
        (loose, "flat behind it has no sparse form", "in the place of flat"),
        (opened, "nothing that ends the sparse part follows", "behind it"),
    ],
)
def test_pooled_images_must_lead_to_a_fully_connected_layer(
    end: Callable[[Net], object], behind: str, place: str
) -> None:
    graph = network(end)
    assert [node.name for node in sparse_path.loose_ends(graph)] == ["classifier"]
    (found,) = sparse_path.objections(graph)
    assert found.layer == "classifier"
    assert behind in found.reason
    assert f"{place}:" in found.fix


def test_behind_a_pooling_that_keeps_nothing_layers_run_dense() -> None:
    def end(net: Net) -> None:
        net.reshape((1, 1, 16), name="again")
        net.conv(4, name="classifier")

    graph = network(end)
    verdict = sparse_path.verdicts(graph)["classifier"]
    assert verdict.applies is False
    assert "behind the last global pooling" in verdict.reason
    assert "it runs dense" in verdict.fix
    shut = sparse_path.verdicts(network(end, inside=lambda net: net.max_pool(name="max")))
    assert shut["classifier"].fix == "mend what stands before it first"
    assert "classifier" not in counted(graph)
