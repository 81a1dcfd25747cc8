"""Keras layers that Keras has none of, for front ends (`front_end`).

What their graphs call `Magnitude` and `Logarithm`.
"""

from functools import cache
from typing import Any

from zoo_builders import tf


@cache
def classes() -> dict[str, Any]:
    """Give the classes by the op that a graph names them by.

    The first call makes them known to Keras, so that models load.
    """
    tensorflow = tf.tensorflow
    known = tf.keras.saving.register_keras_serializable(package="edgezoo")

    @known
    class Magnitude(tf.keras.layers.Layer):  # type: ignore[misc]  # Keras is Any
        """sqrt(x² + y²) of two tensors of one shape."""

        def call(self, inputs: Any) -> Any:
            real, imaginary = inputs
            return tensorflow.sqrt(tensorflow.square(real) + tensorflow.square(imaginary))

    @known
    class Logarithm(tf.keras.layers.Layer):  # type: ignore[misc]  # Keras is Any
        """The natural logarithm."""

        def call(self, inputs: Any) -> Any:
            return tensorflow.math.log(inputs)

    return {"Magnitude": Magnitude, "Logarithm": Logarithm}
