"""Predicted sizes against files that the converter makes, with weights as training leaves them.

No two alike.
"""

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.preflight import size_forecast

pytestmark = pytest.mark.train


def _residual() -> Graph:
    net = Net("residual", (16, 16, 3))
    net.conv(32, 3, 1, padding="same", bias=False)
    net.batch_norm()
    entered = net.relu()
    for _ in range(2):
        net.conv(32, 3, 1, padding="same", bias=False, after=entered)
        inner = net.batch_norm()
        net.add(inner, entered)
        entered = net.relu()
    net.global_pool(keepdims=False)
    net.dense(10)
    return net.graph()


def _perceptron() -> Graph:
    net = Net("perceptron", (8, 8, 3))
    net.flatten()
    net.dense(96, activation="relu")
    net.dense(10)
    return net.graph()


NETS: dict[str, Callable[[], Graph]] = {
    "tiny": NETWORKS.get("cifar10_cnn"),
    "separable": NETWORKS.get("digits_cnn"),
    "residual": _residual,
    "perceptron": _perceptron,
}


def _model(graph: Graph, zeros: float) -> Any:
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render

    tf.deterministic(0)
    model, random = render(graph), np.random.default_rng(0)
    model.set_weights([_weight(weight, zeros, random) for weight in model.get_weights()])
    return model


def _weight(weight: Any, zeros: float, random: np.random.Generator) -> Any:
    if weight.ndim == 1:
        return random.uniform(0.5, 1.5, weight.shape)
    flat = weight.reshape(-1).copy()
    flat[np.argsort(np.abs(flat))[: int(flat.size * zeros)]] = 0
    return flat.reshape(weight.shape)


def _silent(*_: Any) -> None:
    """Tell nobody of progress."""


@pytest.mark.parametrize(
    ("name", "stored", "zeros"),
    [
        ("tiny", "float32", 0.0),
        ("tiny", "int8", 0.0),
        ("separable", "float32", 0.75),
        ("separable", "float16", 0.5),
        ("residual", "float32", 0.0),
        ("residual", "float16", 0.0),
        ("residual", "int16x8", 0.0),
        ("residual", "int8", 0.5),
        ("perceptron", "float32", 0.9),
        ("perceptron", "int8", 0.0),
    ],
)
def test_the_sizes_are_right_within_the_error_they_state(
    name: str, stored: Any, zeros: float
) -> None:
    from zoo_builders.converting.calibrated import calibrated
    from zoo_builders.converting.encodings import encoded
    from zoo_builders.converting.float_model import Examples, of_keras
    from zoo_builders.converting.quantized_file import quantized
    from zoo_builders.techniques.quantize.params import Params

    graph = NETS[name]()
    kernels = [
        node.name
        for node in graph.nodes
        if any(weight.endswith("kernel") for weight in node.weights)
    ]
    expected = size_forecast.size(
        graph, size_forecast.Contents(stored, dict.fromkeys(kernels, zeros) if zeros else {})
    )
    samples = np.random.default_rng(1).normal(size=(8, *graph.input_shape)).astype(np.float32)
    quantize = None if stored == "float32" else Params(dtype=stored, report=False)
    model = of_keras(_model(graph, zeros), quantize, Examples(samples))
    made = encoded(quantized(calibrated(model, _silent), _silent), "auto", _silent)
    kept = made.sparse if made.choose("auto")[0] == "sparse" and made.sparse else made.dense
    assert expected.raw == pytest.approx(len(kept), rel=expected.raw_error)
    assert expected.gzip == pytest.approx(
        len(gzip.compress(kept, 9, mtime=0)), rel=expected.gzip_error
    )
    assert expected.encoding == made.choose("auto")[0]
