"""What is said of the sparse path before the build against what the finished file says.

Squeeze-excite, and every way to end.
"""

from collections.abc import Callable

import pytest

from builders.networks.test_network_files import with_zeros
from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.xnnpack_policy import ENOUGH_ZEROS
from zoo_builders.preflight import graph_rewrite

pytestmark = pytest.mark.train


def network(end: Callable[[Net], object], *, squeeze: bool = True) -> Graph:
    """A stem, squeeze-excite where asked for, a 1x1 convolution, a pooling, and what `end` adds."""
    net = Net("squeeze", (16, 16, 3))
    net.zero_pad(1, name="pad")
    net.conv(8, 3, 2, name="stem")
    net.conv(16, name="enter")
    if squeeze:
        entered = net.relu(name="enter_relu")
        net.global_pool(name="squeeze")
        net.conv(8, name="narrow")
        net.conv(16, name="widen")
        net.multiply(entered, net.activation("sigmoid", name="excite"), name="weigh")
    net.conv(32, name="last")
    net.global_pool(name="pool")
    end(net)
    return net.graph()


def _flat(net: Net) -> None:
    net.flatten(name="flat")


def _dense(net: Net) -> None:
    net.flatten(name="flat")
    net.dense(4, name="classifier")


def _pixel(net: Net) -> None:
    net.conv(8, name="classifier")


def _pixel_reshaped(net: Net) -> None:
    net.conv(8, name="classifier")
    net.reshape((8,), name="logits")


def _pixel_pooled(net: Net) -> None:
    net.conv(8, name="classifier")
    net.global_pool(keepdims=False, name="logits")


def _pixel_dense(net: Net) -> None:
    net.conv(32, name="hidden")
    _dense(net)


def _gated(net: Net) -> None:
    net.activation("sigmoid", name="gate")
    net.flatten(name="flat")


ENDS = {
    "flat": (_flat, True),
    "dense": (_dense, True),
    "pixel": (_pixel, False),
    "pixel reshaped": (_pixel_reshaped, False),
    "pixel pooled": (_pixel_pooled, True),
    "pixel dense": (_pixel_dense, True),
    "gated": (_gated, False),
}


def _predicted(graph: Graph) -> tuple[bool, str]:
    from zoo_builders.converting import tensorflow_converter
    from zoo_builders.tflite import flatbuffer, xnnpack

    found = xnnpack.predict(
        flatbuffer.read(tensorflow_converter.to_tflite(with_zeros(graph, 0.95), sparse=True)).main
    )
    return found.predicted_sparse, found.reason


@pytest.mark.parametrize(("end", "opens"), ENDS.values(), ids=ENDS.keys())
def test_the_finished_file_agrees(end: Callable[[Net], object], opens: bool) -> None:
    graph = network(end)
    zeros = {node.name: 0.95 for node in graph.nodes if node.is_pointwise}
    said = (
        not sparse_path.objections(graph)
        and sparse_path.share_of_zeros(graph, zeros) > ENOUGH_ZEROS
    )
    assert (said, _predicted(graph)[0]) == (opens, opens)


def test_the_share_is_of_the_weights_that_xnnpack_counts() -> None:
    graph = network(_pixel_pooled)
    counted = sum(node.parameters - node.shape[-1] for node in graph.nodes if node.is_pointwise)
    assert f"of the {counted} weights" in _predicted(graph)[1]
    assert sparse_path.share_of_zeros(graph, {"narrow": 1.0}) == pytest.approx(16 * 8 / counted)


def test_a_classified_pixel_that_is_reshaped_is_rewritten_so_that_the_path_opens() -> None:
    graph = network(_pixel_reshaped)
    done = graph_rewrite.rewrite(graph)
    assert [change.layer for change in done.changes] == ["logits"]
    assert done.graph.output_shape == graph.output_shape
    assert _predicted(done.graph)[0]
