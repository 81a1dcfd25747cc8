"""Networks written anew for the sparse path.

What keeps the function is done, what changes it is told.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.preflight.graph_rewrite import rewrite


def stock(size: int) -> Graph:
    """A small network as keras.applications writes them.

    `same` stem, `same` strides, pooling without keepdims.
    """
    net = Net("stock", (size, size, 3))
    net.conv(8, 3, 2, padding="same", name="stem")
    net.relu(name="relu")
    net.depthwise(3, 2, padding="same", name="depthwise")
    net.conv(16, 1, name="pointwise")
    net.global_pool(keepdims=False, name="pool")
    net.dense(10, name="classifier")
    return net.graph()


def test_odd_sizes_can_be_rewritten_whole() -> None:
    done = rewrite(stock(33))
    assert [change.layer for change in done.changes] == ["stem", "depthwise", "pool"]
    assert done.left == ()
    assert sparse_path.objections(done.graph) == []
    assert done.graph.output_shape == (10,)
    assert {name: node.weights for name, node in _weighted(done.graph).items()} == {
        n: w.weights for n, w in _weighted(stock(33)).items()
    }


def test_even_sizes_keep_their_padding_and_are_told_what_changing_it_means() -> None:
    done = rewrite(stock(32))
    assert [change.layer for change in done.changes] == ["pool"]
    assert [objection.layer for objection in done.left] == ["stem", "depthwise"]
    assert all("fine-tune" in objection.fix for objection in done.left)
    assert "(0, 1)" in done.left[1].fix


def _weighted(graph: Graph) -> dict[str, Node]:
    return {node.name: node for node in graph.nodes if node.weights}


def test_what_needs_nothing_is_left_alone() -> None:
    graph = NETWORKS.get("cifar10_cnn")()
    assert rewrite(graph).graph == graph
    assert rewrite(graph).changes == ()


@given(st.integers(8, 40), st.sampled_from([3, 5]))
def test_shapes_stay_whatever_the_size(size: int, kernel: int) -> None:
    net = Net("any", (size, size, 3))
    net.conv(4, 3, 2, padding="same")
    net.depthwise(kernel, 2, padding="same", name="depthwise")
    net.global_pool(keepdims=False)
    net.dense(3)
    before, after = net.graph(), rewrite(net.graph()).graph
    for node in before.nodes:
        if node.op != "GlobalAveragePooling2D":
            assert after.node(node.name).shape == node.shape
    assert rewrite(after).changes == ()


def _average() -> Graph:
    net = Net("average", (8, 8, 3))
    net.conv(4, 1)
    nodes = (
        *net.graph().nodes,
        Node("average", "AveragePooling2D", {"pool_size": 8}, (net.last,), (1, 1, 4)),
    )
    return Graph("average", (*nodes, Node("flatten", "Flatten", {}, ("average",), (4,))))


def _reshaped() -> Graph:
    net = Net("reshaped", (8, 8, 3))
    net.conv(4, 1)
    pool = net.global_pool(keepdims=False, name="pool")
    nodes = (
        *net.graph().nodes,
        Node("reshape", "Reshape", {"target_shape": (1, 1, 4)}, (pool,), (1, 1, 4)),
    )
    return Graph("reshaped", (*nodes, Node("flatten", "Flatten", {}, ("reshape",), (4,))))


def _linear() -> Graph:
    net = Net("linear", (8, 8, 3))
    conv = net.conv(4, 1)
    nodes = (
        *net.graph().nodes,
        Node("nothing", "Activation", {"activation": "linear"}, (conv,), (8, 8, 4)),
    )
    return Graph(
        "linear",
        (
            *nodes,
            Node("pool", "GlobalAveragePooling2D", {"keepdims": True}, ("nothing",), (1, 1, 4)),
        ),
    )


@pytest.mark.parametrize(
    ("make", "gone", "there"),
    [
        (_average, "AveragePooling2D", "GlobalAveragePooling2D"),
        (_reshaped, "Reshape", "Flatten"),
        (_linear, "Activation", "Conv2D"),
    ],
)
def test_other_ways_of_saying_the_same_are_found(
    make: Callable[[], Graph], gone: str, there: str
) -> None:
    graph = rewrite(make()).graph
    assert gone not in {node.op for node in graph.nodes}
    assert there in {node.op for node in graph.nodes}
    assert graph.output_shape == make().output_shape


def test_a_hard_swish_is_told_and_not_replaced() -> None:
    net = Net("swish", (33, 33, 3))
    net.conv(8, 3, 2, padding="same", name="stem")
    stem = net.conv(8, 1, name="pointwise")
    nodes = (
        *net.graph().nodes,
        Node("swish", "Activation", {"activation": "hard_swish"}, (stem,), net.shape()),
    )
    graph = Graph(
        "swish",
        (*nodes, Node("pool", "GlobalAveragePooling2D", {"keepdims": True}, ("swish",), (1, 1, 8))),
    )
    [left] = rewrite(graph).left
    assert left.layer == "swish"
    assert "train or fine-tune" in left.fix
