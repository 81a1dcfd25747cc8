"""Files of today's Keras, SavedModels and wrapped models, judged without TensorFlow."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.networks import keras_names, protobuf
from zoo_builders.networks.keras_config import finished
from zoo_registry.model.errors import Unsupported


def tensor(name: str) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def layer(op: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    """Spell a layer as Keras 3 does, called with the layers of these names."""
    kwargs = config.pop("kwargs", {})
    args = [tensor(one) if isinstance(one, str) else one for one in inputs]
    rest = {key: config.pop(key) for key in ("module", "registered_name") if key in config}
    return {
        "module": "keras.layers",
        "registered_name": None,
        "class_name": op,
        "config": {"name": name, **config},
        "name": name,
        "inbound_nodes": [{"args": args, "kwargs": kwargs}] if args else [],
        **rest,
    }


def start(name: str = "image") -> dict[str, Any]:
    return layer("InputLayer", name, batch_shape=[None, 8, 8, 1], dtype="float32")


def model(*layers: dict[str, Any], outputs: Any = None, **more: Any) -> dict[str, Any]:
    last = outputs or [layers[-1]["name"], 0, 0]
    inputs = [[one["name"], 0, 0] for one in layers if one["class_name"] == "InputLayer"]
    config = {"name": "m", "layers": list(layers), "input_layers": inputs, "output_layers": last}
    return {"module": "keras", "class_name": "Functional", "config": config, **more}


def saved(tmp_path: Path, config: Mapping[str, Any], version: str = "3.15.1") -> Path:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
    return path


DENSE = {"units": 4, "activation": "relu", "use_bias": True}
POLICY = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}


def test_a_model_within_a_model_is_laid_open_and_its_layers_are_found_again(tmp_path: Path) -> None:
    inner = model(start("in"), layer("Flatten", "flat", "in"), layer("Dense", "d", "flat", **DENSE))
    whole = model(
        start(),
        {**layer("Functional", "body", "image"), "config": {**inner["config"], "name": "body"}},
        layer("Dense", "d", "body", **DENSE),
    )
    found = finished(saved(tmp_path, whole))
    assert found.keras == 3
    assert found.graph is not None
    assert found.paths == {
        "image": ("image",),
        "flat": ("body", "flat"),
        "d": ("body", "d"),
        "d_1": ("d",),
    }
    assert [node.inputs for node in found.graph.nodes] == [(), ("image",), ("flat",), ("d",)]


def test_an_operation_between_tensors_is_a_layer_and_one_with_a_number_is_none(
    tmp_path: Path,
) -> None:
    of = {"module": "keras.src.ops.numpy"}
    ends = [layer("ReLU", "a", "image"), layer("ReLU", "b", "image")]
    two = model(start(), *ends, layer("Add", "sum", "a", "b", **of))
    graph = finished(saved(tmp_path, two)).graph
    assert graph is not None
    assert (graph.nodes[-1].op, graph.nodes[-1].inputs) == ("Add", ("a", "b"))
    one = model(start(), layer("Add", "sum", "image", 1.5, **of))
    why = finished(saved(tmp_path, one)).why
    assert why is not None
    assert "sum (Add): it is called with numbers beside tensors" in why.message


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        (layer("LSTM", "memory", "image"), r"layer memory \(LSTM\): no description"),
        (layer("Add", "sum", "image", "image", kwargs={"x": 1}), "it is called with x"),
        (
            layer("Dense", "hard", "image", units=2, activation="hard_sigmoid"),
            r"hard \(Dense\): the activation hard_sigmoid",
        ),
        (
            {**layer("ReLU", "twice", "image"), "inbound_nodes": [{"args": [tensor("image")]}] * 2},
            "it is used 2 times",
        ),
    ],
)
def test_what_is_no_plain_graph_is_named_and_still_quantized(
    strange: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = finished(saved(tmp_path, model(start(), strange)))
    assert found.graph is None
    assert found.why is not None
    with pytest.raises(Unsupported, match=said):
        raise found.why
    assert "quantize recipes take the model" in (found.why.hint or "")


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        (layer("Lambda", "square", "image"), r"square \(Lambda\): code of its own"),
        (
            layer("Mine", "mine", "image", module=None, registered_name="pack>Mine"),
            r"mine \(Mine of pack\)",
        ),
        (layer("Mine", "mine", "image", module="my.code"), r"mine \(Mine of my.code\)"),
        (layer("Dense", "own", "image", units=2, activation="my_act"), r"own \(Dense\): code of"),
        (
            layer("Dense", "int", "image", units=2, dtype="int8_from_float32"),
            r"int \(Dense, int8_from_float32\)",
        ),
    ],
)
def test_what_only_its_own_code_builds_is_refused_by_layer(
    strange: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match=said) as caught:
        finished(saved(tmp_path, model(start(), strange)))
    assert caught.value.hint


def test_a_policy_of_half_precision_is_told_and_no_obstacle(tmp_path: Path) -> None:
    flat = layer("Flatten", "flat", "image", dtype=POLICY)
    found = finished(saved(tmp_path, model(start(), flat)))
    assert (found.policy, found.graph is None) == ("mixed_float16", False)


def test_several_outputs_are_refused_by_name(tmp_path: Path) -> None:
    ends = [layer("ReLU", "a", "image"), layer("ReLU", "b", "image")]
    whole = model(start(), *ends, outputs=[["a", 0, 0], ["b", 0, 0]])
    with pytest.raises(Unsupported, match=r"1 inputs and 2 outputs \(image → a, b\)"):
        finished(saved(tmp_path, whole))


def test_a_sequential_model_that_was_built_later_has_its_shape(tmp_path: Path) -> None:
    flat = {**layer("Flatten", "flat"), "inbound_nodes": []}
    config = {"name": "s", "layers": [flat], "build_input_shape": [None, 4, 4, 1]}
    found = finished(saved(tmp_path, {"class_name": "Sequential", "config": config}))
    assert found.graph is not None
    assert found.graph.output_shape == (16,)


def test_a_folder_without_a_saved_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"without saved_model\.pb"):
        finished(tmp_path)


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\xff\xff")
    with pytest.raises(Unsupported, match="no readable Keras model"):
        finished(tmp_path)


def test_the_wire_format_is_read_field_by_field() -> None:
    message = b"\x08\x96\x01\x12\x02hi\x1d\x00\x00\x80?\x21" + b"\x01" * 8
    assert protobuf.fields(message) == {
        1: [150],
        2: [b"hi"],
        3: [b"\x00\x00\x80?"],
        4: [b"\x01" * 8],
    }
    assert protobuf.signed((1 << 64) - 1) == -1
    for broken in (b"\x12\x05hi", b"\x08\x96", b"\x0b"):
        with pytest.raises(ValueError, match="byte"):
            protobuf.fields(broken)


@pytest.mark.train
def test_names_that_keras_knows_are_those_of_both_packages() -> None:
    from zoo_builders import tf

    for keras in (tf.keras, tf.keras3):
        base = keras.layers.Layer
        classes = {
            value.__name__
            for value in vars(keras.layers).values()
            if isinstance(value, type) and issubclass(value, base)
        }
        foreign = {"Layer", "Wrapper", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"}
        private = {"AbstractRNNCell"}
        assert classes - foreign - private <= keras_names.LAYERS
        functions = {name for name, value in vars(keras.activations).items() if callable(value)} - {
            "get",
            "serialize",
            "deserialize",
        }
        assert functions <= keras_names.ACTIVATIONS
