"""What a Keras configuration says, as one flat list of layers.

Both spellings are read: Keras 2's (`[["name", 0, 0, {}]]`, `batch_input_shape`) and Keras 3's
(`{"args": …, "kwargs": …}`, `batch_shape`, dtype policies as objects, operations as layers). Models
within a model are laid open, and TFMOT's wrappers are taken off.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo_builders.networks.keras_layers import OWN, Config

MODELS = frozenset({"Functional", "Model", "Sequential"})

WRAPPERS = {
    "PruneLowMagnitude": "prune",
    "ClusterWeights": "cluster",
    "QuantizeWrapper": "quantize_aware",
    "QuantizeWrapperV2": "quantize_aware",
    "QuantizeAnnotate": "quantize_aware",
}
"""TFMOT's wrappers around a layer, and the technique that puts them there."""

_FAKE_QUANT = "QuantizeLayer"
"""TFMOT's layer that only rounds what the model is given."""

_OPERATIONS = "keras.src.ops."
_AS_LAYERS = {
    "Add": "Add",
    "Multiply": "Multiply",
    "Relu": "ReLU",
    "Relu6": "Activation",
    "Sigmoid": "Activation",
    "Tanh": "Activation",
}
"""Operations of Keras 3 that are the same as a layer, where all they take is tensors."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the flat list.

    Attributes:
        name: unique in the list.
        op: its class, ours by its registered name, an operation of Keras 3 as `ops.Name`.
        config: its constructor arguments.
        inputs: names of the layers it reads.
        path: where it is: names of the models around it, then its own.
        own: the package that registered its class, or its module, where that is not Keras'.
        wrapped: the technique whose wrapper was around it; empty without one.
        odd: why it cannot be one layer of a plain graph; empty where it can.
    """

    name: str
    op: str
    config: Config
    inputs: tuple[str, ...]
    path: tuple[str, ...]
    own: str = ""
    wrapped: str = ""
    odd: str = ""

    @property
    def policy(self) -> str:
        """Name of its dtype policy: `float32`, `mixed_float16`, `int8_from_float32`, …."""
        return policy_of(self.config.get("dtype"))


@dataclass(slots=True)
class Flat:
    """A model as a flat list, and the names of its inputs and outputs."""

    layers: list[Layer] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def flatten(class_name: str, config: Config) -> Flat:
    """Lay a functional or sequential model's configuration open.

    Raises:
        KeyError, TypeError, ValueError, IndexError, AttributeError: it is damaged.
    """
    walk = _Walk(Flat())
    walk.flat.outputs = walk.model(class_name, config, (), None)
    walk.flat.inputs = [layer.name for layer in walk.flat.layers if layer.op == "InputLayer"]
    return walk.flat


@dataclass(slots=True)
class _Walk:
    flat: Flat

    def model(
        self, class_name: str, config: Config, path: tuple[str, ...], given: list[str] | None
    ) -> list[str]:
        """Add a model's layers; give the names of its outputs.

        `given` are the tensors that reach its inputs, None for the outermost.
        """
        layers = config["layers"]
        rows = _sequence(config, given) if class_name == "Sequential" else _calls(layers)
        ports = [name for name, _ in _ends(config.get("input_layers", []))]
        made: dict[str, list[str]] = {}
        for layer, ends, odd in rows:
            name = _name(layer)
            if given is not None and layer["class_name"] == "InputLayer":
                made[name] = [given[ports.index(name) if name in ports else 0]]
                continue
            inputs = tuple(
                made[origin][index if len(made[origin]) > 1 else 0] for origin, index in ends
            )
            if class_name == "Sequential" and given is not None and not ends:
                inputs = tuple(given)
            made[name] = self._layer(layer, inputs, path, odd)
        ends = _ends(config.get("output_layers", []))
        if class_name == "Sequential":
            return made[_name(layers[-1])]
        if not ends:
            read = {origin for _, origins, _ in rows for origin, _ in origins}
            ends = [(name, 0) for name in made if name not in read]
        return [made[name][index if len(made[name]) > 1 else 0] for name, index in ends]

    def _layer(
        self, layer: Config, inputs: tuple[str, ...], path: tuple[str, ...], odd: str
    ) -> list[str]:
        wrapped = WRAPPERS.get(str(layer["class_name"]), "")
        layer = layer["config"]["layer"] if wrapped else layer
        inner, op = layer["config"], _class(layer)
        inner = {**inner, **_plain_activation(inner)} if wrapped else inner
        name = _name(layer)
        if op in MODELS and isinstance(inner, Mapping) and inner.get("layers") and not odd:
            return self.model(op, inner, (*path, name), list(inputs))
        if op == _FAKE_QUANT:
            return list(inputs)
        unique = self._unique(name, path) if name else name
        self.flat.layers.append(
            Layer(unique, op, inner, inputs, (*path, name), _foreign(layer), wrapped, odd)
        )
        return [unique]

    def _unique(self, name: str, path: tuple[str, ...]) -> str:
        """Keep a layer's name where it is free, else put the names of the models around before."""
        taken = {layer.name for layer in self.flat.layers}
        longer = "_".join((*path, name))
        free = (longer, *(f"{longer}_{number}" for number in range(1, len(taken) + 1)))
        return next(one for one in (name, *free) if one not in taken)


def _plain_activation(config: Config) -> dict[str, Any]:
    """Give the activation within TFMOT's own, which only round what it gives or stand for none."""
    found = config.get("activation")
    while isinstance(found, Mapping) and found.get("class_name") == "QuantizeAwareActivation":
        found = found["config"]["activation"]
    none = isinstance(found, Mapping) and found.get("class_name") == "NoOpActivation"
    return {"activation": "linear" if none else found} if found is not None else {}


def _name(layer: Config) -> str:
    return str(layer.get("config", {}).get("name") or layer.get("name") or "")


def _sequence(
    config: Config, given: list[str] | None
) -> list[tuple[Config, list[tuple[str, int]], str]]:
    """Give each layer of a sequential model with the one before it."""
    layers: Sequence[Config] = config["layers"]
    rows: list[tuple[Config, list[tuple[str, int]], str]] = []
    if given is None and layers[0]["class_name"] != "InputLayer":
        shape = _first_shape(config, layers[0])
        start = {"name": "input", "batch_input_shape": shape}
        rows.append(({"class_name": "InputLayer", "config": start}, [], ""))
    for layer in layers:
        rows.append((layer, [(_name(rows[-1][0]), 0)] if rows else [], ""))
    return rows


def _first_shape(config: Config, first: Config) -> Any:
    """Find the input shape of a sequential model that begins without an input layer."""
    own = first["config"]
    return (
        own.get("batch_input_shape")
        or own.get("batch_shape")
        or config.get("build_input_shape")
        or first.get("build_config", {}).get("input_shape")
    )


def _calls(layers: Sequence[Config]) -> list[tuple[Config, list[tuple[str, int]], str]]:
    return [(layer, *_call(layer.get("inbound_nodes", []))) for layer in layers]


def _call(nodes: Sequence[Any]) -> tuple[list[tuple[str, int]], str]:
    """Read what a layer is called with: (layers and which of their outputs, what is odd of it)."""
    odd = f"it is used {len(nodes)} times; give every use its own layer" if len(nodes) > 1 else ""
    if not nodes:
        return [], ""
    first = nodes[0]
    if not isinstance(first, Mapping):
        return _ends(first), odd
    rest = {
        name: value
        for name, value in first.get("kwargs", {}).items()
        if value is not None and not (name == "training" and value is False)
    }
    plain = all(isinstance(value, Mapping | list) for value in first["args"])
    if rest or not plain:
        named = ", ".join(rest) or "numbers beside tensors"
        odd = odd or f"it is called with {named}"
    return list(_tensors([first["args"], first.get("kwargs", {})])), odd


def _tensors(value: Any) -> Iterator[tuple[str, int]]:
    """Find Keras 3's tensors in the arguments of a call, in order."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, _, index = value["config"]["keras_history"]
            yield str(name), int(index)
            return
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _tensors(item)


def _ends(value: Any) -> list[tuple[str, int]]:
    """Read `[name, node, tensor]`, or any nesting of these."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):  # noqa: PLR2004
        return [(value[0], int(value[2]))]
    return [end for item in value for end in _ends(item)]


def _class(layer: Config) -> str:
    """Give the name of a layer's class.

    One of ours has the name it is registered by, which no class of a user can have.
    """
    registered, name = str(layer.get("registered_name") or ""), str(layer["class_name"])
    if registered.startswith(OWN):
        return registered
    if str(layer.get("module") or "").startswith(_OPERATIONS):
        return _AS_LAYERS.get(name, f"ops.{name}")
    return "BatchNormalization" if name == "BatchNormalizationV1" else name


def _foreign(layer: Config) -> str:
    """Name the package of a class that is not Keras' own; empty where it is, or nobody says."""
    registered, module = str(layer.get("registered_name") or ""), layer.get("module")
    if registered.startswith(OWN):
        return ""
    if ">" in registered:
        return registered.partition(">")[0]
    if module is None:
        return ""
    known = str(module).startswith(("keras.", "keras_", "tf_keras.", "tensorflow_model_optim"))
    return (
        ""
        if known and not str(module).startswith(("keras_hub", "keras_nlp", "keras_cv"))
        else str(module)
    )


def policy_of(dtype: Any) -> str:
    """Name a dtype policy, however it is written."""
    if isinstance(dtype, Mapping):
        inner = dtype.get("config", {})
        return str(inner.get("name") or dtype.get("class_name"))
    return str(dtype or "float32")
