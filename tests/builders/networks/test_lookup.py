"""The networks as data: published sizes, what XNNPACK makes of them.

And what their arguments refuse. No TensorFlow here.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from zoo_builders.networks import lookup, xnnpack_policy
from zoo_builders.networks.blocks import divisible
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.pretrained.padding import moved
from zoo_registry.model.errors import WrongUse

PUBLISHED = [
    # keras.io/api/applications, and the docstrings of keras.applications (V3): weights with the
    # classifier of 1000 classes
    ("mobilenet_v1", {}, 4_253_864),
    ("mobilenet_v2", {}, 3_538_984),
    ("mobilenet_v3", {"size": "large", "minimalistic": False}, 5_507_432),
    ("mobilenet_v3", {"size": "small", "minimalistic": False}, 2_554_968),
    ("mobilenet_v3", {"size": "large"}, 3_948_688),
    ("mobilenet_v3", {"size": "small"}, 2_056_848),
    ("resnet_v2", {"depth": 50}, 25_613_800),
    ("resnet_v2", {"depth": 101}, 44_675_560),
    ("inception_v3", {}, 23_851_784),
    # MLPerf Tiny's reference model
    ("resnet8", {}, 78_666),
]
LITE_MILLIONS = (4.7, 5.4, 6.1, 8.2, 13.0)
"""github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md"""

PAIRS = [
    ("mobilenet_v1", {}),
    ("mobilenet_v2", {}),
    ("mobilenet_v3", {}),
    ("mobilenet_v3", {"size": "large"}),
    *(("efficientnet_lite", {"size": size}) for size in range(5)),
]


def make(name: str, **args: Any) -> Graph:
    return NETWORKS.get(name)(**args)


@pytest.mark.parametrize(("name", "args", "weights"), PUBLISHED)
def test_weights_are_as_many_as_published(name: str, args: Mapping[str, Any], weights: int) -> None:
    assert make(name, **args).parameters == weights


@pytest.mark.parametrize("size", range(5))
def test_efficientnet_lite_is_as_large_as_published(size: int) -> None:
    graph = make("efficientnet_lite", size=size)
    trained = sum(
        node.parameters // (2 if node.op == "BatchNormalization" else 1) for node in graph.nodes
    )
    assert trained / 1e6 == pytest.approx(LITE_MILLIONS[size], abs=0.06)
    assert graph.input_shape[0] == (224, 240, 260, 280, 300)[size]


@pytest.mark.parametrize(("name", "args"), PAIRS)
def test_the_xnnpack_variant_is_one_the_policy_takes(name: str, args: Mapping[str, Any]) -> None:
    assert xnnpack_policy.objections(make(name, **args)) == []


@pytest.mark.parametrize(("name", "args"), PAIRS)
def test_the_stock_variant_is_refused_and_has_the_same_weights(
    name: str, args: Mapping[str, Any]
) -> None:
    ours, stock = make(name, **args), make(name, **args, variant="stock")
    assert xnnpack_policy.objections(stock)
    assert [node.name for node in ours.nodes if node.weights] == [
        node.name for node in stock.nodes if node.weights
    ]
    assert ours.parameters == stock.parameters


@pytest.mark.parametrize(("name", "args"), PAIRS)
def test_only_the_xnnpack_variant_moves_what_tensorflow_trained(
    name: str, args: Mapping[str, Any]
) -> None:
    assert moved(make(name, **args, variant="stock"), "tensorflow") == []
    assert len(moved(make(name, **args), "tensorflow")) >= 2
    assert moved(make(name, **args), "even") == []


def test_three_quarters_of_pointwise_zeros_are_two_thirds_of_what_counts() -> None:
    """A dense classifier of 1000 classes would count too and be dense.

    As a 1x1 convolution it is pruned with the others.
    """
    graph = make("mobilenet_v2")
    counted = [node for node in graph.nodes if node.op == "Dense" or node.is_pointwise]
    assert all(node.is_pointwise for node in counted)
    stock = make("mobilenet_v2", variant="stock")
    pruned = sum(
        node.weights and 0.75 * _kernel(node.weights) for node in stock.nodes if node.is_pointwise
    )
    everything = sum(
        _kernel(node.weights) for node in stock.nodes if node.op == "Dense" or node.is_pointwise
    )
    assert pruned / everything < 2 / 3, "why the classifier is no dense layer"


def _kernel(weights: Mapping[str, tuple[int, ...]]) -> int:
    *_, first, second = weights["kernel"]
    return first * second


@pytest.mark.parametrize(
    ("resolution", "reduction", "side"),
    [(32, 4, 8), (32, 8, 4), (48, 16, 3), (96, 32, 3), (64, 2, 32)],
)
def test_small_images_keep_some_pixels_and_the_stem_its_stride(
    resolution: int, reduction: int, side: int
) -> None:
    graph = make("mobilenet_v2", alpha=0.35, resolution=resolution, reduction=reduction, classes=10)
    assert graph.node("out_relu").shape == (side, side, 1280)
    assert graph.node("Conv1").config["strides"] == 2
    assert xnnpack_policy.objections(graph) == []


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("mobilenet_v2", {"variant": "stok"}, "expected one of xnnpack, stock"),
        ("mobilenet_v2", {"reduction": 5}, "expected one of 2, 4, 8, 16, 32"),
        ("mobilenet_v2", {"resolution": 16, "reduction": 32}, "at most the resolution"),
        ("mobilenet_v3", {"size": "medium"}, "expected small or large"),
        ("efficientnet_lite", {"size": 5}, "expected 0, 1, 2, 3 or 4"),
        ("resnet_v2", {"depth": 152}, "expected 50 or 101"),
    ],
)
def test_an_argument_that_means_nothing_is_refused_with_what_would(
    name: str, args: Mapping[str, Any], said: str
) -> None:
    found = lookup.locate(name, lookup.Path(), None, lambda _: False)
    with pytest.raises(WrongUse, match=said) as refused:
        lookup.graph(found, args)
    assert "arguments" in refused.value.hint


@pytest.mark.parametrize(
    ("given", "rounded"), [(8, 8), (11.2, 16), (12, 16), (18, 24), (33.6, 32), (67, 64), (3, 8)]
)
def test_channels_are_rounded_to_eights_never_down_by_more_than_a_tenth(
    given: float, rounded: int
) -> None:
    assert divisible(given) == rounded
    assert rounded >= 0.9 * given


def test_shapes_follow_windows_sides_and_branches() -> None:
    net = Net("shapes", (9, 12, 3))
    net.zero_pad(((0, 1), (2, 3)), name="pad")
    assert net.shape() == (10, 17, 3)
    net.conv(4, (1, 7), (1, 2), name="wide")
    assert net.shape() == (10, 6, 4)
    left = net.avg_pool(3, 1, padding="same", name="left")
    assert net.shape() == (10, 6, 4)
    right = net.max_pool(3, 2, name="right", after="wide")
    assert net.shape(right) == (4, 2, 4)
    net.concat([left, "wide"], name="both")
    assert net.shape() == (10, 6, 8)
    squeezed = net.global_pool(name="squeezed")
    net.multiply("both", squeezed, name="weighed")
    assert net.shape() == (10, 6, 8)
    net.reshape((60, 8), name="flat")
    assert net.shape() == (60, 8)


def test_a_layer_that_leads_nowhere_is_refused() -> None:
    net = Net("forked", (4, 4, 3))
    net.conv(2, 1, name="kept")
    net.conv(2, 1, name="unread")
    net.conv(2, 1, name="last", after="kept")
    with pytest.raises(ValueError, match="no layer reads unread"):
        net.graph()


def test_even_padding_is_one_number_however_it_is_spelled() -> None:
    net = Net("padded", (4, 4, 3))
    net.zero_pad(((1, 1), (1, 1)), name="pad")
    assert net.graph().node("pad").config == {"padding": 1}
