"""Keras configurations as graphs, without importing TensorFlow.

What a `.keras` or `.h5` file holds can be judged at once.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.keras_layers import OWN, READERS, Config
from zoo_registry.model.errors import Unsupported

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
        if _class(layer) not in READERS
    ]
    if not strange:
        return
    named = ", ".join(f"{name or '(no name)'} ({op})" for name, op in strange)
    nested = [name for name, op in strange if op in _MODELS]
    flat = f"call the layers of {', '.join(nested)} in the outer model, in place of a model within"
    ways = [f"{flat} a model"] if nested else []
    if len(nested) < len(strange):
        ways += [f"replace them by layers that are known ({', '.join(sorted(READERS))})"]
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
    kept, shape, weights = READERS[op](config, [nodes[origin].shape for origin in inputs])
    kept |= {"trainable": False} if weights and config.get("trainable") is False else {}
    return Node(name, op.removeprefix(OWN), kept, inputs, shape, weights)


def _class(layer: Config) -> str:
    """Give the name of a layer's class.

    One of ours has the name it is registered by, which no class of a user can have.
    """
    registered = str(layer.get("registered_name") or "")
    return registered if registered.startswith(OWN) else str(layer["class_name"])
