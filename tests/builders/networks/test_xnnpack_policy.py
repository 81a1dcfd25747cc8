"""Our pure judgement of a network against TFMOT's own, on good and broken networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from zoo_builders.networks import xnnpack_policy
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS


def changed(name: str, **config: Any) -> Graph:
    """`cifar10_cnn` with one layer's configuration changed; shapes are the caller's worry."""
    graph = NETWORKS.get("cifar10_cnn")()
    return Graph(
        "changed",
        tuple(
            replace(n, config={**n.config, **config}) if n.name == name else n for n in graph.nodes
        ),
    )


def without(*names: str) -> Graph:
    """`cifar10_cnn` without some layers."""
    graph = NETWORKS.get("cifar10_cnn")()
    nodes: list[Node] = []
    gone: dict[str, str] = {}
    for node in graph.nodes:
        inputs = tuple(gone.get(origin, origin) for origin in node.inputs)
        if node.name in names:
            gone[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return Graph("without", tuple(nodes))


def block(write: Callable[[Net], object], *, channels: int = 3) -> Graph:
    """A good stem, then what `write` adds, then pooling and a classifier."""
    net = Net("block", (16, 16, channels))
    net.zero_pad(1, name="pad")
    net.conv(8, 3, 2, name="stem")
    net.relu(name="stem_relu")
    write(net)
    net.global_pool(name="pool")
    net.flatten(name="flat")
    net.dense(4, name="classifier")
    return net.graph()


def _residual(net: Net) -> None:
    left = net.last
    right = net.conv(8, 1, name="inner")
    net.add(left, right, name="sum")


def _padded_depthwise(kernel: int, margin: int, stride: int) -> Callable[[Net], object]:
    def write(net: Net) -> None:
        net.zero_pad(margin, name="dw_pad")
        net.depthwise(kernel, stride, padding="valid", name="dw")

    return write


def _squeezed(net: Net) -> None:
    """Scale channels by their means, as squeeze-and-excite blocks do."""
    left = net.conv(8, 1, name="inner")
    right = net.global_pool(keepdims=True, name="squeeze")
    net.multiply(left, right, name="scale")


def _straight(*, end: bool = True, start: bool = True) -> Graph:
    net = Net("straight", (16, 16, 3))
    if start:
        net.zero_pad(1, name="pad")
        net.conv(8, 3, 2, name="stem")
    net.conv(8, 1, name="pointwise")
    if end:
        net.global_pool(name="pool")
    net.flatten(name="flat")
    net.dense(4, name="classifier")
    return net.graph()


GOOD = {
    "cifar10_cnn": NETWORKS.get("cifar10_cnn")(),
    "residual": block(_residual),
    "depthwise same": block(lambda net: net.depthwise(3, 1, name="dw")),
    "depthwise 5x5 same": block(lambda net: net.depthwise(5, 1, name="dw")),
    "depthwise 3x3 valid": block(_padded_depthwise(3, 1, 2)),
    "depthwise 5x5 valid": block(_padded_depthwise(5, 2, 2)),
    "fused activation": block(lambda net: net.conv(8, 1, activation="relu", name="pw")),
    "pooling inside": block(_squeezed),
    "pooling without keepdims at the end": changed("pool", keepdims=True),
}
BROKEN = {
    "digits: one channel": (NETWORKS.get("digits_cnn")(), "stem_conv"),
    "grey stem": (block(lambda net: net.relu(), channels=1), "stem"),
    "no padding before the stem": (without("stem_pad"), "stem_conv"),
    "no stem": (_straight(start=False), "pointwise"),
    "no pooling": (_straight(end=False), "classifier"),
    "same stem": (changed("stem_conv", padding="same"), "stem_conv"),
    "stem with stride 1": (changed("stem_conv", strides=1), "stem_conv"),
    "wide padding before the stem": (changed("stem_pad", padding=2), "stem_conv"),
    "uneven padding before the stem": (changed("stem_pad", padding=((0, 1), (0, 1))), "stem_conv"),
    "stride-2 depthwise with same": (block(lambda net: net.depthwise(3, 2, name="dw")), "dw"),
    "depthwise 7x7": (block(lambda net: net.depthwise(7, 1, name="dw")), "dw"),
    "depthwise valid without padding": (
        block(lambda net: net.depthwise(3, 1, padding="valid", name="dw")),
        "dw",
    ),
    "depthwise 5x5 with too little padding": (block(_padded_depthwise(5, 1, 1)), "dw"),
    "3x3 inside": (block(lambda net: net.conv(8, 3, padding="same", name="wide")), "wide"),
    "1x1 with stride": (block(lambda net: net.conv(8, 1, 2, name="strided")), "strided"),
    "max pooling inside": (block(lambda net: net.max_pool(name="max")), "max"),
    "dilated depthwise": (changed("block1_depthwise", dilation_rate=2), "block1_depthwise"),
}


@pytest.mark.parametrize("graph", GOOD.values(), ids=GOOD.keys())
def test_a_good_network_has_no_objection(graph: Graph) -> None:
    assert xnnpack_policy.objections(graph) == []


@pytest.mark.parametrize(("graph", "layer"), BROKEN.values(), ids=BROKEN.keys())
def test_an_offender_is_named_with_reason_and_fix(graph: Graph, layer: str) -> None:
    found = xnnpack_policy.objections(graph)
    assert layer in [objection.layer for objection in found]
    assert all(objection.reason and objection.fix for objection in found)


def test_pooling_inside_must_keep_its_dimensions() -> None:
    graph = block(_squeezed)
    (node,) = (node for node in graph.nodes if node.name == "squeeze")
    flat = replace(node, config={**node.config, "keepdims": False})
    changed = Graph("flat", tuple(flat if one is node else one for one in graph.nodes))
    assert xnnpack_policy.objections(graph) == []
    (found,) = xnnpack_policy.objections(changed)
    assert found.layer == "squeeze"
    assert "keepdims=True" in found.fix


def test_every_offender_is_named_not_only_the_first() -> None:
    def write(net: Net) -> None:
        net.conv(8, 3, padding="same", name="wide")
        net.depthwise(7, 1, name="seven")
        net.max_pool(name="max")

    assert [objection.layer for objection in xnnpack_policy.objections(block(write))] == [
        "wide",
        "seven",
        "max",
    ]


@pytest.mark.train
@pytest.mark.parametrize(
    "graph", [*GOOD.values(), *(graph for graph, _ in BROKEN.values())], ids=[*GOOD, *BROKEN]
)
def test_tfmot_agrees(graph: Graph) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.render import layer_of
    from zoo_builders.networks.keras_config import graph_of_config

    values: dict[str, Any] = {"input": tf.keras.Input(graph.input_shape, name="input")}
    for node in graph.nodes[1:]:
        origins = [values[origin] for origin in node.inputs]
        values[node.name] = layer_of(node)(origins if len(origins) > 1 else origins[0])
    model = tf.keras.Model(values["input"], values[graph.nodes[-1].name])
    ours = xnnpack_policy.objections(graph_of_config("Functional", model.get_config()))
    policy = tf.tfmot.sparsity.keras.PruneForLatencyOnXNNPack()
    if ours:
        with pytest.raises(ValueError, match=r"Could not find|not supported"):
            policy.ensure_model_supports_pruning(model)
    else:
        policy.ensure_model_supports_pruning(model)
