"""Keras files as graphs without TensorFlow: what is read, and what is refused."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.networks.keras_config import graph_of_config, graph_of_file
from zoo_registry.model.errors import Unsupported


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    first = {
        "class_name": "InputLayer",
        "config": {"name": "in", "batch_input_shape": [None, 8, 8, 1]},
    }
    return {"name": "s", "layers": [first, *layers]}


def layer(op: str, **config: Any) -> dict[str, Any]:
    return {"class_name": op, "config": {"name": op.lower(), **config}}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (layer("LSTM"), "lstm \\(LSTM\\): no description"),
        (layer("Lambda", function="x"), "lambda \\(Lambda\\)"),
        (layer("MaxPooling2D", pool_size=2, data_format="channels_first"), "channels_first"),
        (layer("BatchNormalization", axis=1, scale=True, center=True), "axis 1"),
        (layer("Flatten") | {"config": {}}, "without a name"),
    ],
)
def test_a_layer_it_cannot_judge_is_named(found: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        graph_of_config("Sequential", sequential(found))


def test_all_layers_it_cannot_judge_are_named_at_once_with_a_way_out() -> None:
    inner = {"class_name": "Functional", "config": {"name": "inner", "layers": []}}
    strange = [
        layer("LayerNormalization"),
        layer("Conv1D", filters=2),
        layer("ReLU"),
        inner,
        layer("LSTM"),
    ]
    with pytest.raises(Unsupported) as caught:
        graph_of_config("Sequential", sequential(*strange))
    said = (
        "4 layers: layernormalization (LayerNormalization), conv1d (Conv1D), inner (Functional),"
        " lstm (LSTM): no description"
    )
    assert caught.value.message.startswith(said)
    for way in (
        "call the layers of inner in the outer model",
        "LeakyReLU",
        "give the network as a Python file",
    ):
        assert way in (caught.value.hint or "")


def test_a_subclassed_model_is_refused() -> None:
    with pytest.raises(Unsupported, match="MyModel"):
        graph_of_config("MyModel", {})


def test_an_open_input_size_is_refused() -> None:
    config = {
        "name": "s",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {"name": "in", "batch_input_shape": [None, None, None, 3]},
            }
        ],
    }
    with pytest.raises(Unsupported, match="only the batch"):
        graph_of_config("Sequential", config)


def test_two_inputs_are_refused() -> None:
    inputs = [
        {
            "class_name": "InputLayer",
            "config": {"name": n, "batch_input_shape": [None, 4]},
            "inbound_nodes": [],
        }
        for n in "ab"
    ]
    total = {
        "class_name": "Add",
        "config": {"name": "sum"},
        "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]],
    }
    with pytest.raises(Unsupported, match="2 inputs and 1 outputs"):
        graph_of_config("Functional", {"name": "f", "layers": [*inputs, total]})


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 not really", b"\x89HDF\r\n\x1a\n broken", b"x" * 100]
)
def test_bytes_that_are_no_model_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    with pytest.raises(Unsupported):
        graph_of_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"class_name": "Functional"}',
        '{"class_name": "Functional", "config": {"layers": 3}}',
        "[" * 100_000,
    ],
)
def test_an_archive_with_a_broken_configuration_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text)
    with pytest.raises(Unsupported):
        graph_of_file(path)


def test_an_archive_without_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(Unsupported, match=r"config\.json"):
        graph_of_file(path)


@pytest.mark.train
def test_shapes_are_those_of_keras_for_every_layer_it_describes() -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.render import graph_of, render

    layers = tf.keras.layers
    start = tf.keras.Input((17, 15, 3), name="start")
    x = layers.Rescaling(2.0, offset=-1.0, name="rescale")(start)
    x = layers.Conv2D(
        4, (3, 2), strides=(2, 1), dilation_rate=1, padding="same", activation="relu", name="conv"
    )(x)
    x = layers.Conv2D(
        4, 3, dilation_rate=2, padding="valid", groups=2, use_bias=False, name="grouped"
    )(x)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(x)
    x = layers.DepthwiseConv2D(
        3, depth_multiplier=2, padding="valid", activation="relu", name="dw"
    )(x)
    x = layers.BatchNormalization(momentum=0.8, center=False, name="bn")(x)
    y = layers.Activation("sigmoid", name="gate")(x)
    x = layers.Multiply(name="gated")([x, y])
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.Concatenate(name="both")([x, y])
    x = layers.UpSampling2D(2, interpolation="bilinear", name="up")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="max")(x)
    x = layers.AveragePooling2D((2, 1), name="average")(x)
    x = layers.Dropout(0.1, name="drop")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Reshape((4, -1), name="reshape")(x)
    x = layers.ELU(name="elu")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, use_bias=False, name="dense")(x)
    model = tf.keras.Model(start, layers.Softmax(name="softmax")(x), name="all_kinds")
    graph = graph_of(model)
    for node in graph.nodes[1:]:
        assert tuple(model.get_layer(node.name).output_shape[1:]) == node.shape, node.name
        assert [tuple(weight.shape) for weight in model.get_layer(node.name).weights] == list(
            node.weights.values()
        ), node.name
    assert graph_of(render(graph)) == graph


@pytest.mark.train
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_file_is_read_without_tensorflow(suffix: str, tmp_path: Path) -> None:
    from zoo_builders.keras_models.render import render
    from zoo_builders.networks.shipped import NETWORKS

    graph = NETWORKS.get("cifar10_cnn")()
    path = tmp_path / f"model{suffix}"
    render(graph).save(path)
    assert graph_of_file(path) == graph
    program = "import sys, pathlib; from zoo_builders.networks.keras_config import graph_of_file; "
    program += (
        f"print(graph_of_file(pathlib.Path({str(path)!r})).parameters, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(graph.parameters), "False"]


@pytest.mark.train
def test_a_sequential_file_reads_like_a_functional_one(tmp_path: Path) -> None:
    from zoo_builders import tf

    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Conv2D(2, 3, input_shape=(8, 8, 1), name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="dense"),
        ]
    )
    model.save(tmp_path / "model.keras")
    graph = graph_of_file(tmp_path / "model.keras")
    assert [node.op for node in graph.nodes] == ["InputLayer", "Conv2D", "Flatten", "Dense"]
    assert graph.output_shape == (3,)
    assert json.loads(json.dumps(graph.nodes[1].config))["filters"] == 2
