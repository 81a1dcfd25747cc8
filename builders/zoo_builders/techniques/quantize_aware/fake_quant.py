"""Fake quantization on a Keras model.

Put on, ranges measured, zeros and shared weights held, brought to rest.

Built on TFMOT's `quantize_apply` with its 8-bit scheme (Jacob et al. 2018, arXiv:1712.05877), of
which these things are mended here:

- A convolution or Dense right before a ReLU, as folded networks have them, is left without any
  weight quantization (its transform `LayerReLUQuantize` was written for Add), and whatever config
  was given for it is dropped: `wrap` puts it back.
- Activation ranges start at [-6, 6] and move by a thousandth a step, so a short fine-tuning never
  reaches them: `observe` measures them.
- Its schemes for PQAT, CQAT and PCQAT share one quantizer among all layers of a kind, which stops
  keeping zeros at the first kernel without one, gives up on more than 1,024 values, zeroes the
  smallest value of channels that had no zero, and forgets kernels that feed a concatenation. `hold`
  puts a quantizer of its own around each kernel instead, which knows that kernel's zeros and equal
  weights.
- Depthwise kernels get one scale as a whole (its per-channel quantizer counts the last axis, which
  of theirs is the multiplier), far too coarse once batch normalisation is folded into them: each
  channel gets its own here, as the converter gives it.
- Weight ranges are those of the last step but one: `settle` takes them from the weights that are
  stored.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models import fake_quant_models
from zoo_builders.techniques.projection import projection
from zoo_registry.model.errors import BuildFailed

_EMPTY = 1e-6
"""A range narrower than this tells nothing: the activation was never anything but zero.

TFMOT's own start is better then.
"""

_START = 6.0

_KERNELS = {
    "Conv2D": ("kernel", True),
    "DepthwiseConv2D": ("depthwise_kernel", True),
    "Dense": ("kernel", False),
}
"""Class → its kernel, and whether TFMOT quantizes it for each output channel."""

_DEPTHWISE = "DepthwiseConv2D"


def wrap(model: Any, layers: Collection[str], configs: Mapping[str, Any]) -> Any:
    """Give `model` with fake quantization on `layers`, which keep their names.

    `configs` are quantize configs other than TFMOT's own.

    Takes the layers of `model` over: give it a copy.
    """
    kinds = tf.tfmot.quantization.keras

    def annotated(layer: Any) -> Any:
        return (
            kinds.quantize_annotate_layer(layer, configs.get(layer.name))
            if layer.name in layers
            else layer
        )

    def mended(layer: Any) -> Any:
        config = _lost_config(layer, configs)
        return layer if config is None else type(layer)(layer.layer, config, name_prefix="")

    clone = tf.keras.models.clone_model
    with kinds.quantize_scope():
        quantized = clone(
            kinds.quantize_apply(
                clone(model, clone_function=annotated), quantized_layer_name_prefix=""
            ),
            clone_function=mended,
        )
    for layer in _wrappers(quantized):
        if type(layer.layer).__name__ == _DEPTHWISE and layer.name not in configs:
            layer._weight_vars = [  # noqa: SLF001
                (kernel, _by_channel, None)
                for kernel, _, _ in layer._weight_vars  # noqa: SLF001
            ]
    return quantized


def _lost_config(layer: Any, configs: Mapping[str, Any]) -> Any:
    """Give the quantize config that TFMOT dropped of a kernel before a ReLU.

    None where it dropped none.
    """
    if not fake_quant_models.is_wrapper(layer) or not isinstance(
        layer.quantize_config, tf.quantize_configs.NoOpQuantizeConfig
    ):
        return None
    if layer.name in configs:
        return configs[layer.name]
    kernel, per_channel = _KERNELS.get(type(layer.layer).__name__, ("", False))
    kind = (
        tf.quantize_registry.Default8BitConvQuantizeConfig
        if per_channel
        else tf.quantize_registry.Default8BitQuantizeConfig
    )
    return kind([kernel], [], quantize_output=False) if kernel else None


def settle(model: Any) -> None:
    """Set the range of every quantized weight to that of its values."""
    for layer in _wrappers(model):
        # TFMOT offers no other way to them
        for weight, quantizer, variables in layer._weight_vars:  # noqa: SLF001
            if variables is not None:
                quantizer(weight, True, weights=variables)


def observe(model: Any, batches: Iterable[Any]) -> None:
    """Set the range of every activation to what it is on these inputs, weights already quantized.

    Zero is always within.
    """
    ranges = list(_moving(model))
    for spot in ranges:
        spot.assign(0.0, 0.0)
        spot.put(_observing)
    for inputs in batches:
        model(inputs, training=False)
    for spot in ranges:
        spot.put(spot.quantizer)
        if spot.width < _EMPTY:
            spot.assign(-_START, _START)


def hold(model: Any, name: str, *, zeros: Any = None, groups: Any = None) -> None:
    """Keep the kernel of a layer as sparse, and its weights as equal, as they are.

    All that is remembered follows from the arguments, nothing from the training: a killed training
    is resumed by the same call.

    Args:
        model: from `wrap`.
        name: of a layer with one quantized weight.
        zeros: which weights are zero (bool, shape of the kernel); None: none need be.
        groups: for each weight the number of its group (int, shape of the kernel); a group is
            trained as one. None: each its own.

    Raises:
        BuildFailed: the layer's weights are not quantized (a quantize config of the user's leaves
            them out).
    """
    layer = model.get_layer(name)
    if not layer._weight_vars:  # noqa: SLF001
        raise BuildFailed(
            f"layer {name}: its kernel carries no fake quantization, so nothing keeps what earlier"
            " steps made of it",
            hint=(
                f"skip: [{{name: {name}}}] leaves the layer float; or give it a quantize config"
                " with weights"
            ),
        )
    project = projection(zeros, groups)
    layer._weight_vars = [  # noqa: SLF001
        (weight, _Holding(quantizer, project), ranges)
        for weight, quantizer, ranges in layer._weight_vars  # noqa: SLF001
    ]


def finish(model: Any) -> None:
    """End the training: store kernels as they were trained.

    Take off what only this module knows, so that TFMOT alone loads the model.
    """
    for layer in _wrappers(model):
        for weight, quantizer, _ in layer._weight_vars:  # noqa: SLF001
            if isinstance(quantizer, _Holding):
                weight.assign(quantizer.project(weight))
            elif quantizer is _by_channel:
                weight.assign(quantizer(weight))
                _store_quantized(layer, weight)
        layer._weight_vars = [  # noqa: SLF001
            (w, getattr(quantizer, "inner", quantizer), ranges)
            for w, quantizer, ranges in layer._weight_vars  # noqa: SLF001
        ]
    settle(model)


def _store_quantized(layer: Any, kernel: Any) -> None:
    """Let a wrapper leave its depthwise kernel alone, whose values are on the grid of int8.

    The converter finds the same scales.
    """
    name = _KERNELS[_DEPTHWISE][0]
    setattr(layer.layer, name, kernel)  # in whose place the last call left a tensor
    layer.quantize_config.weight_attrs = []
    layer._weight_vars = []  # noqa: SLF001
    ranges = (f"/{name}_min:0", f"/{name}_max:0")
    layer._non_trainable_weights = [  # noqa: SLF001
        one
        for one in layer._non_trainable_weights  # noqa: SLF001
        if not one.name.endswith(ranges)
    ]


def _by_channel(kernel: Any, training: Any = None, weights: Any = None, **_: Any) -> Any:
    """Quantize a depthwise kernel with a scale for each output channel: that of its values.

    The kernel is [height, width, channels, multiplier].
    """
    del training, weights
    tensorflow = tf.tensorflow
    columns = tensorflow.reshape(kernel, (-1, kernel.shape[2] * kernel.shape[3]))
    top = tensorflow.stop_gradient(tensorflow.reduce_max(tensorflow.abs(columns), axis=0))
    quantized = tensorflow.quantization.fake_quant_with_min_max_vars_per_channel(
        columns, -top, top, num_bits=8, narrow_range=True
    )
    return tensorflow.reshape(quantized, kernel.shape)


@dataclass(frozen=True, slots=True)
class _Holding:
    """A TFMOT quantizer that is given a kernel with its zeros and equal weights put back."""

    inner: Any
    project: Callable[[Any], Any]

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        return self.inner(self.project(inputs), training, weights=weights, **kwargs)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in a model where an activation is quantized.

    Its quantizer, its range, how to put another quantizer there.
    """

    quantizer: Any
    ranges: Mapping[str, Any]
    put: Callable[[Any], None]

    def assign(self, low: float, high: float) -> None:
        self.ranges["min_var"].assign(low)
        self.ranges["max_var"].assign(high)

    @property
    def width(self) -> float:
        return float(self.ranges["max_var"] - self.ranges["min_var"])


def _moving(model: Any) -> Iterator[_Spot]:
    """List the activations whose range is a moving average, and the input.

    The range of the input only grows.
    """
    moving = tf.tfmot.quantization.keras.quantizers.MovingAverageQuantizer
    for layer in model.layers:
        if getattr(layer, "quantizer_vars", None):
            yield _Spot(layer.quantizer, layer.quantizer_vars, _inside_of(layer))
    for layer in _wrappers(model):
        for activation in layer._quantize_activations:  # noqa: SLF001
            for ranges in (
                getattr(activation, name, None)
                for name in ("_pre_activation_vars", "_post_activation_vars")
            ):
                if ranges and isinstance(activation.quantizer, moving):
                    yield _Spot(activation.quantizer, ranges, _inside_of(activation))
        if layer._output_quantizers and isinstance(layer._output_quantizers[0], moving):  # noqa: SLF001
            yield _Spot(
                layer._output_quantizers[0],  # noqa: SLF001
                layer._output_quantizer_vars,  # noqa: SLF001
                _output_of(layer),
            )


def _inside_of(activation: Any) -> Callable[[Any], None]:
    return lambda new: setattr(activation, "quantizer", new)


def _output_of(layer: Any) -> Callable[[Any], None]:
    return lambda new: setattr(layer, "_output_quantizers", [new])


def _observing(inputs: Any, training: Any, weights: Mapping[str, Any], **_: Any) -> Any:
    """Stand in for a quantizer: widen the range to what comes by, and let it pass."""
    del training
    low, high = weights["min_var"], weights["max_var"]
    low.assign(tf.tensorflow.minimum(low, tf.tensorflow.reduce_min(inputs)))
    high.assign(tf.tensorflow.maximum(high, tf.tensorflow.reduce_max(inputs)))
    return inputs


def _wrappers(model: Any) -> Iterator[Any]:
    return (layer for layer in model.layers if fake_quant_models.is_wrapper(layer))
