"""Fake quantization: on every kernel, with measured ranges, holding zeros and shared values.

Saved, loaded and converted.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.techniques import TECHNIQUES
from zoo_builders.techniques.quantize_aware.params import Params
from zoo_builders.techniques.quantize_aware.selection import quantized_layers
from zoo_registry.model.errors import BuildFailed

pytestmark = pytest.mark.train

KERNELS = ("stem", "left", "right", "gate", "classifier")


def residual() -> Graph:
    """Write a folded network.

    Kernels right before a ReLU, before Add and Concatenate, 1x1 ones, a gate that is multiplied.
    """
    net = Net("residual", (8, 8, 1))
    net.conv(4, 3, padding="same", name="stem")
    stem = net.relu(name="stem_relu")
    left = net.conv(4, 1, name="left")
    right = net.conv(4, 1, name="right", after=stem)
    net.concat([left, right], name="both")
    wide = net.last
    net.conv(8, 1, name="gate", after=stem)
    net.activation("sigmoid", name="open")
    net.multiply(wide, "open", name="gated")
    net.add("gated", wide, name="sum")
    net.relu(name="sum_relu")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(10, name="classifier")
    return net.graph()


@pytest.fixture(scope="module")
def plain() -> Any:
    """Random weights; `left` half zeros and three values.

    `right` with one channel of nothing but zeros, `gate` without a zero.
    """
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render

    tf.deterministic(3)
    model = render(residual())
    random = np.random.default_rng(3)
    right = random.normal(size=(1, 1, 4, 4))
    right[..., 1] = 0
    model.get_layer("left").set_weights(
        [random.permutation(np.repeat([0.0, 0.0, -0.75, 0.5], 4)).reshape(1, 1, 4, 4), np.zeros(4)]
    )
    model.get_layer("right").set_weights([right, np.zeros(4)])
    return model


@pytest.fixture(scope="module")
def inputs() -> Any:
    """Far larger than the six that TFMOT's ranges start at."""
    return np.random.default_rng(4).uniform(0, 60, size=(32, 8, 8, 1)).astype(np.float32)


def _wrapped(plain: Any, graph: Graph | None = None) -> Any:
    from zoo_builders.keras_models.weights import copied
    from zoo_builders.techniques.quantize_aware import fake_quant, selection

    graph = graph or residual()
    layers = quantized_layers(graph, Params())
    model = fake_quant.wrap(copied(plain), layers, selection.output_configs(graph, layers))
    fake_quant.settle(model)
    return model


@pytest.fixture(scope="module")
def observed(plain: Any, inputs: Any) -> Any:
    """Wrapped, ranges measured."""
    from zoo_builders.techniques.quantize_aware import fake_quant

    model = _wrapped(plain)
    fake_quant.observe(model, [inputs[:16], inputs[16:]])
    return model


def _quantizers(model: Any, name: str) -> list[Any]:
    return [quantizer for _, quantizer, _ in model.get_layer(name)._weight_vars]


def test_every_kernel_is_quantized_also_before_a_relu_and_a_concatenation(observed: Any) -> None:
    assert {name: len(_quantizers(observed, name)) for name in KERNELS} == dict.fromkeys(KERNELS, 1)


def test_what_tfmot_alone_makes_of_it_leaves_a_kernel_before_a_relu_in_float(plain: Any) -> None:
    """If this fails, TFMOT has mended it and `fake_quant.wrap` need not any more."""
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render
    from zoo_builders.keras_models.weights import copied

    net = Net("short", (8, 8, 1))
    net.conv(4, 3, name="stem")
    net.relu(name="stem_relu")
    model = tf.tfmot.quantization.keras.quantize_model(
        copied(render(net.graph())), quantized_layer_name_prefix=""
    )
    assert _quantizers(model, "stem") == []


def test_measured_ranges_follow_the_float_network_where_tfmot_starts_clip_it(
    plain: Any, observed: Any, inputs: Any
) -> None:
    expected = plain(inputs).numpy()
    unmeasured = np.abs(_wrapped(plain)(inputs).numpy() - expected).max()
    measured = np.abs(observed(inputs).numpy() - expected).max()
    assert measured < 0.05 * np.abs(expected).max()
    assert unmeasured > 5 * measured


def test_a_wrapped_model_is_the_same_after_saving_and_loading(
    observed: Any, inputs: Any, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.fake_quant_models import is_wrapped
    from zoo_builders.keras_models.files import load, save

    save(observed, tmp_path / "model.keras")
    again = load(tmp_path / "model.keras")
    assert is_wrapped(again)
    assert np.array_equal(again(inputs).numpy(), observed(inputs).numpy())


def test_zeros_and_shared_values_outlast_training_in_each_kernel_that_has_them(
    plain: Any, observed: Any, inputs: Any
) -> None:
    from zoo_builders.keras_models.fake_quant_models import is_wrapper
    from zoo_builders.techniques.quantize_aware import fake_quant

    before = {name: plain.get_layer(name).kernel.numpy() for name in KERNELS}
    values, groups = np.unique(before["left"], return_inverse=True)
    fake_quant.hold(
        observed, "left", zeros=before["left"] == 0, groups=groups.reshape(before["left"].shape)
    )
    fake_quant.hold(observed, "gate", zeros=before["gate"] == 0)
    fake_quant.hold(observed, "right", zeros=before["right"] == 0)
    observed.compile("adam", loss="mse")
    observed.fit(
        inputs, np.random.default_rng(0).normal(size=(32, 10)), epochs=2, batch_size=8, verbose=0
    )
    fake_quant.finish(observed)
    after = {name: observed.get_layer(name)._weight_vars[0][0].numpy() for name in KERNELS}
    assert len(np.unique(after["left"])) == len(values) == 3
    assert [(after[name] == 0).sum() for name in KERNELS] == [
        (before[name] == 0).sum() for name in KERNELS
    ]
    assert all(not np.array_equal(after[name], before[name]) for name in KERNELS)
    assert all(
        type(q).__name__ != "_Holding"
        for layer in observed.layers
        if is_wrapper(layer)
        for _, q, _ in layer._weight_vars
    )


def test_more_than_1024_shared_values_outlast_training() -> None:
    """TFMOT's own gives up above 1,024: as many as 300 channels of four values each have."""
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render
    from zoo_builders.techniques.cluster.shared_values import groups_in
    from zoo_builders.techniques.quantize_aware import fake_quant

    net = Net("broad", (2, 2, 16))
    net.conv(300, 1, name="broad")
    net.relu(name="relu")
    model, random = render(net.graph()), np.random.default_rng(0)
    kernel = np.stack(
        [random.choice(random.normal(size=4), 16) for _ in range(300)], axis=-1
    ).reshape(1, 1, 16, 300)
    model.get_layer("broad").set_weights([kernel, np.zeros(300)])
    groups, most = groups_in(model.get_layer("broad").kernel.numpy(), 4)
    shared = len(np.unique(groups))
    assert (most, shared > 1024) == (4, True)
    wrapped = _wrapped(model, net.graph())
    images = random.uniform(size=(16, 2, 2, 16)).astype(np.float32)
    fake_quant.observe(wrapped, [images])
    fake_quant.hold(wrapped, "broad", groups=groups)
    wrapped.compile(tf.keras.optimizers.Adam(0.01), loss="mse")
    wrapped.fit(images, random.normal(size=(16, 2, 2, 300)), epochs=2, batch_size=8, verbose=0)
    fake_quant.finish(wrapped)
    after = wrapped.get_layer("broad")._weight_vars[0][0].numpy()
    assert not np.allclose(after, kernel)
    assert all(len(np.unique(after[groups == number])) == 1 for number in np.unique(groups))


def test_a_kernel_that_is_not_quantized_cannot_be_held(observed: Any) -> None:
    from zoo_builders.techniques.quantize_aware import fake_quant

    with pytest.raises(BuildFailed, match="pool"):
        fake_quant.hold(observed, "pool", zeros=np.zeros(3, bool))


def test_a_group_moves_by_the_mean_of_its_gradients() -> None:
    from zoo_builders import tf
    from zoo_builders.techniques.projection import projection

    project = projection(np.array([False, False, True, False]), np.array([0, 0, 1, 2]))
    weights = tf.tensorflow.Variable([1.0, 3.0, 5.0, 7.0])
    with tf.tensorflow.GradientTape() as tape:
        projected = project(weights)
        loss = tf.tensorflow.reduce_sum(projected * [1.0, 2.0, 4.0, 8.0])
    assert projected.numpy().tolist() == [2.0, 2.0, 0.0, 7.0]
    assert tf.tensorflow.convert_to_tensor(tape.gradient(loss, weights)).numpy().tolist() == [
        1.5,
        1.5,
        0.0,
        8.0,
    ]


def test_the_file_is_int8_throughout_also_where_products_and_dead_channels_are(
    observed: Any, inputs: Any
) -> None:
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.tflite.flatbuffer import read
    from zoo_builders.tflite.inspection import examine
    from zoo_builders.tflite.litert import Session

    file = to_tflite(observed)
    assert {activation.dtype for activation in examine(read(file)).activations} == {"int8"}
    session = Session(file)
    port = session.inputs[0]
    found = np.concatenate([session.run([port.store(one[None])])[0] for one in inputs[:4]])
    expected = observed(inputs[:4]).numpy()
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def _everything() -> Any:
    """Make a Keras model with every class and activation that `check` lets pass."""
    from zoo_builders import tf
    from zoo_builders.techniques.quantize_aware import limits

    kinds = tf.keras.layers
    start = tf.keras.Input((8, 8, 3), name="input")
    x = kinds.ZeroPadding2D(1, name="pad")(start)
    x = kinds.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = kinds.BatchNormalization(name="norm")(x)
    x = kinds.LeakyReLU(name="leaky")(x)
    x = kinds.UpSampling2D(2, name="up")(x)
    x = kinds.AveragePooling2D(2, name="average")(x)
    x = kinds.MaxPooling2D(1, name="max")(x)
    for kind in sorted(limits.ACTIVATION_LAYERS):
        x = kinds.Activation(kind, name=f"is_{kind}")(kinds.Conv2D(4, 1, name=f"before_{kind}")(x))
    for kind in sorted(limits.OWN_ACTIVATIONS):
        x = kinds.Conv2D(4, 1, activation=kind, name=f"with_{kind}")(x)
    shifted = kinds.ReLU(6.0, name="relu")(kinds.Rescaling(1.0, 3.0, name="shift")(x))
    x = kinds.Multiply(name="product")([x, kinds.Rescaling(1 / 6, name="scale")(shifted)])
    x = kinds.Concatenate(name="both")([x, kinds.Add(name="sum")([x, shifted])])
    x = kinds.GlobalAveragePooling2D(name="pool")(
        kinds.Dropout(0.1, name="drop")(kinds.Reshape((8, 8, 8), name="reshape")(x))
    )
    return tf.keras.Model(
        start,
        kinds.Softmax(name="softmax")(
            kinds.Dense(3, name="dense")(kinds.Flatten(name="flatten")(x))
        ),
        name="all",
    )


def test_every_layer_that_is_let_pass_is_int8_in_the_file() -> None:
    from zoo_builders import tf
    from zoo_builders.converting.tensorflow_converter import to_tflite
    from zoo_builders.keras_models.render import graph_of
    from zoo_builders.techniques.quantize_aware import fake_quant, limits
    from zoo_builders.tflite.flatbuffer import read
    from zoo_builders.tflite.inspection import examine

    tf.deterministic(5)
    graph = graph_of(model := _everything())
    assert {node.op for node in graph.nodes} == limits.KNOWN
    assert [found for node in graph.nodes if (found := limits.objection(graph, node))] == []
    wrapped = _wrapped(model, graph)
    images = np.random.default_rng(0).uniform(-3, 3, size=(4, 8, 8, 3)).astype(np.float32)
    fake_quant.observe(wrapped, [images])
    fake_quant.finish(wrapped)
    file = examine(read(to_tflite(wrapped)))
    assert [(one.operator, one.tensor) for one in file.activations if one.dtype != "int8"] == []
    assert {
        weight.granularity
        for weight in file.structure.weights
        if weight.operator == "DEPTHWISE_CONV_2D"
    } == {"channel"}


def _narrow() -> Graph:
    net = Net("narrow", (8, 8, 3))
    net.depthwise(3, name="depthwise")
    return net.graph()


def test_each_channel_of_a_depthwise_kernel_has_its_own_scale_and_keeps_it_when_saved(
    tmp_path: Path,
) -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.files import load, save
    from zoo_builders.keras_models.render import render
    from zoo_builders.techniques.quantize_aware import fake_quant

    tf.deterministic(6)
    model = render(_narrow())
    random = np.random.default_rng(6)
    kernel = random.normal(size=(3, 3, 3, 1)) * np.array([1.0, 0.01, 0.0])[:, None]
    model.get_layer("depthwise").set_weights([kernel, np.zeros(3)])
    images = random.normal(size=(4, 8, 8, 3)).astype(np.float32)
    expected = model(images).numpy()
    wrapped = _wrapped(model, _narrow())
    fake_quant.observe(wrapped, [images])
    [(quantized, quantizer, _)] = wrapped.get_layer("depthwise")._weight_vars
    error = np.abs(quantizer(quantized).numpy() - kernel)[..., 0].max((0, 1))
    assert (error <= np.abs(kernel)[..., 0].max((0, 1)) / 127).all()
    fake_quant.finish(wrapped)
    again = wrapped(images).numpy()
    assert np.abs(again - expected).max() < 0.02 * np.abs(expected).max()
    save(wrapped, tmp_path / "model.keras")
    assert np.array_equal(load(tmp_path / "model.keras")(images).numpy(), again)


@pytest.mark.parametrize(
    ("technique", "hint"),
    [("quantize_aware", "quantize: {dtype: int8}"), ("cluster", "or use prune and quantize")],
)
def test_layers_nobody_knows_are_all_named_when_the_network_is_built(
    technique: str, hint: str
) -> None:
    """A Python network that imports TensorFlow is first seen here."""
    from zoo_builders import tf

    layers = tf.keras.layers
    start = tf.keras.Input((6, 4), name="start")
    x = layers.Conv1D(4, 1, name="one")(start)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.LSTM(4, name="memory")(x)
    model = tf.keras.Model(start, layers.Dense(3, name="head")(x))
    made = TECHNIQUES.get(technique)
    with pytest.raises(BuildFailed) as caught:
        # refused before it reads any data
        made.apply(model, made.params(), None)  # type: ignore[arg-type]
    for named in ("one (Conv1D)", "norm (LayerNormalization)", "memory (LSTM)"):
        assert named in caught.value.message
    assert hint in (caught.value.hint or "")


def test_activations_nobody_knows_are_named_when_the_network_is_built() -> None:
    from zoo_builders import tf

    layers = tf.keras.layers
    start = tf.keras.Input((8, 8, 1), name="start")
    x = layers.Activation("softsign", name="odd")(layers.Conv2D(4, 3, name="conv")(start))
    x = layers.Activation("selu", name="odder")(layers.Conv2D(4, 3, name="second")(x))
    model = tf.keras.Model(start, x)
    made = TECHNIQUES.get("quantize_aware")
    with pytest.raises(
        BuildFailed, match=r"layer odd: .*knows no activation 'softsign'; layer odder: .*'selu'"
    ) as caught:
        # refused before it reads any data
        made.apply(model, made.params(), None)  # type: ignore[arg-type]
    assert "skip: [{name: odd}]" in (caught.value.hint or "")
    made = TECHNIQUES.get("cluster")
    with pytest.raises(
        BuildFailed, match=r"cluster cannot be applied: .*no Conv2D or Dense it picks"
    ):
        # refused before it reads any data
        made.apply(model, made.params.model_validate({"clusters": 1024}), None)  # type: ignore[arg-type]
