"""Ranges of networks with state: each example by itself, loops unrolled, no signals."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from zoo_builders.converting import calibration
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_registry.model.errors import BuildFailed, Unsupported

SHAPE = (6, 3)


def test_loops_are_told_apart_from_what_cannot_be_mended() -> None:
    calibration.refuse({"CONV_2D", "SQUARED_DIFFERENCE"}, sixteen_bits=False)
    with pytest.raises(calibration.Loops, match="WHILE: the converter's"):
        calibration.refuse({"WHILE"}, sixteen_bits=False)
    with pytest.raises(BuildFailed, match="cannot reset them") as kept:
        calibration.refuse({"VAR_HANDLE"}, sixteen_bits=False)
    assert not isinstance(kept.value, calibration.Loops)
    with pytest.raises(BuildFailed, match="no int16 kernel for SQUARED_DIFFERENCE"):
        calibration.refuse({"SQUARED_DIFFERENCE"}, sixteen_bits=True)


def network(*layers: Any, shape: Any = SHAPE) -> Any:
    from zoo_builders import tf

    tf.deterministic(1)
    first = last = tf.keras.Input(shape)
    for layer in layers:
        last = layer(last)
    return tf.keras.Model(first, tf.keras.layers.Dense(4)(last), name="net")


def converted(model: Any, dtype: str, inputs: Any) -> bytes:
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.techniques.quantize.params import Params

    return to_tflite(model, Params.model_validate({"dtype": dtype}), inputs)


@pytest.fixture(scope="module")
def inputs() -> Any:
    return np.random.default_rng(0).normal(size=(12, *SHAPE)).astype(np.float32)


@pytest.mark.train
def test_ranges_of_a_recurrent_layer_do_not_depend_on_the_order_of_examples(inputs: Any) -> None:
    from zoo_builders import tf

    model = network(tf.keras.layers.LSTM(4))
    one, other = (read(converted(model, "int8", some)).main for some in (inputs, inputs[::-1]))
    assert [tensor.scales for tensor in one.tensors] == [tensor.scales for tensor in other.tensors]


@pytest.mark.train
@pytest.mark.parametrize("dtype", ["int8", "int16x8"])
def test_a_network_with_loops_is_unrolled_to_be_quantized(inputs: Any, dtype: str) -> None:
    from zoo_builders import tf

    both = tf.keras.layers.Bidirectional(tf.keras.layers.GRU(3))
    model = network(tf.keras.layers.SimpleRNN(4, return_sequences=True), both)
    data = converted(model, dtype, inputs)
    codes = Counter(one.code for graph in read(data).subgraphs for one in graph.operators)
    assert "WHILE" not in codes
    assert not read(data).state
    wanted, found = model.predict(inputs, verbose=0), Session(data).infer(inputs)
    assert np.abs(wanted - found).max() < 0.1 * np.ptp(wanted)


@pytest.mark.train
def test_layer_normalization_in_int16_is_refused_before_the_runtime_dies(inputs: Any) -> None:
    from zoo_builders import tf

    model = network(tf.keras.layers.LayerNormalization(), tf.keras.layers.Flatten())
    with pytest.raises(BuildFailed, match=re.escape("ends with signal 6 when it loads")) as caught:
        converted(model, "int16x8", inputs)
    assert "dtype: int8" in caught.value.hint


@pytest.mark.train
def test_steps_without_a_number_cannot_be_unrolled() -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.unrolled import unrolled

    with pytest.raises(Unsupported, match="cannot be unrolled"):
        unrolled(network(tf.keras.layers.GRU(3), shape=(None, 3)))
