"""Folding batch normalisation: same function, fewer layers."""

from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.fold import fold, foldable
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net


def network() -> Graph:
    net = Net("net", (6, 6, 2))
    net.conv(4, 3, padding="same", bias=False, name="conv")
    net.batch_norm(name="conv_bn")
    net.relu(name="relu")
    net.depthwise(3, name="dw")
    net.batch_norm(epsilon=0.1, name="dw_bn")
    net.flatten(name="flat")
    net.dense(3, name="dense")
    net.batch_norm(name="dense_bn")
    return net.graph()


def weights_for(graph: Graph) -> dict[str, dict[str, Any]]:
    random = np.random.default_rng(3)
    positive = {"moving_variance", "gamma"}
    return {
        node.name: {
            name: (
                (
                    random.uniform(0.5, 2, shape) if name in positive else random.normal(size=shape)
                ).astype(np.float32)
            )
            for name, shape in node.weights.items()
        }
        for node in graph.nodes
        if node.weights
    }


def test_foldable_are_the_linear_layers_read_by_the_normalisation_alone() -> None:
    assert foldable(network()) == {"conv": "conv_bn", "dw": "dw_bn", "dense": "dense_bn"}


def test_a_layer_with_an_activation_is_left_alone() -> None:
    net = Net("net", (6, 6, 2))
    net.conv(4, activation="relu", name="conv")
    net.batch_norm(name="bn")
    assert foldable(net.graph()) == {}
    assert fold(net.graph(), weights_for(net.graph()))[0] == net.graph()


def test_a_layer_with_a_second_reader_is_left_alone() -> None:
    net = Net("net", (6, 6, 2))
    conv = net.conv(4, name="conv")
    norm = net.batch_norm(name="bn")
    net.add(conv, norm, name="sum")
    assert foldable(net.graph()) == {}


def test_the_folded_network_has_biases_and_no_normalisation() -> None:
    graph = network()
    folded, weights = fold(graph, weights_for(graph))
    assert [node.op for node in folded.nodes] == [
        "InputLayer",
        "Conv2D",
        "ReLU",
        "DepthwiseConv2D",
        "Flatten",
        "Dense",
    ]
    assert folded.node("conv").weights["bias"] == (4,)
    assert {name: value.shape for name, value in weights["conv"].items()} == folded.node(
        "conv"
    ).weights
    assert folded.node("relu").inputs == ("conv",)


def test_zeros_stay_zero() -> None:
    graph = network()
    weights = weights_for(graph)
    weights["conv"]["kernel"][:, :, 0] = 0
    _, folded = fold(graph, weights)
    assert (folded["conv"]["kernel"][:, :, 0] == 0).all()


@pytest.mark.train
def test_the_folded_network_computes_the_same() -> None:
    from zoo_builders.keras_models.weights import render_with

    graph = network()
    weights = weights_for(graph)
    inputs = np.random.default_rng(5).normal(size=(8, 6, 6, 2)).astype(np.float32)
    before = render_with(graph, weights).predict(inputs, verbose=0)
    after = render_with(*fold(graph, weights)).predict(inputs, verbose=0)
    assert np.abs(before).max() > 1
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
