"""Rounding a whole network.

Fewer errors in the file that the converter makes of it, on images it never saw.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.converting import rounding_layers, tensorflow_converter
from zoo_builders.converting.rounding import step_of
from zoo_builders.keras_models.files import load
from zoo_builders.keras_models.render import graph_of
from zoo_builders.keras_models.weights import render_with, weights_of
from zoo_builders.networks.fold import KERNELS, fold
from zoo_builders.techniques.quantize.params import Params
from zoo_builders.tflite.litert import Session

pytestmark = pytest.mark.train
EIGHT = Params(dtype="int8")


@pytest.fixture(scope="module")
def images() -> Any:
    from sklearn.datasets import load_digits

    return (load_digits().images[..., None] / 16).astype(np.float32)


@pytest.fixture(scope="module")
def base(digits_base: Path) -> Any:
    return load(digits_base / "model.keras")


@pytest.fixture(scope="module")
def rounded(base: Any, images: Any) -> Any:
    return rounding_layers.rounded(base, images[:64])


def test_every_kernel_stands_on_its_grid_and_the_rest_of_the_network_is_as_it_was(
    base: Any, rounded: Any
) -> None:
    graph = graph_of(base)
    folded, weights = fold(graph, weights_of(base, graph))
    after = weights_of(rounded, folded)
    assert set(after) == set(weights)
    for node in folded.nodes:
        name = KERNELS.get(node.op)
        if name is None:
            continue
        kernel, was = after[node.name][name], weights[node.name][name]
        columns = (
            (-1, kernel.shape[2] * kernel.shape[3])
            if node.op == "DepthwiseConv2D"
            else (-1, kernel.shape[-1])
        )
        step = step_of(was.reshape(columns))
        levels = kernel.reshape(columns) / step
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
        assert not np.array_equal(kernel, was)


def test_the_files_weights_are_the_ones_that_were_chosen(rounded: Any, images: Any) -> None:
    """Made twice: from the chosen weights, and from the same weights a hair off the grid.

    Which the converter rounds back onto it.
    """
    file = tensorflow_converter.to_tflite(rounded, EIGHT, images[:64])
    graph = graph_of(rounded)
    off = {
        name: {key: value * (1 + 1e-4) for key, value in own.items()}
        for name, own in weights_of(rounded, graph).items()
    }
    again = tensorflow_converter.to_tflite(render_with(graph, off), EIGHT, images[:64])
    assert integers(file) == integers(again)


def integers(file: bytes) -> list[bytes]:
    from zoo_builders.tflite.flatbuffer import read

    return sorted(
        tensor.data
        for tensor in read(file).main.tensors
        if tensor.constant and tensor.dtype == "int8"
    )


def test_it_loses_less_than_rounding_each_weight_by_itself(
    base: Any, rounded: Any, images: Any
) -> None:
    unseen = images[1000:1200]
    expected = base.predict(unseen, verbose=0)

    def lost(model: Any) -> float:
        session = Session(tensorflow_converter.to_tflite(model, EIGHT, images[:64]))
        port, out = session.inputs[0], session.outputs[0]
        found = np.concatenate(
            [out.real(session.run([port.store(image[None])])[0]) for image in unseen]
        )
        return float(((found - expected) ** 2).mean())

    assert lost(rounded) < lost(base)
