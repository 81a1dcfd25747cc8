"""Keras models as graphs, without importing TensorFlow.

What a `.keras`, `.h5` or SavedModel holds can be judged at once: which recipes take it, and why the
others do not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo_builders.networks import keras_saved
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.keras_flat import MODELS, Flat, Layer, flatten
from zoo_builders.networks.keras_layers import OWN, READERS, Config
from zoo_builders.networks.keras_names import ACTIVATIONS, LAYERS, OF_KERAS_3
from zoo_builders.networks.keras_saved import BROKEN, SAVE, Saved
from zoo_registry.model.errors import Unsupported

_FLOATS = frozenset(
    {"float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"}
)
"""Dtype policies whose weights are floats: such a model is computed in float32."""

_STILL = (
    "quantize recipes take the model as it is (variants without prune, cluster, quantize_aware or"
    " an algorithm)"
)

_EXPORT = (
    "where its code is, write model.export('FOLDER') and give network: ./FOLDER, which quantize"
    " recipes take; or give the network as a Python file (network: ./net.py)"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished Keras model.

    Attributes:
        keras: which Keras loads it; 0 of a SavedModel's function.
        graph: its layers; None where they cannot be told as one plain graph.
        why: why there is no graph: what is in the way of recipes that train.
        paths: layer of the graph → where it is in the file (models around it, its name there).
        policy: the first dtype policy that is not float32; empty without one.
        wrapped: technique of TFMOT whose wrappers are around its layers; empty without.
        signature: of a SavedModel, the function that is taken.
    """

    keras: Literal[0, 2, 3]
    graph: Graph | None
    why: Unsupported | None = None
    paths: Mapping[str, tuple[str, ...]] | None = None
    policy: str = ""
    wrapped: str = ""
    signature: str = ""

    @property
    def trainable(self) -> bool:
        """Whether it becomes a Keras model whose layers can be trained."""
        return self.graph is not None or self.keras == 2  # noqa: PLR2004


def finished(path: Path) -> Finished:
    """Read what a finished Keras model is.

    Raises:
        Unsupported: nothing can be made of it: it is damaged, has several inputs or outputs, or
            layers that only its own code can build; all of these are named.
    """
    saved = keras_saved.read_saved(path)
    if saved.signatures or not saved.class_name:
        return _of_folder(path, saved)
    if saved.class_name not in MODELS:
        raise _no_graph(saved.class_name)
    try:
        return _of_config(saved.class_name, saved.config, saved.keras)
    except BROKEN as error:
        raise keras_saved.unreadable(path, error) from error


def of_model(class_name: str, config: Config) -> Finished:
    """Read what `model.get_config()` of a Keras 3 model gives, that the user's code made.

    Its layers may be of any class: they are there.

    Raises:
        Unsupported: it has several inputs or outputs.
    """
    if class_name not in MODELS:
        return Finished(3, None, _no_graph(class_name))
    as_saved = json.loads(json.dumps(config, default=str))
    return _of_config(class_name, as_saved, 3, code=True)


def graph_of_file(path: Path) -> Graph:
    """Read the architecture out of a `.keras` archive or an `.h5` file.

    Raises:
        Unsupported: the file is neither, holds no functional or sequential model, or a layer we
            have no description for.
    """
    found = finished(path)
    if found.graph is None:
        raise found.why or _no_graph(path.name)
    return found.graph


def graph_of_config(class_name: str, config: Config) -> Graph:
    """Read what `model.get_config()` of a tf_keras model gives.

    Raises:
        Unsupported: not functional or sequential, several inputs or outputs, or layers we have no
            description for: all are named.
    """
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if class_name not in MODELS or not layers:
        raise _no_graph(class_name)
    flat = flatten(class_name, config)
    _one_way(str(config["name"]), flat)
    why = _unknown(flat.layers, 2)
    if why is not None:
        raise why
    return _graph(str(config["name"]), flat.layers)


def _no_graph(class_name: str) -> Unsupported:
    return Unsupported(
        f"a {class_name} model has no layer graph to judge",
        hint=f"build it with the functional API; or, {_EXPORT}",
    )


def _of_config(
    class_name: str, config: Config, keras: Literal[0, 2, 3], *, code: bool = False
) -> Finished:
    """Judge a configuration; with `code` its own classes are at hand."""
    flat = flatten(class_name, config)
    name = str(config.get("name") or class_name.lower())
    if not code:
        _loadable(flat.layers)
    _one_way(name, flat)
    policy = next((one.policy for one in flat.layers if one.policy != "float32"), "")
    wrapped = next((one.wrapped for one in flat.layers if one.wrapped), "")
    why = _unknown(flat.layers, keras)
    if why is None:
        try:
            graph = _graph(name, [_as_keras2(one) for one in flat.layers])
        except Unsupported as error:
            why = Unsupported(error.message, hint=f"{error.hint}; {_STILL}")
    if why is not None:
        if wrapped:
            raise Unsupported(
                f"it is wrapped by {wrapped}, and {why.message}", hint=_strip(wrapped)
            )
        return Finished(keras, None, why, policy=policy)
    paths = {layer.name: layer.path for layer in flat.layers}
    return Finished(keras, graph, None, paths, policy, wrapped)


def _strip(wrapped: str) -> str:
    how = {
        "prune": "tfmot.sparsity.keras.strip_pruning(model).save('NAME.h5')",
        "cluster": "tfmot.clustering.keras.strip_clustering(model).save('NAME.h5')",
    }
    return f"strip it: {how.get(wrapped, 'save the float model it was made from')}"


def _of_folder(path: Path, saved: Saved) -> Finished:
    """Take a SavedModel: as a Keras model where tf_keras wrote one we know, else as a function."""
    why = Unsupported(
        "a SavedModel of functions has no layers to train",
        hint=f"give the .keras file that it was exported from; {_STILL}",
    )
    if saved.class_name in MODELS:
        try:
            known = _of_config(saved.class_name, saved.config, 2)
        except (Unsupported, *BROKEN) as error:
            why = Unsupported(getattr(error, "message", str(error)), hint=_STILL)
        else:
            if known.graph is not None or not saved.signatures:
                return known
            why = known.why or why
    return Finished(0, None, why, signature=_function(path, saved))


def _function(path: Path, saved: Saved) -> str:
    """Choose the function that is converted.

    Raises:
        Unsupported: there is none, or it takes or gives something else than one float32 tensor.
    """
    names = sorted(saved.signatures)
    chosen = "serving_default" if "serving_default" in names else (names or [""])[0]
    if not names or (chosen != "serving_default" and len(names) > 1):
        raise Unsupported(
            f"{path.name}: signatures {', '.join(names) or 'none'}; expected serving_default",
            hint="write model.export('FOLDER'), which gives it one",
        )
    inputs, outputs = saved.signatures[chosen]
    _one_each(path.name, [port.name for port in inputs], [port.name for port in outputs])
    port = inputs[0]
    if not keras_saved.is_float(port):
        raise Unsupported(
            f"{path.name}: the input {port.name} is not float32, which examples are given as",
            hint="export it with a float32 input",
        )
    if port.shape is None or any(size < 1 for size in port.shape[1:]):
        raise Unsupported(
            f"{path.name}: the input {port.name} has shape {list(port.shape or ())}: only the batch"
            " may be open",
            hint="export the model with a fixed input size",
        )
    return chosen


def _loadable(layers: Sequence[Layer]) -> None:
    """Insist on classes that Keras itself has, stored as floats."""
    code = [one for one in layers if _is_code(one)]
    if code:
        raise Unsupported(
            f"{_named(code)}: code of its own, which is not in the file and is not run",
            hint=_EXPORT,
        )
    stored = [one for one in layers if one.policy not in _FLOATS and one.op != "InputLayer"]
    if stored:
        named = ", ".join(f"{one.name} ({one.op}, {one.policy})" for one in stored)
        raise Unsupported(
            f"layers that are stored quantized: {named}",
            hint="give the float model it was made from; recipes quantize it",
        )


def _is_code(layer: Layer) -> bool:
    """Whether a layer is, or calls, what Keras itself does not have."""
    if layer.op.startswith((OWN, "ops.")):
        return False
    foreign = bool(layer.own) or layer.op not in LAYERS or layer.op == "Lambda"
    name = _activation(layer.config)
    return foreign or (isinstance(name, str) and name not in ACTIVATIONS)


def _unknown(layers: Sequence[Layer], keras: int) -> Unsupported | None:
    """Name every layer that the graph has no description for."""
    strange = [one for one in layers if one.op not in READERS]
    odd = list(_odd(layers, keras))
    if not strange and not odd:
        return None
    parts = [f"layer {one.name} ({one.op}): {reason}" for one, reason in odd]
    if strange:
        what = "layer" if len(strange) == 1 else f"{len(strange)} layers:"
        which = "this layer class" if len(strange) == 1 else "these classes"
        parts.insert(0, f"{what} {_named(strange)}: no description of {which}")
    return Unsupported("; ".join(parts), hint="; ".join(_ways(strange)))


def _odd(layers: Sequence[Layer], keras: int) -> Iterator[tuple[Layer, str]]:
    for one in layers:
        if one.odd:
            yield one, one.odd
        elif keras == 3 and _activation(one.config) in OF_KERAS_3:  # noqa: PLR2004
            yield one, f"the activation {_activation(one.config)}, which Keras 2 lacks"


def _ways(strange: Sequence[Layer]) -> list[str]:
    nested = [one.name for one in strange if one.op in MODELS]
    flat = f"call the layers of {', '.join(nested)} in the outer model, in place of a model within"
    ways = [f"{flat} a model"] if nested else []
    if len(nested) < len(strange):
        ways += [f"replace them by layers that are known ({', '.join(sorted(READERS))})"]
    return [
        *ways,
        _STILL,
        (
            "or give the network as a Python file (network: ./net.py) that returns the Keras model:"
            " prune and quantize then take any layer"
        ),
    ]


def _named(layers: Sequence[Layer]) -> str:
    return ", ".join(
        f"{one.name or '(no name)'} ({one.op}{f' of {one.own}' if one.own else ''})"
        for one in layers
    )


def _one_way(name: str, flat: Flat) -> None:
    _one_each(name, flat.inputs, flat.outputs)
    if flat.layers[0].name not in flat.inputs:
        raise Unsupported(f"{name}: the first layer is no input", hint=SAVE)


def _one_each(name: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    if len(inputs) != 1 or len(outputs) != 1:
        raise Unsupported(
            f"{name}: {len(inputs)} inputs and {len(outputs)} outputs"
            f" ({', '.join(inputs)} → {', '.join(outputs)}); expected one of each",
            hint=(
                "save a model with one input and one output:"
                " keras.Model(model.inputs[0], model.outputs[0]).save('NAME.keras')"
            ),
        )


def _activation(config: Config) -> Any:
    name = config.get("activation")
    if isinstance(name, Mapping):  # Keras writes registered functions as objects
        name = name.get("config", name.get("class_name"))
    return name


def _as_keras2(layer: Layer) -> Layer:
    """Spell what Keras 3 calls otherwise as Keras 2 does."""
    config = dict(layer.config)
    if layer.op == "LeakyReLU" and "negative_slope" in config:
        config["alpha"] = config.pop("negative_slope")
    if layer.op == "Activation" and "activation" not in config:  # an operation, by its own name
        config["activation"] = str(config.get("name", "")).rstrip("0123456789_")
    return Layer(layer.name, layer.op, config, layer.inputs, layer.path)


def _graph(name: str, layers: Sequence[Layer]) -> Graph:
    nodes: dict[str, Node] = {}
    for layer in layers:
        nodes[layer.name] = _node(layer, nodes)
    return Graph(name, tuple(nodes.values()))


def _node(layer: Layer, nodes: Mapping[str, Node]) -> Node:
    config = layer.config
    if not layer.name:
        raise Unsupported(f"a layer ({layer.op}) without a name", hint=SAVE)
    if config.get("data_format") == "channels_first":
        raise Unsupported(
            f"layer {layer.name} ({layer.op}): channels_first",
            hint="convert the model to channels_last: TFLite knows nothing else",
        )
    shapes = [nodes[origin].shape for origin in layer.inputs]
    kept, shape, weights = READERS[layer.op](config, shapes)
    kept |= {"trainable": False} if weights and config.get("trainable") is False else {}
    return Node(layer.name, layer.op.removeprefix(OWN), kept, layer.inputs, shape, weights)
