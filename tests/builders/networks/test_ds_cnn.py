"""DS-CNN in its three sizes: what the paper and its published code say of them."""

import math
from typing import Any, Literal

import pytest

from zoo_builders.networks.shipped.ds_cnn import ds_cnn

Size = Literal["small", "medium", "large"]


def multiplications(size: Size) -> int:
    """Count multiplications of one inference as the paper does.

    Every weight of a kernel once for each place it is laid.
    """
    graph = ds_cnn(size=size)
    return sum(
        math.prod(kernel) * math.prod(node.shape[:-1])
        for node in graph.nodes
        for kernel in _kernels(node.weights)
    )


def _kernels(weights: Any) -> list[tuple[int, ...]]:
    return [shape for name, shape in weights.items() if name.endswith("kernel")]


# Table 5 of "Hello Edge" (arXiv:1711.07128): memory in KB of int8 weights (and activations),
# operations = 2 x multiplications.
@pytest.mark.parametrize(
    ("size", "operations"), [("small", 5.4e6), ("medium", 19.8e6), ("large", 56.9e6)]
)
def test_operations_are_those_of_the_paper(size: Size, operations: float) -> None:
    assert 2 * multiplications(size) == pytest.approx(operations, rel=0.03)


@pytest.mark.parametrize(
    ("size", "channels", "blocks"), [("small", 64, 4), ("medium", 172, 4), ("large", 276, 5)]
)
def test_blocks_and_channels_are_those_of_the_published_commands(
    size: Size, channels: int, blocks: int
) -> None:
    graph = ds_cnn(size=size)
    assert graph.node("stem_conv").weights["kernel"] == (10, 4, 1, channels)
    assert sum(node.op == "DepthwiseConv2D" for node in graph.nodes) == blocks
    assert graph.output_shape == (12,)


def test_input_and_classes_are_chosen_and_an_unknown_size_is_refused() -> None:
    graph = ds_cnn(size="small", frames=98, coefficients=40, classes=3, dropout=0.2)
    assert (graph.input_shape, graph.output_shape) == ((98, 40, 1), (3,))
    assert graph.node("dropout").config["rate"] == 0.2
    with pytest.raises(ValueError, match="'huge': expected one of small, medium, large"):
        ds_cnn(size="huge")  # type: ignore[arg-type]  # what a manifest may say
