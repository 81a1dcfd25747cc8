"""Quantizing a trained model.

Layers left in float, errors by layer, both engines, and files that convert but do not run.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import a_job
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.quantize.params import Params
from zoo_builders.tflite import inspection, proof
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.layer_tensors import belonging, kernels_of
from zoo_registry.model.errors import BuildFailed
from zoo_registry.model.record import Quantization, TensorSparsity

pytestmark = pytest.mark.train

QUANTIZE = TECHNIQUES.get("quantize")
GRAPH = NETWORKS.get("digits_cnn")(width=16)
HOSTILE, AFTER, CHANNEL, FACTOR = "block1_pointwise", "block2_depthwise", 3, 1e3
Make = Callable[..., Path]


def silent(*_: Any) -> None:
    """Tell nobody of progress."""


def quantized(base: Path, data: Path, out: Path, **said: Any) -> Path:
    """Convert as a build does, and hold the file against what the recipe promises."""
    from zoo_builders.stages import convert

    params = QUANTIZE.infer(QUANTIZE.params.model_validate(said), ())
    asked = QUANTIZE.converts(params, ())
    convert.run(
        a_job(
            "convert",
            out,
            {**asked, "task": "image-classification"},
            inputs={"model": base, "data": data},
        )
    )
    seen = inspection.examine(read((out / "model.tflite").read_bytes()))
    promises = QUANTIZE.promises(GRAPH, params, [Step("quantize", params)])
    proof.demand(proof.judge(promises, seen))
    return out


def about(folder: Path) -> Quantization:
    return Quantization.model_validate_json((folder / "quantization.json").read_bytes())


def kernels(folder: Path) -> dict[str, TensorSparsity]:
    """Weight tensors of a file by layer."""
    weights = inspection.inspect((folder / "model.tflite").read_bytes()).weights
    wanted = kernels_of(GRAPH, [node.name for node in GRAPH.nodes])
    return {kernel.layer: weights[belonging(weights, kernel)[0]] for kernel in wanted}


def top1(folder: Path, data: Path) -> float:
    from zoo_builders.data.stored import load_split
    from zoo_builders.tflite.litert import Session

    inputs, labels = load_split(data, "validation")
    session = Session(folder / "model.tflite")
    [port], [out] = session.inputs, session.outputs
    return float(
        np.mean(
            [
                out.real(session.run([port.store(x[None])])[0]).argmax() == y
                for x, y in zip(inputs, labels, strict=True)
            ]
        )
    )


@pytest.fixture(scope="module")
def hostile_base(digits_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with one channel a thousand times larger than the others.

    Undone by the layer that reads it: the same function.
    """
    from zoo_builders.keras_models.files import load, save

    model, folder = load(digits_base / "model.keras"), tmp_path_factory.mktemp("hostile")
    norm = model.get_layer(f"{HOSTILE}_bn")
    gamma, beta, *moments = norm.get_weights()
    gamma[CHANNEL] = abs(gamma[CHANNEL]) * FACTOR
    beta[CHANNEL] = (
        max(abs(beta[CHANNEL]), 0.1) * FACTOR
    )  # alive: a channel that is always zero harms nobody
    norm.set_weights([gamma, beta, *moments])
    after = model.get_layer(AFTER)
    kernel, *rest = after.get_weights()
    kernel[:, :, CHANNEL] /= FACTOR
    after.set_weights([kernel, *rest])
    save(model, folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def files(
    hostile_base: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """The hostile model in float, in int8, and with as few layers in float as needed."""
    from zoo_builders.stages import convert

    plain = tmp_path_factory.mktemp("float")
    convert.run(
        a_job(
            "convert",
            plain,
            {"quantize": None},
            inputs={"model": hostile_base, "data": digits_data},
        )
    )
    int8 = quantized(hostile_base, digits_data, tmp_path_factory.mktemp("int8"))
    auto = quantized(
        hostile_base, digits_data, tmp_path_factory.mktemp("auto"), keep_float="auto", max_drop=0.01
    )
    return {"float": plain, "int8": int8, "auto": auto}


def test_leaving_the_worst_layers_in_float_brings_back_what_one_hostile_layer_cost(
    files: Mapping[str, Path], digits_data: Path
) -> None:
    plain, int8, auto = (top1(files[name], digits_data) for name in ("float", "int8", "auto"))
    assert plain - int8 > 0.1, "the layer is hostile"
    assert plain - auto <= 0.01
    kept = {error.layer for error in about(files["auto"]).layers if error.kept_float}
    assert HOSTILE in kept
    assert len(kept) <= 3
    assert (files["auto"] / "model.tflite").stat().st_size < (
        files["float"] / "model.tflite"
    ).stat().st_size


def test_the_report_blames_the_hostile_layer_where_rmse_over_scale_does_not(
    files: Mapping[str, Path],
) -> None:
    errors = {error.layer: error for error in about(files["int8"]).layers}
    assert min(errors.values(), key=lambda error: error.sqnr_channels_db).layer in {HOSTILE, AFTER}
    assert errors[HOSTILE].rmse_over_scale < 0.5, "small against the stretched scale"
    assert errors[HOSTILE].sqnr_channels_db < 0.5 * errors["stem_conv"].sqnr_channels_db
    assert not any(error.kept_float for error in errors.values())


def test_the_search_is_told_with_what_it_tried(files: Mapping[str, Path]) -> None:
    found = about(files["auto"])
    assert (found.engine, found.metric, found.mode, found.split) == (
        "tensorflow",
        "top1",
        "layer",
        "calibration",
    )
    assert found.search[0].kept == 0
    assert found.search[0].drop > 0.1
    kept = sum(error.kept_float for error in found.layers)
    assert min(trial.drop for trial in found.search if trial.kept == kept) <= 0.01


def test_a_search_that_may_keep_too_few_layers_fails_with_the_reason(
    hostile_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailed, match="1 worst layers in float still"):
        quantized(
            hostile_base, digits_data, tmp_path, keep_float="auto", max_drop=0.0, max_float_layers=1
        )


def test_zeros_are_left_out_of_a_file_with_float_layers_too(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    """The way that can leave layers in float stores nothing sparse by itself."""
    from zoo_builders.keras_models.files import load, save

    model = load(digits_base / "model.keras")
    for layer in model.layers:
        weights = layer.get_weights()
        if weights and weights[0].ndim == 4 and layer.name.endswith("pointwise"):
            weights[0][np.abs(weights[0]) < np.quantile(np.abs(weights[0]), 0.8)] = 0
            layer.set_weights(weights)
    save(model, tmp_path / "model.keras")
    out = quantized(
        tmp_path,
        digits_data,
        tmp_path / "out",
        keep_float=["stem_conv"],
        sparse_encoding="always",
        report=False,
    )
    stored = kernels(out)
    assert stored["block2_pointwise"].encoded_sparse
    assert stored["block2_pointwise"].dtype == "int8"
    assert stored["stem_conv"].dtype == "float32"


LITERT: Mapping[str, tuple[dict[str, Any], dict[str, tuple[str, str]]]] = {
    "int4": (
        {"dtype": "int4"},
        {
            "stem_conv": ("int4", "channel"),
            "block1_depthwise": ("int8", "channel"),
            "classifier": ("int4", "channel"),
        },
    ),
    "blocks": (
        {"dtype": "int4", "granularity": "block32"},
        {"classifier": ("int4", "block32"), "stem_conv": ("int4", "channel")},
    ),
    "rules": (
        {
            "dtype": "int8",
            "rules": [
                {"layers": "re:.*", "dtype": "int8"},
                {"layers": "re:block._pointwise", "dtype": "int4"},
                {"layers": ["stem_conv"], "dtype": "float32"},
            ],
        },
        {
            "block2_pointwise": ("int4", "channel"),
            "stem_conv": ("float32", ""),
            "classifier": ("int8", "channel"),
        },
    ),
    "octav": (
        {"dtype": "int8", "method": "octav", "interface": "int8"},
        {"block2_pointwise": ("int8", "channel")},
    ),
    "dynamic": (
        {"dtype": "dynamic", "keep_float": ["classifier"]},
        {"classifier": ("float32", ""), "stem_conv": ("int8", "channel")},
    ),
    "float16": ({"dtype": "float16", "engine": "litert"}, {"stem_conv": ("float16", "")}),
}


@pytest.mark.parametrize("name", LITERT)
def test_the_second_engine_stores_what_the_recipe_says(
    name: str, digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    said, expected = LITERT[name]
    out = quantized(digits_base, digits_data, tmp_path, **said)
    weights = kernels(out)
    assert {
        layer: (weights[layer].dtype, weights[layer].granularity) for layer in expected
    } == expected
    assert top1(out, digits_data) > (0.6 if said["dtype"] == "int4" else 0.85)
    found = about(out)
    assert (found.engine, bool(found.engine_version)) == ("litert", True)
    assert bool(found.layers) == (said["dtype"] == "int8")


def test_one_scale_a_tensor_where_asked(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    out = quantized(digits_base, digits_data, tmp_path, granularity="tensor", report=False)
    assert {
        weight.granularity
        for weight in inspection.inspect((out / "model.tflite").read_bytes()).weights
    } == {"tensor"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"samples": 5000}, r"asks for 5000 calibration inputs, the split 'calibration' has 100"),
        ({"keep_float": ["re:nope"]}, "re:nope"),
    ],
)
def test_what_the_data_or_the_file_do_not_have_is_refused(
    said: dict[str, Any], message: str, digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailed, match=message) as caught:
        quantized(digits_base, digits_data, tmp_path, **said)
    assert caught.value.hint


def test_an_int16x8_graph_that_the_runtime_cannot_load_is_refused_before_it_is_made(
    digits_data: Path, tmp_path: Path
) -> None:
    from zoo_builders import tf

    layers = tf.keras.layers
    image = layers.Input((8, 8, 1))
    hidden = layers.Conv2D(2, 3)(image)
    difference = layers.Lambda(lambda h: tf.tensorflow.math.squared_difference(h, 0.3 * h))(hidden)
    model = tf.keras.Model(image, layers.Dense(10)(layers.Flatten()(difference)))
    from zoo_builders.converting.calibrated import calibrated
    from zoo_builders.converting.float_model import Examples, of_keras
    from zoo_builders.converting.quantized_file import quantized

    params = Params.model_validate({"dtype": "int16x8", "report": False})
    calibration = (
        np.load(digits_data / "calibration_x.npy")[:10].astype(np.float32).reshape(-1, 8, 8, 1)
    )
    with pytest.raises(BuildFailed, match="no int16 kernel for SQUARED_DIFFERENCE"):
        quantized(calibrated(of_keras(model, params, Examples(calibration)), silent), silent)


def test_the_report_is_left_out_where_it_is_not_wanted(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    out = quantized(digits_base, digits_data, tmp_path, dtype="int16x8", report=False)
    assert json.loads((out / "quantization.json").read_text())["layers"] == []


def test_the_report_calls_every_operator_by_its_layer(files: Mapping[str, Path]) -> None:
    named = {error.layer for error in about(files["int8"]).layers}
    assert {"block1_depthwise", "block2_depthwise", "stem_conv", "classifier"} <= named
    assert "BiasAdd" not in named


REFUSED = [
    ("classifier", "int8", "changes nothing: later ones", "take it out of rules"),
    (
        "*depthwise",
        "int4",
        "block1_depthwise.*block2_depthwise",
        "write dtype: int8 in the rule for block1_depthwise, or take it out of rules",
    ),
]


@pytest.mark.parametrize(("layers", "dtype", "message", "hint"), REFUSED)
def test_a_rule_that_the_finished_float_file_cannot_follow_is_refused_in_few_words(
    layers: str,
    dtype: str,
    message: str,
    hint: str,
    digits_base: Path,
    digits_data: Path,
    tmp_path: Path,
) -> None:
    """The plan refuses the same of a network it can read; of a file only its operators tell."""
    from zoo_builders.stages import convert

    last = [{"layers": "FULLY_CONNECTED", "dtype": "int4"}] if layers == "classifier" else []
    asked = Params.model_validate(
        {"rules": [{"layers": layers, "dtype": dtype}, *last]}
    ).model_dump(mode="json")
    job = a_job(
        "convert",
        tmp_path,
        {"quantize": asked, "task": "image-classification"},
        inputs={"model": digits_base, "data": digits_data},
    )
    with pytest.raises(BuildFailed, match=message) as caught:
        convert.run(job)
    assert caught.value.hint == hint
    assert "OpQuantizationConfig" not in caught.value.message


def test_a_rule_speaks_of_weights_and_leaves_operators_without_any_to_the_step(
    digits_base: Path, digits_data: Path, tmp_path: Path
) -> None:
    rule = {"layers": ["classifier", "MEAN"], "dtype": "int4", "granularity": "block32"}
    out = quantized(digits_base, digits_data, tmp_path, dtype="dynamic", rules=[rule])
    assert (kernels(out)["classifier"].dtype, kernels(out)["classifier"].granularity) == (
        "int4",
        "block32",
    )
