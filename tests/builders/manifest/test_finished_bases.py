"""A finished Keras model as a base: trained only where the manifest says so, refused by recipe."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.networks.test_keras_saved import DENSE, layer, model, saved, start
from zoo_builders.manifest import finished_bases
from zoo_builders.manifest.reader import Reader, Resolved
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_registry.model.errors import InvalidManifest, ZooError

PLAIN = [
    start(),
    layer("Flatten", "flat", "image"),
    layer("Dense", "head", "flat", **{**DENSE, "units": 10}),
]
ODD = [start(), layer("LSTM", "memory", "image")]
PRUNE = {"sparse": [{"prune": {"final": 0.5, "epochs": 1}}]}
INT8 = {"int8": [{"quantize": {"dtype": "int8"}}]}


def read(folder: Path, layers: list[dict[str, Any]], variants: Any, **base: Any) -> Resolved:
    version = base.pop("version", "3.15.1")
    saved(folder, model(*layers), version)
    told = {
        "schema": "edgezoo/v1",
        "model": "m",
        "version": "1.0.0",
        "license": "none",
        "base": {"network": "./model.keras", **base},
        "data": {"source": "digits"},
        "variants": variants,
    }
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump(told))
    return Reader(WorkTree(Digests(folder / "digests.json")), {}).read(path)


def refused(folder: Path, layers: list[dict[str, Any]], variants: Any, **base: Any) -> str:
    with pytest.raises(ZooError) as caught:
        read(folder, layers, variants, **base)
    assert isinstance(caught.value, InvalidManifest)
    return f"{caught.value}"


@pytest.mark.parametrize(
    ("base", "epochs"),
    [
        ({}, 0),
        ({"train": {"epochs": 6, "learning_rate": 0.002}}, 6),
        ({"weights": {"source": "train"}, "train": {"epochs": 4}}, 4),
        ({"weights": {"source": "train"}}, 10),
        ({"weights": {"fine_tune": 3}}, 3),
        ({"train": {"batch_size": 64, "seed": 3}}, 0),
    ],
)
def test_a_finished_model_is_trained_as_long_as_the_manifest_says(
    base: dict[str, Any], epochs: int, tmp_path: Path
) -> None:
    resolved = read(tmp_path, PLAIN, {"fp32": [], **PRUNE}, **base)
    assert finished_bases.epochs(resolved.spec.base) == epochs


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"train": {"batch_size": 64}}, "batch_size: nothing is trained with it"),
        ({"args": {"width": 3}}, "takes no arguments"),
    ],
)
def test_words_without_effect_are_refused(base: Any, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, PLAIN, INT8, **base)


def test_recipes_that_train_are_refused_by_layer_and_the_others_are_not(tmp_path: Path) -> None:
    said = refused(tmp_path, ODD, {**INT8, **PRUNE})
    assert "prune cannot be applied: layer memory (LSTM): no description" in said
    assert "quantize cannot" not in said
    layer_by_layer = {"int8": [{"quantize": {"dtype": "int8", "rounding": "compensated"}}]}
    assert "quantize cannot be applied: layer memory" in refused(tmp_path, ODD, layer_by_layer)
    found = read(tmp_path, ODD, INT8).found
    assert found.model is not None
    assert any("taken as a function" in remark for remark in found.remarks)


@pytest.mark.parametrize("base", [{"train": {"epochs": 2}}, {"weights": {"fine_tune": 1}}])
def test_what_is_only_a_function_cannot_be_trained_and_keras_2_can(
    base: Any, tmp_path: Path
) -> None:
    said = refused(tmp_path, ODD, INT8, **base)
    assert "this base cannot be trained: layer memory (LSTM)" in said
    assert read(tmp_path, ODD, INT8, version="2.15.0", **base).found.model is not None


def test_its_input_is_held_against_the_data(tmp_path: Path) -> None:
    small = [layer("InputLayer", "image", batch_shape=[None, 4, 4, 1]), *PLAIN[1:]]
    assert "takes inputs of shape [4, 4, 1]" in refused(tmp_path, small, INT8)
