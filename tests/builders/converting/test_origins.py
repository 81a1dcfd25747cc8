"""Which layer a weight tensor came from: told by values, whatever the converter called it."""

from typing import Any

import numpy as np
import pytest

from zoo_builders.converting.origins import origins
from zoo_builders.keras_models.weights import Kernel, kernels_of_model
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.tflite_file import Operator, Tensor
from zoo_builders.tflite.weight_tensors import Weight, find

RANDOM = np.random.default_rng(0)


def stored(values: Any, code: str = "FULLY_CONNECTED", **quantized: Any) -> Weight:
    """A weight tensor of a file with these values, as an operator stores them."""
    tensor = Tensor(
        0, "StatefulPartitionedCall:01", values.shape, str(values.dtype), b"", **quantized
    )
    return Weight(tensor, Operator(0, code, (), (), {}), values)


def rounded(values: Any, steps: int) -> Any:
    """Quantize [out, …] symmetrically to `steps` steps for each output channel."""
    flat = np.abs(values.reshape(len(values), -1)).max(axis=1)
    scale = flat.reshape(-1, *[1] * (values.ndim - 1)) / steps
    return np.round(values / scale).astype(np.int8)


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


A, B = normal(12, 6), normal(12, 6)


@pytest.mark.parametrize("steps", [127, 7])
def test_rounding_and_folding_hide_no_kernel(steps: int) -> None:
    folded = A.T * RANDOM.uniform(-2, 2, (6, 1))
    found = origins(
        [Kernel("a", A), Kernel("b", B)],
        [stored(rounded(B.T, steps)), stored(rounded(folded, steps))],
    )
    assert found == (("b",), ("a",))


def test_zero_points_are_no_weights() -> None:
    shifted = (rounded(A.T, 100).astype(np.int16) + 128).astype(np.uint8)
    weight = stored(shifted, scales=(0.1,), zero_points=(128,))
    assert origins([Kernel("b", B), Kernel("a", A)], [weight]) == (("a",),)


@pytest.mark.parametrize(
    ("kernel", "values", "code"),
    [
        (Kernel("conv", normal(3, 3, 4, 5)), (3, 0, 1, 2), "CONV_2D"),
        (Kernel("conv1d", normal(3, 4, 5)), (2, 0, 1), "CONV_2D"),
        (Kernel("transposed", normal(3, 3, 5, 4)), (2, 0, 1, 3), "TRANSPOSE_CONV"),
        (Kernel("embedding", normal(9, 4)), (0, 1), "EMBEDDING_LOOKUP"),
        (Kernel("heads", normal(8, 2, 4)), (1, 2, 0), "FULLY_CONNECTED"),
        (Kernel("joined", normal(2, 4, 8)), (2, 0, 1), "FULLY_CONNECTED"),
    ],
    ids=lambda value: getattr(value, "layer", None),
)
def test_every_kind_of_layer_is_known_in_the_order_of_its_file(
    kernel: Kernel, values: tuple[int, ...], code: str
) -> None:
    order = np.transpose(kernel.values, values)
    if code == "FULLY_CONNECTED":
        order = order.reshape(8, 8)
    other = Kernel("other", normal(*kernel.values.shape))
    assert origins([other, kernel], [stored(order, code)]) == ((kernel.layer,),)


def test_a_depthwise_kernel_multiplies_its_channels() -> None:
    kernel = normal(3, 3, 4, 2)
    file = kernel.reshape(1, 3, 3, 8)
    found = origins([Kernel("dw", kernel, depthwise=True)], [stored(file, "DEPTHWISE_CONV_2D")])
    assert found == (("dw",),)


def test_equal_kernels_are_told_apart_by_their_order_and_may_share_a_tensor() -> None:
    twice = [Kernel("first", A), Kernel("second", A.copy())]
    assert origins(twice, [stored(A.T), stored(A.T.copy())]) == (("first",), ("second",))
    assert origins(twice, [stored(A.T)]) == (("first", "second"),)


def test_a_channel_of_zeros_is_alike_to_zeros_only() -> None:
    pruned = A.copy()
    pruned[:, :3] = 0
    assert origins([Kernel("pruned", pruned)], [stored(pruned.T)]) == (("pruned",),)
    assert origins([Kernel("dense", A)], [stored(pruned.T)]) == ((),)
    assert origins([Kernel("zeros", np.zeros((12, 6)))], [stored(A.T)]) == ((),)


def test_what_fits_nothing_is_nobodys() -> None:
    assert origins([Kernel("a", A)], [stored(B.T), stored(normal(6, 11))]) == ((), ())
    assert origins([], [stored(A.T)]) == ((),)
    assert origins([Kernel("a", A)], []) == ()


@pytest.fixture(scope="module")
def model() -> Any:
    """Layers of many kinds that the zoo's graph does not describe."""
    from zoo_builders import tf

    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    inner = tf.keras.Sequential([layers.Dense(12, name="narrow")], name="block")
    image = tf.keras.Input((8, 8, 1))
    seen = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(image))
    seen = layers.Conv2DTranspose(2, 3, name="up")(layers.DepthwiseConv2D(3, name="dw")(seen))
    rows = layers.Conv1D(16, 3, name="conv1d")(
        layers.Reshape((6, 12), name="rows")(inner(seen[:, :, :1])[:, :, 0])
    )
    rows = layers.MultiHeadAttention(2, 8, name="attention")(rows, rows)
    flat = layers.Flatten(name="flat")(rows)
    twin = layers.Dense(
        5, name="left", kernel_initializer=tf.keras.initializers.RandomNormal(seed=3)
    )
    right = layers.Dense(
        5, name="right", kernel_initializer=tf.keras.initializers.RandomNormal(seed=3)
    )
    both = layers.Concatenate(name="both")([twin(flat), right(flat)])
    return tf.keras.Model(image, layers.Dense(10, name="head")(both))


@pytest.mark.train
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_layers_are_found_in_a_converted_file(model: Any, dtype: str) -> None:
    from zoo_builders.tf import tensorflow as tf

    fixed = tf.function(model).get_concrete_function(tf.TensorSpec((1, 8, 8, 1), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([fixed], model)
    if dtype == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([normal(1, 8, 8, 1)] for _ in range(8))
    file = read(converter.convert())
    weights = list(find(file.main))
    found = origins(kernels_of_model(model), weights)
    names = [name for layers in found for name in layers]
    inner = ["attention/query", "attention/key", "attention/value", "attention/attention_output"]
    assert sorted(set(names)) == sorted(
        ["conv", "dw", "up", "block/narrow", "conv1d", *inner, "left", "right", "head"]
    )
    assert names.count("head") == 1
