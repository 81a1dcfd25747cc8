"""TensorFlow's converter.

A Keras model becomes the bytes of a .tflite file, at once or by way of a calibrated float file.

The second way (calibrate, then quantize what was calibrated) is the one that can leave layers in
float and that can compute every operator twice, quantized and float, for the debugger. It stores
nothing sparse by itself: that is done afterwards.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_builders import tf
from zoo_builders.converting import calibration
from zoo_builders.keras_models import fake_quant_models
from zoo_builders.keras_models.unrolled import unrolled
from zoo_registry.model.errors import BuildFailed, Loops

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize


def to_tflite(
    model: Any, quantize: "Quantize | None" = None, inputs: Any = (), *, sparse: bool = False
) -> bytes:
    """Convert a Keras model at once.

    Args:
        model: a Keras model of one input.
        quantize: how its weights and activations are stored; None = float32.
        inputs: calibration inputs, float32 [N, …]; read where int8 or int16x8 needs ranges.
        sparse: whether zeros are left out of the weights, tensor by tensor where that is shorter.

    Raises:
        BuildFailed: the converter's own words, where it refuses.
    """
    if fake_quant_models.is_wrapped(model):
        converter = _converter(model)
        _trained_ranges(converter, quantize, sparse=sparse)
        return _words(model.name, converter.convert)
    return _measured(model, quantize, lambda it: _configure(it, quantize, inputs, sparse=sparse))


def calibrate(model: Any, quantize: "Quantize", inputs: Any) -> bytes:
    """Give the float file with the range of every tensor in it, which `quantize_calibrated` takes.

    The ranges are those that the tensors take on `inputs`, float32 [N, …].

    Raises:
        BuildFailed: the converter's own words, where it refuses.
    """

    def configure(converter: Any) -> None:
        _configure(converter, quantize, inputs, sparse=False)
        # there is no other way to get the calibrated file
        converter._experimental_calibrate_only = True  # noqa: SLF001

    return _measured(model, quantize, configure)


def quantize_calibrated(
    calibrated: bytes, quantize: "Quantize", *, keep: Sequence[str] = (), debug: bool = False
) -> bytes:
    """Quantize a calibrated file to int8.

    Leaving in float the operators whose results are called `keep`.

    With `debug` every quantized operator is computed in float too, from the same inputs, and a
    `NumericVerify` operator takes both.

    Raises:
        BuildFailed: the converter's own words, where it refuses.
    """
    whole = quantize.interface == "int8" and not debug
    port = tf.tensorflow.int8 if whole else tf.tensorflow.float32
    return _words(
        "the calibrated model",
        lambda: tf.converter.mlir_quantize(
            calibrated,
            disable_per_channel=quantize.granularity == "tensor",
            input_data_type=port,
            output_data_type=port,
            enable_numeric_verify=debug,
            denylisted_nodes=list(keep),
        ),
    )


def sparsify(file: bytes) -> bytes:
    """Leave the zeros out of a finished file's weights, tensor by tensor where that is shorter.

    Raises:
        BuildFailed: the converter's own words, where it refuses.
    """
    return _words("the quantized model", lambda: tf.converter.mlir_sparsify(file))


def _converter(model: Any) -> Any:
    """Give a converter of the model's function for one input.

    The converter saves what it is given to keep the variables alive, function by function where
    that is a Keras model: four times the work for the same bytes, so it is given the variables
    alone.
    """
    tensorflow = tf.tensorflow
    kept = tensorflow.Module()
    kept.of_the_model = list(model.variables)
    signature = [
        tensorflow.TensorSpec((1, *model.input_shape[1:]), tensorflow.float32, name="input")
    ]
    concrete = tensorflow.function(
        lambda image: model(image, training=False), input_signature=signature
    ).get_concrete_function()
    return tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete], kept)


def _measured(model: Any, quantize: "Quantize | None", configure: Callable[[Any], None]) -> bytes:
    """Convert a model; where no ranges can be measured in its loops, convert it without them."""
    try:
        return _once(model, quantize, configure)
    except Loops:
        return _once(unrolled(model), quantize, configure)


def _once(model: Any, quantize: "Quantize | None", configure: Callable[[Any], None]) -> bytes:
    converter = _converter(model)
    configure(converter)
    with calibration.mended(sixteen_bits=quantize is not None and quantize.dtype == "int16x8"):
        return _words(model.name, converter.convert)


def _words(name: str, work: Callable[[], Any]) -> bytes:
    try:
        return bytes(work())
    except (RuntimeError, ValueError, tf.converter.ConverterError) as error:
        hint = "zoo validate MANIFEST   # what each technique says of the network"
        raise BuildFailed(f"the converter refuses {name}: {error}", hint=hint) from error


def _trained_ranges(converter: Any, quantize: "Quantize | None", *, sparse: bool) -> None:
    """Take the ranges that fake quantization learned.

    No calibration data, and what has no range stays float.
    """
    lite = tf.tensorflow.lite
    converter.optimizations = [lite.Optimize.DEFAULT] + (
        [lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
    )
    if quantize is not None and quantize.interface == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.tensorflow.int8


def _configure(converter: Any, quantize: "Quantize | None", inputs: Any, *, sparse: bool) -> None:
    lite = tf.tensorflow.lite
    converter.optimizations = ([lite.Optimize.DEFAULT] if quantize else []) + (
        [lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
    )
    if quantize is None:
        return
    # public nowhere
    converter._experimental_disable_per_channel = quantize.granularity == "tensor"  # noqa: SLF001
    if quantize.dtype == "dynamic":
        return
    if quantize.dtype == "float16":
        converter.target_spec.supported_types = [tf.tensorflow.float16]
        return
    converter.representative_dataset = lambda: _samples(inputs)
    _integer(converter, quantize)


def _integer(converter: Any, quantize: "Quantize") -> None:
    lite = tf.tensorflow.lite
    kinds: Mapping[str, Any] = {
        "int8": lite.OpsSet.TFLITE_BUILTINS_INT8,
        "int16x8": lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }
    fallback = [lite.OpsSet.TFLITE_BUILTINS] if quantize.allow_float_fallback else []
    converter.target_spec.supported_ops = [kinds[quantize.dtype], *fallback]
    if quantize.interface == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.tensorflow.int8


def _samples(inputs: Any) -> Iterator[list[Any]]:
    for sample in inputs:
        yield [np.asarray(sample, np.float32)[None]]
