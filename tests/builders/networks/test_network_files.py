"""What networks of the zoo become in a file.

Operators the runtime has in one piece, and the sparse path of XNNPACK.
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS

pytestmark = pytest.mark.train


def operators(file: bytes) -> Counter[str]:
    from zoo_builders.tflite import flatbuffer

    return Counter(operator.code for operator in flatbuffer.read(file).main.operators)


def with_zeros(graph: Graph, share: float) -> Any:
    """A randomly initialised model with the smallest weights of every 1x1 convolution set to
    zero.
    """
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render

    tf.deterministic(0)
    model = render(graph)
    for node in graph.nodes:
        if node.is_pointwise:
            kernel, *rest = model.get_layer(node.name).get_weights()
            kernel[np.abs(kernel) <= np.quantile(np.abs(kernel), share)] = 0
            model.get_layer(node.name).set_weights([kernel, *rest])
    return model


def test_mobilenet_v2_with_a_thousand_classes_runs_sparse_at_75_percent() -> None:
    from zoo_builders.converting import tensorflow_converter
    from zoo_builders.tflite import flatbuffer, xnnpack

    graph = NETWORKS.get("mobilenet_v2")(alpha=0.35, resolution=32, reduction=8)
    file = tensorflow_converter.to_tflite(with_zeros(graph, 0.75), sparse=True)
    predicted = xnnpack.predict(flatbuffer.read(file).main)
    assert predicted.predicted_sparse, predicted.reason
    assert predicted.reason.startswith("75.0%"), (
        "the classifier counts, and is pruned like the rest"
    )
    assert {"arm64", "wasm-simd"} <= set(predicted.cpus)


def test_hard_swish_is_one_operator() -> None:
    from zoo_builders import tf
    from zoo_builders.converting import tensorflow_converter
    from zoo_builders.keras_models.render import render

    full = NETWORKS.get("mobilenet_v3")(minimalistic=False)
    net = Net("swish", (8, 8, 3))
    entered = net.conv(4, name="conv")
    for node in full.nodes[full.nodes.index(full.node("Conv_shift")) :][:3]:
        (
            net.rescale(**node.config, name=node.name)
            if node.op == "Rescaling"
            else net.relu(**node.config, name=node.name)
        )
    net.multiply(entered, net.last, name="swish")
    tf.deterministic(0)
    file = tensorflow_converter.to_tflite(render(net.graph()))
    assert operators(file) == {"CONV_2D": 1, "HARD_SWISH": 1}
