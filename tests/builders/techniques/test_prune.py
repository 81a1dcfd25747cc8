"""`prune` on real models.

Its masks, its wrapper, the zeros it leaves, and that they stand in the file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.digits import a_job
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.techniques import Step
from zoo_builders.techniques.prune.masks import (
    Target,
    mask,
    prunable,
    prune_now,
    settle,
    wrapped,
    wrapper,
)
from zoo_builders.techniques.prune.params import Params
from zoo_builders.techniques.prune.promises import promises
from zoo_registry.model.errors import BuildFailed, ProofFailed

pytestmark = pytest.mark.train

TRAIN = {"epochs": 1, "batch_size": 50, "learning_rate": 1e-3, "seed": 7}
CUSTOM = '''
import tf_keras as keras


class Narrow(keras.layers.Dense):
    """TFMOT matches classes exactly, so it refuses this one."""


class Mix(keras.layers.Layer):
    """A layer that says itself what is pruned, as TFMOT's PrunableLayer does."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.matrix = self.add_weight("matrix", shape=(shape[-1], self.units))

    def call(self, inputs):
        return keras.backend.dot(inputs, self.matrix)

    def get_prunable_weights(self):
        return [self.matrix]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Scale(keras.layers.Layer):
    """Nothing TFMOT can wrap: one such layer fails its whole model."""

    def build(self, shape):
        self.factor = self.add_weight("factor", shape=(shape[-1],), initializer="ones")

    def call(self, inputs):
        return inputs * self.factor


def network():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(image)
    x = Narrow(24, activation="relu", name="narrow")(x)
    x = Mix(24, name="mix")(keras.layers.ReLU(name="between")(x))
    x = Scale(name="scale")(keras.layers.ReLU(name="after")(x))
    return keras.Model(image, keras.layers.Dense(10, name="head")(x))
'''


def network() -> Graph:
    """A dense stem, 1x1 and 3x3 convolutions, a sum."""
    net = Net("branches", (8, 8, 1))
    net.flatten(name="flat")
    net.dense(64, activation="relu", name="stem")
    square = Node("square", "Reshape", {"target_shape": (4, 4, 4)}, ("stem",), (4, 4, 4))
    rest = Net("branches", square.shape)
    start = rest.conv(16, 3, padding="same", name="wide")
    rest.relu(name="wide_relu")
    rest.conv(16, 1, name="point")
    rest.relu(name="point_relu")
    rest.add(rest.last, start, name="sum")
    rest.global_pool(keepdims=False, name="mean")
    rest.dense(32, activation="relu", name="hidden")
    rest.dense(10, name="head")
    joined = [
        replace(node, inputs=tuple("square" if name == "input" else name for name in node.inputs))
        for node in rest.graph().nodes[1:]
    ]
    return Graph("branches", (*net.graph().nodes, square, *joined))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 digits."""
    from zoo_builders.stages import data as data_stage

    splits = {
        "train": "train[:150]",
        "validation": "train[150:200]",
        "test": "test[:20]",
        "calibration": "train[:20]",
    }
    params = {"source": "digits", "args": {}, "splits": splits, "preprocess": [{"rescale": [0, 1]}]}
    job = a_job("data", tmp_path_factory.mktemp("digits"), params)
    data_stage.run(job)
    return job.out


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a base stage leaves it, weights drawn from a seed."""
    from zoo_builders import tf
    from zoo_builders.keras_models.files import save
    from zoo_builders.keras_models.render import render

    tf.deterministic(3)
    folder = tmp_path_factory.mktemp("base")
    save(render(network()), folder / "model.keras")
    return folder


def run(said: Mapping[str, Any], base: Path, data: Path, out: Path) -> tuple[Any, dict[str, Any]]:
    """Run the stage; give its model and its report."""
    from zoo_builders.keras_models.files import load
    from zoo_builders.stages import technique as technique_stage

    stage = {"technique": "prune", "params": dict(said), "train": TRAIN, "seed": 7}
    job = a_job("technique", out, stage, inputs={"model": base, "data": data})
    before = (base / "model.keras").read_bytes()
    technique_stage.run(job)
    assert (base / "model.keras").read_bytes() == before, (
        "wrappers share layers with what they wrap: the base must not change"
    )
    return load(out / "model.keras"), json.loads((out / "report.json").read_text())


def zeros(model: Any, name: str) -> float:
    return float((model.get_layer(name).get_weights()[0] == 0).mean())


def in_file(
    model: Path, data: Path, folder: Path, params: Params, graph: Graph, *, int8: bool
) -> list[dict[str, Any]]:
    """Convert and hold the promises against the file; give the findings."""
    from zoo_builders.stages import convert, inspect

    quantize = {"dtype": "int8", "samples": 20, "report": False} if int8 else None
    job = a_job(
        "convert", folder / "file", {"quantize": quantize}, inputs={"model": model, "data": data}
    )
    convert.run(job)
    made = [
        promise.model_dump(mode="json")
        for promise in promises(graph, params, [Step("prune", params)])
    ]
    look = a_job("inspect", folder / "look", {"promises": made}, inputs={"file": job.out})
    inspect.run(look)
    found: list[dict[str, Any]] = json.loads((look.out / "proofs.json").read_text())
    assert len(found) >= sum(len(promise["layers"]) or 1 for promise in made)
    return found


EVERYTHING = {
    "epochs": 1,
    "final": 0.7,
    "initial": 0.2,
    "layers": [
        {"name": "stem", "final": 0.6, "block": [1, 16]},
        {"name": "point", "final": 0.75, "block": [1, 4]},
        {"name": "hidden", "pattern": "2:4"},
        {"name": "head", "bias": True},
        {"type": "Conv2D"},
    ],
}


@pytest.fixture(scope="module")
def everything(
    base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, dict[str, Any], Path]:
    """One training with every kind of target at once."""
    out = tmp_path_factory.mktemp("everything")
    return (*run(EVERYTHING, base, data, out), out)


def test_each_layer_ends_with_its_own_zeros_in_a_training_of_three_steps(
    everything: tuple[Any, dict[str, Any], Path],
) -> None:
    model, report, _ = everything
    assert report["schedule"] == {"begin": 0, "end": 3, "every": 1, "steps": 3}
    for name, share in {
        "stem": 0.6,
        "point": 0.75,
        "hidden": 0.5,
        "head": 0.7,
        "wide": 0.7,
    }.items():
        assert share <= zeros(model, name) < share + 0.01
        assert report["sparsity"][name] == pytest.approx(zeros(model, name))
    assert (model.get_layer("head").get_weights()[1] == 0).sum() == 7
    assert len(report["history"]["epochs"]) == 1


@pytest.mark.parametrize("int8", [False, True])
def test_blocks_groups_biases_and_shares_stand_in_the_file(
    int8: bool, everything: tuple[Any, dict[str, Any], Path], data: Path, tmp_path: Path
) -> None:
    found = in_file(
        everything[2], data, tmp_path, Params.model_validate(EVERYTHING), network(), int8=int8
    )
    kinds = {finding["promise"] for finding in found}
    assert {
        "zeros in consecutive weights",
        "share of zero blocks of 1x16 at least",
        "share of zeros in the bias at least",
    } <= kinds
    assert all(finding["held"] for finding in found)


def test_wrappers_share_layers_with_what_they_wrap_so_a_copy_is_pruned() -> None:
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render
    from zoo_builders.keras_models.weights import copied

    model = render(network())
    schedule = {"hidden": tf.tfmot.sparsity.keras.ConstantSparsity(0.5, 0, 10, 1)}
    for mine, changes in ((model, True), (copied(model), False)):
        inner = (
            wrapped(mine, {"hidden": Target(0.5)}, schedule)
            .get_layer("prune_to_target_hidden")
            .layer
        )
        assert (inner is model.get_layer("hidden")) == changes, (
            "copying is what keeps the first model as it was"
        )


def test_a_file_whose_layers_hold_fewer_zeros_than_promised_fails_by_name(
    base: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ProofFailed, match=r"hidden.*promised share of zeros at least 0.5, found 0.0"
    ):
        in_file(
            base,
            data,
            tmp_path,
            Params.model_validate({"layers": [{"name": "hidden"}]}),
            network(),
            int8=False,
        )


def test_a_quick_try_prunes_at_once_and_trains_nothing(
    base: Path, data: Path, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.files import load

    model, report = run(
        {"epochs": 0, "final": 0.8, "skip": [{"name": "stem"}]}, base, data, tmp_path
    )
    assert report["history"]["epochs"] == []
    assert zeros(model, "stem") == 0
    assert 0.8 <= zeros(model, "wide") < 0.81
    kernel, before = (
        model.get_layer("wide").get_weights()[0],
        load(base / "model.keras").get_layer("wide").get_weights()[0],
    )
    assert (kernel[kernel != 0] == before[kernel != 0]).all()


def test_from_scratch_the_weights_that_came_in_are_forgotten(
    base: Path, data: Path, tmp_path: Path
) -> None:
    """Large weights would stay large in three steps of fine-tuning."""
    from zoo_builders.keras_models.files import load, save

    large = load(base / "model.keras")
    large.set_weights([weight + 100 for weight in large.get_weights()])
    folder = tmp_path / "large"
    folder.mkdir()
    save(large, folder / "model.keras")
    model, _ = run(
        {"epochs": 1, "start": "scratch", "schedule": "constant"}, folder, data, tmp_path / "out"
    )
    assert np.abs(model.get_layer("wide").get_weights()[0]).max() < 2
    assert zeros(model, "wide") >= 0.5


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"epochs": 1, "end_step": 4}, "ends at step 4, but the training at step 3"),
        ({"epochs": 1, "frequency": 100}, "renewed every 100 steps, but the schedule lasts 3"),
        (
            {"epochs": 1, "begin_step": 3, "prune_until_epoch": 1},
            "begins at step 3 and ends at step 3",
        ),
    ],
)
def test_a_schedule_that_misses_its_target_is_refused_before_training(
    said: dict[str, Any], message: str, base: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailed, match=message) as refused:
        run(said, base, data, tmp_path)
    assert "in the manifest" in refused.value.hint


@pytest.fixture(scope="module")
def own_layers(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose layers are of the user's own classes."""
    from zoo_builders.stages import base as base_stage

    folder = tmp_path_factory.mktemp("own")
    (folder / "network.py").write_text(CUSTOM)
    params = {
        "network": "file:network",
        "args": {},
        "weights": {"source": "train"},
        "train": TRAIN,
        "task": "image-classification",
    }
    job = a_job(
        "base",
        folder / "base",
        params,
        inputs={"data": data},
        files={"network_source": folder / "network.py"},
    )
    base_stage.run(job)
    return job.out


def test_subclasses_and_layers_that_say_themselves_are_pruned_and_the_rest_is_left_alone(
    own_layers: Path, data: Path, tmp_path: Path
) -> None:
    params = Params.model_validate(
        {"epochs": 1, "final": 0.6, "layers": [{"name": "mix", "final": 0.8}, {"name": "n*"}]}
    )
    model, report = run(params.model_dump(mode="json"), own_layers, data, tmp_path / "out")
    assert set(report["sparsity"]) == {"mix", "narrow"}
    assert zeros(model, "mix") >= 0.8
    assert zeros(model, "head") == 0
    assert {layer.__class__.__name__ for layer in model.layers} >= {"Narrow", "Mix", "Scale"}
    found = in_file(tmp_path / "out", data, tmp_path, params, Graph("unknown", ()), int8=False)
    assert [finding["expected"] for finding in found] == ["0.8", "0.6"]


@pytest.mark.parametrize("rule", [{"position": "first"}, {"type": "Narrow"}])
def test_layers_of_ones_own_are_picked_by_name_only(
    rule: dict[str, Any], own_layers: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailed, match="proven by names"):
        run({"epochs": 1, "layers": [rule]}, own_layers, data, tmp_path)


def dense(inputs: int, outputs: int, seed: int = 0) -> Any:
    from zoo_builders import tf

    layer = tf.keras.layers.Dense(outputs, name="layer")
    layer.build((None, inputs))
    layer.set_weights(
        [
            np.random.default_rng(seed).normal(size=weight.shape).astype(np.float32)
            for weight in layer.get_weights()
        ]
    )
    return layer


@given(st.integers(2, 40), st.integers(2, 12), st.floats(0.05, 0.95), st.booleans())
@settings(max_examples=20)
def test_the_largest_weights_are_kept_and_ties_do_not_add_to_them(
    inputs: int, outputs: int, share: float, equal: bool
) -> None:
    weights = np.random.default_rng(inputs).normal(size=(inputs, outputs)).astype(np.float32)
    weights = np.sign(weights) if equal else weights
    kept = mask(weights, np.float32(share), Target(share)).numpy() == 1
    wanted = max(1, round(np.float32(weights.size) * (1 - np.float32(share))))
    assert kept.sum() == wanted, "TFMOT's threshold keeps every weight that equals it"
    if not equal and not kept.all():
        assert np.abs(weights[kept]).min() >= np.abs(weights[~kept]).max()


@given(
    st.integers(2, 40),
    st.integers(2, 12),
    st.tuples(st.integers(1, 4), st.integers(1, 16)),
    st.sampled_from(["avg", "max"]),
)
@settings(max_examples=20)
def test_blocks_are_kept_or_left_out_whole_in_dense_and_1x1_kernels(
    inputs: int, outputs: int, block: Any, pooling: Any
) -> None:
    from zoo_builders.tflite.proof import zero_blocks

    weights = np.random.default_rng(outputs).normal(size=(1, 1, inputs, outputs)).astype(np.float32)
    target = Target(0.5, block=block, pooling=pooling)
    kept = mask(weights, np.float32(0.5), target).numpy()
    assert (kept[0, 0] == mask(weights[0, 0], np.float32(0.5), target).numpy()).all()
    rows = kept[0, 0].T
    count = math.ceil(outputs / block[0]) * math.ceil(inputs / block[1])
    assert zero_blocks(rows == 0, block).sum() == count - max(1, round(count / 2))
    assert zero_blocks(rows == 1, block).sum() == max(1, round(count / 2)), "a block is never cut"


@pytest.mark.parametrize(("pooling", "zero"), [("avg", 0), ("max", 1)])
def test_the_mean_and_the_largest_of_a_block_decide_differently(pooling: Any, zero: int) -> None:
    weights = np.array(
        [[0.0, 3.0], [4.0, 3.0], [0.0, 3.0], [4.0, 3.5]], np.float32
    )  # outputs: mean 2 and 3.1, largest 4 and 3.5
    kept = mask(weights, np.float32(0.5), Target(0.5, block=(1, 4), pooling=pooling)).numpy()
    assert (kept[:, zero] == 0).all()
    assert (kept[:, 1 - zero] == 1).all()


@given(st.integers(4, 30), st.integers(1, 6), st.sampled_from([(2, 4), (1, 4), (3, 4), (1, 2)]))
@settings(max_examples=20)
def test_every_group_of_consecutive_inputs_holds_its_zeros(
    inputs: int, outputs: int, groups: Any
) -> None:
    from zoo_builders.tflite.proof import fewest_zeros

    weights = np.random.default_rng(inputs).normal(size=(3, 3, inputs, outputs)).astype(np.float32)
    kept = mask(weights, np.float32(0.5), Target(0.5, groups=groups)).numpy()
    stored = np.moveaxis(kept, -1, 0).reshape(-1, inputs)
    assert fewest_zeros(stored == 0, groups[1]) == groups[0]
    first = np.abs(np.moveaxis(weights, -1, 0).reshape(-1, inputs)[:, : groups[1]])
    assert all(stored[row, first[row].argmax()] == 1 for row in range(len(first)))


def a_wrapper(target: Target, begin: int = 0) -> Any:
    from zoo_builders import tf

    schedule = tf.tfmot.sparsity.keras.ConstantSparsity(target.final, begin, 10, 1)
    found = wrapper()(dense(8, 8), schedule, asdict(target))
    found.build((None, 8))
    return found


@pytest.mark.parametrize(
    "target",
    [Target(0.5, groups=(2, 4)), Target(0.5, block=(1, 4), pooling="max"), Target(0.25, bias=True)],
)
def test_a_clone_of_the_wrapper_knows_its_target(target: Target) -> None:
    """TFMOT's own forgets m by n: get_config does not write it."""
    one = a_wrapper(target)
    config = json.loads(json.dumps(one.get_config()))
    clone = type(one).from_config(config)
    clone.build((None, 8))
    assert clone.target == target
    assert len(clone.pruning_vars) == (2 if target.bias else 1)


def test_groups_follow_the_schedule() -> None:
    """TFMOT's own makes the masks at step 1, whatever the schedule says."""
    one = a_wrapper(Target(0.5, groups=(2, 4)), begin=5)
    for step, kept in ((1, 64), (4, 64), (5, 32)):
        one.pruning_step.assign(step)
        one.pruning_obj.conditional_mask_update()
        assert one.pruning_vars[0][1].numpy().sum() == kept


def test_all_that_a_training_remembers_is_a_variable() -> None:
    from zoo_builders import tf

    model = tf.keras.Sequential([tf.keras.Input((8,)), dense(8, 4)])
    schedule = tf.tfmot.sparsity.keras.ConstantSparsity(0.5, 0, 10, 1)
    made = wrapped(model, {"layer": Target(0.5, groups=(2, 4))}, {"layer": schedule})
    names = {variable.name.rpartition("/")[2] for variable in made.variables}
    assert names == {"kernel:0", "bias:0", "mask:0", "threshold:0", "pruning_step:0"}


@given(st.integers(2, 200), st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_a_kernel_that_lacks_one_zero_to_rounding_gets_it(size: int, final: float) -> None:
    wanted = math.ceil(size * final - 1e-9)
    layer = dense(size, 1)
    kernel = np.arange(1, size + 1, dtype=np.float32)
    kernel[: wanted - 1] = 0
    layer.kernel.assign(kernel[:, None])
    assert settle(layer, Target(final)) >= final - 1e-9
    found = layer.kernel.numpy()[:, 0]
    assert (found == 0).sum() == wanted
    assert (found[wanted:] == np.arange(wanted + 1, size + 1)).all(), "the large ones are kept"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(0.75), r"layer: 0 of 64 weights are zero after pruning; expected 48"),
        (Target(0.5, block=(1, 4)), r"layer: 0 of 16 blocks are zero after pruning; expected 8"),
        (
            Target(0.5, groups=(2, 4)),
            r"layer: 0 of every 4 weights are zero after pruning; expected 2",
        ),
    ],
)
def test_weights_whose_masks_never_got_there_fail_the_build(target: Target, message: str) -> None:
    with pytest.raises(ProofFailed, match=message):
        settle(dense(8, 8), target)


def test_the_bias_is_pruned_where_it_is_asked_for() -> None:
    layer = dense(16, 8)
    assert [tuple(variable.shape) for variable in prunable(layer)] == [(16, 8)]
    prune_now(layer, Target(0.5, bias=True))
    assert (layer.bias.numpy() == 0).sum() == 4
