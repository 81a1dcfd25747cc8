"""Keras configurations as graphs, without importing TensorFlow.

What a `.keras` or `.h5` file holds can be judged at once.
"""

import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_builders.networks.graph import Graph, Node, Shape, pair
from zoo_registry.model.errors import Unsupported

Config = Mapping[str, Any]
Reading = tuple[dict[str, Any], Shape, dict[str, Shape]]
"""What one layer's configuration says.

Constructor arguments that differ from Keras' defaults, output shape, weight shapes.
"""

_OWN = "edgezoo>"
"""What Keras writes before the name of a class of ours (`sound_layers`)."""

_MODELS = frozenset({"Functional", "Model", "Sequential"})

_SAVE = "save it with model.save('NAME.keras')"
_BROKEN = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OSError,
    RecursionError,
    zipfile.BadZipFile,
)
"""What reading somebody else's damaged file can raise."""


def graph_of_file(path: Path) -> Graph:
    """Read the architecture out of a `.keras` archive or an `.h5` file.

    Raises:
        Unsupported: the file is neither, holds no functional or sequential model, or a layer we
            have no description for.
    """
    try:
        config = _archive(path) if zipfile.is_zipfile(path) else _hdf5(path)
        return graph_of_config(str(config.get("class_name")), config["config"])
    except _BROKEN as error:
        raise Unsupported(
            f"{path.name}: no readable Keras model: {type(error).__name__}: {str(error)[:200]}",
            hint=_SAVE,
        ) from error


def _archive(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise Unsupported(
                f"{path.name}: a zip archive without config.json is not a Keras model", hint=_SAVE
            )
        return dict(json.loads(archive.read("config.json")))


def _hdf5(path: Path) -> dict[str, Any]:
    import h5py

    if path.is_dir() or not h5py.is_hdf5(path):
        raise Unsupported(f"{path.name}: neither a .keras archive nor an .h5 file", hint=_SAVE)
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise Unsupported(f"{path.name}: holds weights without an architecture", hint=_SAVE)
        return dict(json.loads(file.attrs["model_config"]))


def graph_of_config(class_name: str, config: Config) -> Graph:
    """Read what `model.get_config()` gives.

    Raises:
        Unsupported: not functional or sequential, several inputs or outputs, or layers we have no
            description for: all are named.
    """
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if class_name not in _MODELS or not layers:
        raise Unsupported(
            f"a {class_name} model has no layer graph to judge",
            hint="build it with the functional API",
        )
    _known(layers)
    nodes: dict[str, Node] = {}
    for layer, inputs in _with_inputs(class_name, layers):
        node = _node(layer, inputs, nodes)
        nodes[node.name] = node
    ordered = tuple(nodes.values())
    _one_way(config, ordered)
    return Graph(str(config["name"]), ordered)


def _known(layers: Sequence[Config]) -> None:
    """Insist on a description of every layer's class; name all that have none."""
    strange = [
        (str(layer["config"].get("name", "")), _class(layer))
        for layer in layers
        if _class(layer) not in _READERS
    ]
    if not strange:
        return
    named = ", ".join(f"{name or '(no name)'} ({op})" for name, op in strange)
    nested = [name for name, op in strange if op in _MODELS]
    flat = f"call the layers of {', '.join(nested)} in the outer model, in place of a model within"
    ways = [f"{flat} a model"] if nested else []
    if len(nested) < len(strange):
        ways += [f"replace them by layers that are known ({', '.join(sorted(_READERS))})"]
    ways += [
        (
            "or give the network as a Python file (network: ./net.py) that returns the Keras model:"
            " prune and quantize then take any layer"
        )
    ]
    what = "layer" if len(strange) == 1 else f"{len(strange)} layers:"
    raise Unsupported(
        f"{what} {named}: no description of"
        f" {'this layer class' if len(strange) == 1 else 'these classes'}",
        hint="; ".join(ways),
    )


def _one_way(config: Config, nodes: Sequence[Node]) -> None:
    inputs = [node for node in nodes if node.op == "InputLayer"]
    outputs = [node for node in nodes if not any(node.name in other.inputs for other in nodes)]
    if len(inputs) != 1 or len(outputs) != 1 or nodes[0] not in inputs:
        raise Unsupported(
            f"{config['name']}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of"
            " each",
            hint="export a model with one input and one output",
        )


def _with_inputs(class_name: str, layers: Sequence[Config]) -> list[tuple[Config, tuple[str, ...]]]:
    if class_name != "Sequential":
        return [(layer, _inbound(layer)) for layer in layers]
    found: list[tuple[Config, tuple[str, ...]]] = []
    first = layers[0]
    if first["class_name"] != "InputLayer":
        shape = first["config"].get("batch_input_shape")
        found.append(
            (
                {
                    "class_name": "InputLayer",
                    "config": {"name": "input", "batch_input_shape": shape},
                },
                (),
            )
        )
    for layer in layers:
        found.append((layer, (str(found[-1][0]["config"]["name"]),) if found else ()))
    return found


def _inbound(layer: Config) -> tuple[str, ...]:
    calls = layer.get("inbound_nodes", [])
    if len(calls) > 1:
        raise Unsupported(
            f"layer {layer['name']} is used {len(calls)} times", hint="give every use its own layer"
        )
    return tuple(str(origin[0]) for origin in calls[0]) if calls else ()


def _node(layer: Config, inputs: tuple[str, ...], nodes: Mapping[str, Node]) -> Node:
    op, config = _class(layer), layer["config"]
    name = str(config.get("name", ""))
    if not name:
        raise Unsupported(f"a layer ({op}) without a name", hint=_SAVE)
    if config.get("data_format") == "channels_first":
        raise Unsupported(
            f"layer {name} ({op}): channels_first",
            hint="convert the model to channels_last: TFLite knows nothing else",
        )
    kept, shape, weights = _READERS[op](config, [nodes[origin].shape for origin in inputs])
    kept |= {"trainable": False} if weights and config.get("trainable") is False else {}
    return Node(name, op.removeprefix(_OWN), kept, inputs, shape, weights)


def _class(layer: Config) -> str:
    """Give the name of a layer's class.

    Of one of ours as it is registered, which no class of a user can be.
    """
    registered = str(layer.get("registered_name") or "")
    return registered if registered.startswith(_OWN) else str(layer["class_name"])


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


def _windowed(
    shape: Shape, kernel: Any, strides: Any, padding: str, dilation: Any = 1
) -> tuple[int, int]:
    """Height and width after a window slides over `shape`, by TensorFlow's `same` and `valid`."""
    sizes = []
    for size, width, stride, step in zip(
        shape[:2], pair(kernel), pair(strides), pair(dilation), strict=True
    ):
        reach = (width - 1) * step + 1
        sizes.append(
            math.ceil(size / stride) if padding == "same" else (size - reach) // stride + 1
        )
    return sizes[0], sizes[1]


def _input(config: Config, _: Sequence[Shape]) -> Reading:
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if not shape or any(size is None for size in shape[1:]):
        raise Unsupported(
            f"input shape {shape}: only the batch may be open",
            hint="export the model with a fixed input size",
        )
    return {}, tuple(int(size) for size in shape[1:]), {}


def _conv(config: Config, inputs: Sequence[Shape]) -> Reading:
    kernel, strides, dilation = (
        square(config[key]) for key in ("kernel_size", "strides", "dilation_rate")
    )
    filters, groups = int(config["filters"]), int(config.get("groups", 1))
    kept = {
        "filters": filters,
        "kernel_size": kernel,
        "strides": strides,
        "padding": config["padding"],
        "use_bias": config["use_bias"],
        "activation": _activation(config),
    }
    kept |= _differing(config, groups=1) | ({} if dilation == 1 else {"dilation_rate": dilation})
    weights: dict[str, Shape] = {"kernel": (*pair(kernel), inputs[0][-1] // groups, filters)}
    if config["use_bias"]:
        weights["bias"] = (filters,)
    return (
        kept,
        (*_windowed(inputs[0], kernel, strides, config["padding"], dilation), filters),
        weights,
    )


def _depthwise(config: Config, inputs: Sequence[Shape]) -> Reading:
    kernel, strides, dilation = (
        square(config[key]) for key in ("kernel_size", "strides", "dilation_rate")
    )
    multiplier, channels = int(config.get("depth_multiplier", 1)), inputs[0][-1]
    kept = {
        "kernel_size": kernel,
        "strides": strides,
        "padding": config["padding"],
        "use_bias": config["use_bias"],
    }
    kept |= _differing(config, depth_multiplier=1) | (
        {} if dilation == 1 else {"dilation_rate": dilation}
    )
    kept |= {"activation": _activation(config)} if _activation(config) else {}
    weights: dict[str, Shape] = {"depthwise_kernel": (*pair(kernel), channels, multiplier)}
    if config["use_bias"]:
        weights["bias"] = (channels * multiplier,)
    return (
        kept,
        (
            *_windowed(inputs[0], kernel, strides, config["padding"], dilation),
            channels * multiplier,
        ),
        weights,
    )


def _dense(config: Config, inputs: Sequence[Shape]) -> Reading:
    units = int(config["units"])
    weights: dict[str, Shape] = {"kernel": (inputs[0][-1], units)} | (
        {"bias": (units,)} if config["use_bias"] else {}
    )
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
    names = [
        name for name, there in (("gamma", config["scale"]), ("beta", config["center"])) if there
    ]
    weights: dict[str, Shape] = dict.fromkeys(
        (*names, "moving_mean", "moving_variance"), (inputs[0][-1],)
    )
    return (
        _differing(config, momentum=0.99, epsilon=0.001, center=True, scale=True),
        inputs[0],
        weights,
    )


def _zero_pad(config: Config, inputs: Sequence[Shape]) -> Reading:
    padding = config["padding"]
    rows, columns = (
        pair(side) for side in ((padding, padding) if isinstance(padding, int) else padding)
    )
    height, width, channels = inputs[0]
    even = len({*rows, *columns}) == 1
    return (
        {"padding": rows[0] if even else (rows, columns)},
        (height + sum(rows), width + sum(columns), channels),
        {},
    )


def _crop(config: Config, inputs: Sequence[Shape]) -> Reading:
    cropping = config["cropping"]
    rows, columns = (
        pair(side) for side in ((cropping, cropping) if isinstance(cropping, int) else cropping)
    )
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
    return kept, (*_windowed(inputs[0], size, strides, padding), inputs[0][-1]), {}


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


_READERS: dict[str, Callable[[Config, Sequence[Shape]], Reading]] = {
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
    f"{_OWN}Logarithm": _same_shape(),
    f"{_OWN}Magnitude": _spread,
}
