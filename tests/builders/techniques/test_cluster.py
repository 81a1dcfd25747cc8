"""`cluster`: its parameters, its order in a recipe, its values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.cluster.params import Params
from zoo_builders.techniques.cluster.rules import check, layers, promises, rewrites
from zoo_builders.techniques.cluster.selection import Target, clustered_layers
from zoo_builders.techniques.prune.params import Params as Prune
from zoo_builders.techniques.quantize.params import Params as Quantize

GRAPH = NETWORKS.get("digits_cnn")(width=16)
PRUNED = [Step("prune", Prune())]


@pytest.mark.parametrize(
    "given",
    [
        {"clusters": 1},
        {"clusters": 5000},
        {"init": "magic"},
        {"preserve": "clusters"},
        {"learning_rate": 0},
    ],
)
def test_parameters_that_cannot_be_are_refused(given: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Params.model_validate(given)


def test_zeros_of_prune_are_kept_or_the_recipe_is_refused() -> None:
    [found] = check(GRAPH, Params(preserve="none"), PRUNED)
    assert found.fix == "drop preserve: it is inferred from the recipe"
    assert check(GRAPH, Params(), PRUNED) == check(GRAPH, Params(preserve="sparsity"), PRUNED) == []


def test_there_must_be_zeros_to_preserve() -> None:
    [found] = check(GRAPH, Params(preserve="sparsity"), [])
    assert "no earlier step" in found.reason


def test_a_network_with_fewer_weights_than_clusters_is_refused() -> None:
    net = Net("tiny", (2, 2, 1))
    net.conv(2, 1)
    assert check(net.graph(), Params(), [])


def test_only_kernels_with_more_weights_than_clusters_are_clustered() -> None:
    assert tuple(clustered_layers(GRAPH, Params(clusters=144))) == (
        "block1_pointwise",
        "block2_pointwise",
        "classifier",
    )
    assert "block1_depthwise" not in clustered_layers(GRAPH, Params())


def test_each_layer_is_clustered_as_its_first_rule_says() -> None:
    rules = [
        {"name": "block2*", "clusters": 4},
        {"type": "Conv2D", "per_channel": True},
        {"name": "stem_conv", "clusters": 3},
    ]
    params = Params.model_validate({"clusters": 8, "layers": rules})
    assert clustered_layers(GRAPH, params) == {
        "stem_conv": Target(8, per_channel=True),
        "block1_pointwise": Target(8, per_channel=True),
        "block2_pointwise": Target(4, per_channel=False),
    }
    assert params.most == 8
    found = promises(GRAPH, params, [Step("cluster", params)])
    assert [(p.value, p.per, [layer.layer for layer in p.layers]) for p in found] == [
        (8, "channel", ["stem_conv", "block1_pointwise"]),
        (4, "tensor", ["block2_pointwise"]),
    ]


def test_verdicts_say_why_a_layer_is_left_as_it_is() -> None:
    said = layers(
        GRAPH, Params.model_validate({"clusters": 200, "skip": [{"name": "classifier"}]}), PRUNED
    )
    assert (
        said["block1_pointwise"].reason
        == "200 values in the whole kernel; keeps the zeros of prune"
    )
    assert [said[name].applies for name in ("stem_conv", "block1_depthwise", "classifier")] == [
        False
    ] * 3
    assert (said["stem_conv"].fix, said["classifier"].fix) == (
        "lower clusters",
        "add {name: classifier} to layers, or drop it from skip",
    )


def test_later_steps_meet_the_folded_network() -> None:
    met = rewrites(GRAPH, Params(), [])
    assert [node.op for node in met.nodes if node.op == "BatchNormalization"] == []
    assert met.node("stem_relu").inputs == ("stem_conv",)
    assert rewrites(GRAPH, Params(fold_batch_norm=False), []) is GRAPH


@pytest.mark.parametrize(
    ("dtype", "fold", "per"),
    [
        (None, True, "tensor"),
        (None, False, "channel"),
        ("float16", True, "tensor"),
        ("int8", True, "channel"),
        ("dynamic", True, "channel"),
    ],
)
def test_values_are_promised_where_they_can_be_shared(dtype: Any, fold: bool, per: str) -> None:
    steps = [Step("cluster", Params(fold_batch_norm=fold))] + (
        [Step("quantize", Quantize(dtype=dtype))] if dtype else []
    )
    [promise] = promises(GRAPH, Params(fold_batch_norm=fold), steps)
    assert (promise.kind, promise.value, promise.per) == ("distinct_at_most", 16, per)


INITS = ("kmeans++", "linear", "density", "random")
KERNELS = ("stem_conv", "block1_pointwise", "block2_pointwise", "classifier")


@pytest.fixture(scope="module")
def started(
    digits_base: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The tiny model clustered from each start, one kernel with values of its own in each channel.

    The steps of training are too small to move a weight: what differs comes from the start alone.
    """
    from zoo_builders.keras_models.files import load
    from zoo_builders.stages import technique as technique_stage

    found = {}
    for init in INITS:
        rules = [{"name": "block2_pointwise", "per_channel": True}, {"name": "*"}]
        params = {"clusters": 8, "init": init, "epochs": 1, "learning_rate": 1e-12, "layers": rules}
        stage = {"technique": "cluster", "params": params, "train": TRAIN, "seed": 7}
        job = a_job(
            "technique",
            tmp_path_factory.mktemp("start"),
            stage,
            inputs={"model": digits_base, "data": digits_data},
        )
        technique_stage.run(job)
        found[init] = load(job.out / "model.keras")
    return found


@pytest.mark.train
@pytest.mark.parametrize("init", INITS)
def test_every_start_ends_in_few_values(init: str, started: dict[str, Any]) -> None:
    kernels = {name: started[init].get_layer(name).get_weights()[0] for name in KERNELS}
    shared = {name: [kernel] for name, kernel in kernels.items()} | {
        "block2_pointwise": np.moveaxis(kernels["block2_pointwise"], -1, 0)
    }
    assert all(2 <= len(np.unique(part)) <= 8 for parts in shared.values() for part in parts)
    assert len(np.unique(started[init].get_layer("block1_depthwise").get_weights()[0])) > 100


@pytest.mark.train
@pytest.mark.parametrize("layer", ["block1_pointwise", "block2_pointwise"])
def test_each_start_ends_elsewhere_in_whole_kernels_and_in_channels(
    layer: str, started: dict[str, Any]
) -> None:
    assert len(
        {started[init].get_layer(layer).get_weights()[0].tobytes() for init in INITS}
    ) == len(INITS)


@pytest.mark.train
def test_pruned_and_clustered_keeps_both_promises_in_every_dtype(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders.stages import convert
    from zoo_builders.stages import inspect as look
    from zoo_builders.stages import technique as technique_stage

    steps = [
        Step("prune", Prune(final=0.6, epochs=2)),
        Step("cluster", Params(preserve="sparsity", epochs=2)),
    ]
    model = digits_base
    for step in steps:
        stage = {
            "technique": step.technique,
            "params": step.params.model_dump(mode="json"),
            "train": TRAIN,
            "seed": 7,
        }
        job = a_job(
            "technique",
            tmp_path / step.technique,
            stage,
            inputs={"model": model, "data": digits_data},
        )
        technique_stage.run(job)
        model = job.out
    for dtype in (None, "float16", "dynamic", "int8", "int16x8"):
        quantize = Quantize(dtype=dtype) if dtype else None
        recipe = steps + ([Step("quantize", quantize)] if quantize else [])
        params = {"quantize": quantize.model_dump(mode="json") if quantize else None}
        job = a_job(
            "convert", tmp_path / str(dtype), params, inputs={"model": model, "data": digits_data}
        )
        convert.run(job)
        promised = [
            p.model_dump(mode="json")
            for step in recipe
            for p in TECHNIQUES.get(step.technique).promises(GRAPH, step.params, recipe)
        ]
        looked = a_job(
            "inspect",
            tmp_path / f"{dtype}-proofs",
            {"promises": promised},
            inputs={"file": job.out},
        )
        look.run(looked)  # raises ProofFailed where a promise is broken
        assert len(json.loads((looked.out / "proofs.json").read_text()))


@pytest.mark.train
def test_normalisation_goes_on_learning_while_kernels_are_clustered(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    """TFMOT's wrapper around a whole model calls every layer without `training`.

    The moving statistics then stand still.
    """
    from zoo_builders import tf
    from zoo_builders.keras_models.files import load
    from zoo_builders.keras_models.weights import copied
    from zoo_builders.stages import technique as technique_stage
    from zoo_builders.training.fit import compile_classifier
    from zoo_builders.training.settings import Train

    base = load(digits_base / "model.keras")
    before = base.get_layer("stem_bn").get_weights()
    stage = {
        "technique": "cluster",
        "params": {"clusters": 8, "fold_batch_norm": False, "epochs": 1},
        "train": TRAIN,
        "seed": 7,
    }
    technique_stage.run(
        a_job("technique", tmp_path, stage, inputs={"model": digits_base, "data": digits_data})
    )
    after = load(tmp_path / "model.keras").get_layer("stem_bn").get_weights()
    assert not np.array_equal(before[2], after[2])

    start = tf.tfmot.clustering.keras.CentroidInitialization.LINEAR
    whole = tf.tfmot.clustering.keras.cluster_weights(
        copied(base), number_of_clusters=8, cluster_centroids_init=start
    )
    compile_classifier(whole, Train())
    whole.fit(
        np.random.default_rng(0).random((64, 8, 8, 1)).astype(np.float32), np.zeros(64), verbose=0
    )
    theirs = tf.tfmot.clustering.keras.strip_clustering(whole).get_layer("stem_bn").get_weights()
    np.testing.assert_array_equal(theirs[2], before[2])
