"""How each Keras layer is read: config and input shapes become a node's config, shape, weights.

Both of a file's layers (`keras_config`) and of those that code writes (`Net`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo_builders.networks.graph import Shape, pair, slid
from zoo_registry.model.errors import Unsupported

Config = Mapping[str, Any]

Reading = tuple[dict[str, Any], Shape, dict[str, Shape]]
"""What one layer's configuration says.

These are the constructor arguments that differ from Keras' defaults, output and weight shapes.
"""

OWN = "edgezoo>"
"""What Keras writes before the name of a class of ours (`sound_layers`)."""


def _differing(config: Config, **defaults: Any) -> dict[str, Any]:
    return {
        key: config[key] for key, default in defaults.items() if config.get(key, default) != default
    }


def square(value: Any) -> Any:
    """Write (3, 3) as 3 and leave (3, 1) as it is."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        pair = tuple(square(item) for item in value)
        return pair[0] if len(set(pair)) == 1 else pair
    return value


def _activation(config: Config) -> str | None:
    name = config.get("activation")
    if isinstance(name, Mapping):  # Keras writes registered functions as objects
        name = name.get("config", name.get("class_name"))
    return None if name == "linear" else name


def _input(config: Config, _: Sequence[Shape]) -> Reading:
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if not shape or any(size is None for size in shape[1:]):
        raise Unsupported(
            f"input shape {shape}: only the batch may be open",
            hint="export the model with a fixed input size",
        )
    return {}, tuple(int(size) for size in shape[1:]), {}


def _window(config: Config) -> tuple[dict[str, Any], Any]:
    """Read what both kinds of convolution say of their window: what is kept, and the dilation."""
    dilation = square(config.get("dilation_rate", 1))
    kept = {key: square(config[key]) for key in ("kernel_size", "strides")}
    kept |= {"padding": config["padding"], "use_bias": config["use_bias"]}
    return kept | ({} if dilation == 1 else {"dilation_rate": dilation}), dilation


def _slid(config: Config, given: Shape, dilation: Any) -> tuple[int, int]:
    return slid(given, config["kernel_size"], config["strides"], config["padding"], dilation)


def _conv(config: Config, inputs: Sequence[Shape]) -> Reading:
    (kept, dilation), filters = _window(config), config["filters"]
    kept |= {"filters": filters, "activation": _activation(config)} | _differing(config, groups=1)
    depth, groups = inputs[0][-1], config.get("groups", 1)
    if groups > 1:  # of code's arguments a size can be text, which `lookup.graph` refuses in words
        depth //= groups
    weights = _biased(config, kernel=(*pair(kept["kernel_size"]), depth, filters), bias=(filters,))
    return kept, (*_slid(kept, inputs[0], dilation), filters), weights


def _depthwise(config: Config, inputs: Sequence[Shape]) -> Reading:
    (kept, dilation), channels = _window(config), inputs[0][-1]
    multiplier = config.get("depth_multiplier", 1)
    kept |= _differing(config, depth_multiplier=1)
    kept |= {"activation": _activation(config)} if _activation(config) else {}
    kernel, made = (*pair(kept["kernel_size"]), channels, multiplier), channels * multiplier
    weights = _biased(config, depthwise_kernel=kernel, bias=(made,))
    return kept, (*_slid(kept, inputs[0], dilation), made), weights


def _biased(config: Config, **weights: Shape) -> dict[str, Shape]:
    return {
        name: shape
        for name, shape in weights.items()
        if name != "bias" or config.get("use_bias", True)
    }


def _dense(config: Config, inputs: Sequence[Shape]) -> Reading:
    units = config["units"]
    weights = _biased(config, kernel=(inputs[0][-1], units), bias=(units,))
    kept = {"units": units, "activation": _activation(config)} | _differing(config, use_bias=True)
    return kept, (*inputs[0][:-1], units), weights


def _batch_norm(config: Config, inputs: Sequence[Shape]) -> Reading:
    axis = config.get("axis", -1)
    axes = list(axis) if isinstance(axis, Sequence) else [axis]
    if axes not in ([-1], [len(inputs[0])]):
        raise Unsupported(
            f"batch normalisation over axis {axis}",
            hint="normalise over the channels, the last axis",
        )
    parts = {"gamma": "scale", "beta": "center"}
    names = [name for name, asked in parts.items() if config.get(asked, True)]
    weights: dict[str, Shape] = dict.fromkeys(
        (*names, "moving_mean", "moving_variance"), (inputs[0][-1],)
    )
    return (
        _differing(config, momentum=0.99, epsilon=0.001, center=True, scale=True),
        inputs[0],
        weights,
    )


def _sides(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Spell padding or cropping, one number or two sides, as ((top, bottom), (left, right))."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return pair(rows), pair(columns)


def _zero_pad(config: Config, inputs: Sequence[Shape]) -> Reading:
    rows, columns = _sides(config["padding"])
    height, width, channels = inputs[0]
    even = len({*rows, *columns}) == 1
    return (
        {"padding": rows[0] if even else (rows, columns)},
        (height + sum(rows), width + sum(columns), channels),
        {},
    )


def _crop(config: Config, inputs: Sequence[Shape]) -> Reading:
    rows, columns = _sides(config["cropping"])
    height, width, channels = inputs[0]
    return {"cropping": (rows, columns)}, (height - sum(rows), width - sum(columns), channels), {}


def _pool(config: Config, inputs: Sequence[Shape]) -> Reading:
    size, strides = (
        square(config["pool_size"]),
        square(config.get("strides") or config["pool_size"]),
    )
    padding = config.get("padding", "valid")
    kept = (
        {"pool_size": size}
        | ({} if strides == size else {"strides": strides})
        | _differing(config, padding="valid")
    )
    return kept, (*slid(inputs[0], size, strides, padding), inputs[0][-1]), {}


def _global_pool(config: Config, inputs: Sequence[Shape]) -> Reading:
    keepdims = bool(config.get("keepdims", False))
    return {"keepdims": keepdims}, (1, 1, inputs[0][-1]) if keepdims else (inputs[0][-1],), {}


def _flatten(config: Config, inputs: Sequence[Shape]) -> Reading:
    del config
    return {}, (math.prod(inputs[0]),), {}


def _reshape(config: Config, inputs: Sequence[Shape]) -> Reading:
    target = [int(size) for size in config["target_shape"]]
    if -1 in target:
        target[target.index(-1)] = math.prod(inputs[0]) // -math.prod(target)
    return {"target_shape": tuple(target)}, tuple(target), {}


def _concatenate(config: Config, inputs: Sequence[Shape]) -> Reading:
    if config.get("axis", -1) not in (-1, len(inputs[0])):
        raise Unsupported(
            f"concatenation over axis {config['axis']}", hint="concatenate channels, the last axis"
        )
    return {}, (*inputs[0][:-1], sum(shape[-1] for shape in inputs)), {}


def _spread(config: Config, inputs: Sequence[Shape]) -> Reading:
    """Read an element-wise layer: a side of size 1 is spread over the other's."""
    del config
    return {}, tuple(max(sizes) for sizes in zip(*inputs, strict=True)), {}


def _upsample(config: Config, inputs: Sequence[Shape]) -> Reading:
    rows, columns = pair(config["size"])
    height, width, channels = inputs[0]
    kept = {"size": square(config["size"])} | _differing(config, interpolation="nearest")
    return kept, (height * rows, width * columns, channels), {}


def _same_shape(**defaults: Any) -> Callable[[Config, Sequence[Shape]], Reading]:
    return lambda config, inputs: (_differing(config, **defaults), inputs[0], {})


def _act(config: Config, inputs: Sequence[Shape]) -> Reading:
    return {"activation": _activation(config) or "linear"}, inputs[0], {}


READERS: dict[str, Callable[[Config, Sequence[Shape]], Reading]] = {
    "Activation": _act,
    "Add": _spread,
    "AveragePooling2D": _pool,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Cropping2D": _crop,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _same_shape(rate=None),
    "ELU": _same_shape(alpha=1.0),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool,
    "InputLayer": _input,
    "LeakyReLU": _same_shape(alpha=0.3),
    "MaxPooling2D": _pool,
    "Multiply": _spread,
    "ReLU": _same_shape(max_value=None, negative_slope=0.0, threshold=0.0),
    "Rescaling": _same_shape(scale=None, offset=0.0),
    "Reshape": _reshape,
    "Softmax": _same_shape(axis=-1),
    "UpSampling2D": _upsample,
    "ZeroPadding2D": _zero_pad,
    f"{OWN}Logarithm": _same_shape(),
    f"{OWN}Magnitude": _spread,
}
