"""Files of weights as arrays by layer.

These are Keras' `.h5` of weights, `.safetensors` and PyTorch checkpoints. Whole models are left to
Keras.

Which tensor belongs to which layer is decided by the network's graph, never guessed from shapes: by
name (PyTorch), or by order and name together (Keras, where keras.applications leaves some layers to
automatic names).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.pretrained import torch_layouts, torch_pickle
from zoo_builders.pretrained.wanted import Arrays, Borrowed, Wanted
from zoo_registry.model.errors import MissingExtra, UnfitFile
from zoo_registry.model.files import digest_file

TORCH_SUFFIXES = (".pth", ".pt", ".bin")
SUFFIXES = (".keras", ".h5", ".hdf5", ".safetensors", *TORCH_SUFFIXES)
_AUTOMATIC = re.compile(r"(conv2d|batch_normalization|dense|depthwise_conv2d)(_\d+)?")


def read(wanted: Wanted, path: Path) -> Borrowed | None:
    """Read a file's arrays for the network wanted.

    None for what Keras itself must read (`.keras`, a whole model in `.h5`).

    Raises:
        UnfitFile: they are of another network, or of other classes and nothing trains the
            classifier anew.
    """
    graph = wanted.graph
    if graph is None:
        return None
    if path.suffix == ".safetensors" or path.suffix in TORCH_SUFFIXES:
        state = _safetensors(path) if path.suffix == ".safetensors" else torch_pickle.load(path)
        layout = torch_layouts.find(graph, frozenset(state), getattr(wanted.params, "layout", None))
        return _settle(graph, torch_layouts.arrays(graph, state, layout), wanted, path)
    layers = _keras(path)
    return None if layers is None else _settle(graph, _in_order(graph, layers), wanted, path)


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtra(
            f"{path.name} needs safetensors, which is not installed",
            hint="pip install 'edgezoo[weights]'",
        ) from error
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UnfitFile(
            f"{path.name}: not a readable .safetensors file: {error}", hint="zoo validate MANIFEST"
        ) from error


def _keras(path: Path) -> list[tuple[str, list[Any]]] | None:
    """List (layer, arrays) of an `.h5` that holds weights only, in its order.

    None for anything else.
    """
    import h5py
    import numpy as np

    if path.suffix not in {".h5", ".hdf5"} or not h5py.is_hdf5(path):
        return None
    with h5py.File(path, "r") as file:
        if "layer_names" not in file.attrs:
            return None
        layers = [(_text(name), file[_text(name)]) for name in file.attrs["layer_names"]]
        found = [
            (name, [np.asarray(group[_text(weight)]) for weight in group.attrs["weight_names"]])
            for name, group in layers
        ]
    return [(name, arrays) for name, arrays in found if arrays]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _in_order(graph: Graph, layers: Sequence[tuple[str, list[Any]]]) -> Arrays:
    """Give each layer of the graph the arrays at its place.

    Names must agree where they were given by hand.
    """
    nodes = [node for node in graph.nodes if node.weights]
    wrong = [
        f"{node.name} against {name}"
        for node, (name, _) in zip(nodes, layers, strict=False)
        if not _same_name(node, name)
    ]
    if len(nodes) != len(layers) or wrong:
        raise UnfitFile(
            f"the file holds {len(layers)} layers with weights and {graph.name} has {len(nodes)};"
            f" {'; '.join(wrong[:3]) or 'names agree'}",
            hint="zoo list networks   # and their arguments",
        )
    return {
        node.name: dict(zip(node.weights, arrays, strict=False))
        for node, (_, arrays) in zip(nodes, layers, strict=True)
    }


def _same_name(node: Node, name: str) -> bool:
    return node.name == name.replace("/", "_") or bool(
        _AUTOMATIC.fullmatch(name) and _AUTOMATIC.fullmatch(node.name)
    )


def _settle(graph: Graph, arrays: Arrays, wanted: Wanted, path: Path) -> Borrowed:
    """Turn a dense classifier into a 1x1 convolution or back where the network has it so.

    A classifier of other classes is left out.
    """
    last = next(node for node in reversed(graph.nodes) if node.weights)
    shaped = {
        name: _reshaped(array, last.weights.get(name, ()))
        for name, array in arrays[last.name].items()
    }
    if all(tuple(shaped[name].shape) == tuple(shape) for name, shape in last.weights.items()):
        return Borrowed({**arrays, last.name: shaped}, str(digest_file(path)))
    if not wanted.fine_tune:
        found = next(iter(arrays[last.name].values())).shape
        raise UnfitFile(
            f"the classifier of {path.name} has shape {found}, layer {last.name}"
            f" {last.weights['kernel']}: other classes",
            hint="add fine_tune: 5 below weights, or set args.classes to those of the weights",
        )
    return Borrowed(
        {name: kept for name, kept in arrays.items() if name != last.name},
        str(digest_file(path)),
        fresh=(last.name,),
    )


def _reshaped(array: Any, shape: Sequence[int]) -> Any:
    squeezed = [tuple(size for size in sizes if size != 1) for sizes in (array.shape, shape)]
    return array.reshape(shape) if shape and squeezed[0] == squeezed[1] else array
