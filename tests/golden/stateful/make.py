"""Write the files of this folder again: `python tests/golden/stateful/make.py` with TensorFlow.

lstm.tflite      an LSTM whose tensors outlive an inference (`variables`)
counter.tflite   adds its input to a resource variable that CALL_ONCE sets to 3, gives twice that
"""

from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.converting.tensorflow_converter import to_tflite

HERE = Path(__file__).parent


def lstm() -> bytes:
    """Convert an LSTM of drawn weights over eight rows of a digit."""
    keras = tf.keras
    tf.deterministic(1)
    image = keras.Input((8, 8, 1))
    rows = keras.layers.Reshape((8, 8))(image)
    return to_tflite(keras.Model(image, keras.layers.Dense(10)(keras.layers.LSTM(4)(rows))))


def counter() -> bytes:
    """Convert a module with a variable."""
    tensorflow = tf.tensorflow

    class Counter(tensorflow.Module):  # type: ignore[misc]  # TensorFlow's own
        def __init__(self) -> None:
            super().__init__()
            self.total = tensorflow.Variable(np.full((1, 4), 3, np.float32))

        def __call__(self, x: Any) -> Any:
            self.total.assign_add(x)
            return self.total * 2.0

    module = Counter()
    signature = [tensorflow.TensorSpec((1, 4), tensorflow.float32)]
    function = tensorflow.function(module.__call__, input_signature=signature)
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    )
    converter.experimental_enable_resource_variables = True
    return bytes(converter.convert())


if __name__ == "__main__":
    (HERE / "lstm.tflite").write_bytes(lstm())
    (HERE / "counter.tflite").write_bytes(counter())
