"""What a technique may leave on a model."""

import pytest

from zoo_registry.model.errors import BuildFailed

pytestmark = pytest.mark.train


def test_wrappers_of_keras_are_layers_and_those_of_tfmot_are_left_overs() -> None:
    from zoo_builders import tf
    from zoo_builders.stages.technique import refuse_wrappers

    layers = tf.keras.layers
    rows = tf.keras.Input((4, 3))
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(rows)
    each = layers.TimeDistributed(layers.Dense(2))(both)
    model = tf.keras.Model(rows, layers.Dense(2, name="head")(layers.Flatten()(each)))
    refuse_wrappers(model, "prune")
    sequence = tf.keras.Sequential([layers.Dense(2, input_shape=(3,), name="head")])
    wrapped = tf.tfmot.sparsity.keras.prune_low_magnitude(sequence)
    with pytest.raises(BuildFailed, match="left its wrappers on prune_low_magnitude_head"):
        refuse_wrappers(wrapped, "prune")
