"""What every base network promises; a new one is tested here by being registered."""

import inspect
import math

import pytest

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS

SMALL = 40
"""Layers of a network that is built several times."""


@pytest.fixture(params=NETWORKS.names())
def graph(request: pytest.FixtureRequest) -> Graph:
    return NETWORKS.get(request.param)()


@pytest.mark.parametrize("name", NETWORKS.names())
def test_says_what_it_is(name: str) -> None:
    doc = inspect.getdoc(NETWORKS.get(name)) or ""
    assert len(doc.split()) > 15, "a network says its input, its size and what XNNPACK makes of it"


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_argument_has_a_default_and_a_name(name: str) -> None:
    for parameter in inspect.signature(NETWORKS.get(name)).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty


def test_is_one_chain_of_known_layers(graph: Graph) -> None:
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)
    for node in graph.nodes[1:]:
        assert node.inputs
        assert all(names.index(origin) < names.index(node.name) for origin in node.inputs)


def test_ends_in_class_scores(graph: Graph) -> None:
    assert len(graph.output_shape) == 1
    assert graph.nodes[-1].config.get("activation") is None, "logits: softmax belongs to the loss"


@pytest.mark.train
def test_renders_with_the_shapes_it_says_and_reads_back_equal(graph: Graph) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.render import graph_of, render

    tf.deterministic(0)
    model = render(graph)
    assert graph_of(model) == graph
    assert model.count_params() == graph.parameters
    for node in graph.nodes[1:]:
        layer = model.get_layer(node.name)
        assert tuple(layer.output_shape[1:]) == node.shape
        assert [tuple(weight.shape) for weight in layer.weights] == list(node.weights.values())
        assert sum(math.prod(weight.shape) for weight in layer.weights) == node.parameters


@pytest.mark.train
@pytest.mark.parametrize(
    "name", [name for name in NETWORKS.names() if len(NETWORKS.get(name)().nodes) <= SMALL]
)
def test_the_same_seed_starts_from_the_same_weights(name: str) -> None:
    """Seeding is Keras', not the network's: those that build fast show it."""
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render

    def weights(seed: int) -> list[bytes]:
        tf.deterministic(seed)
        return [weight.tobytes() for weight in render(NETWORKS.get(name)()).get_weights()]

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)
