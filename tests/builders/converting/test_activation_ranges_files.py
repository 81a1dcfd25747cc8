"""Narrower ranges in the file: int8 with a rare outlier among the calibration inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import a_job
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.tflite_file import TfliteFile

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def calibrated() -> tuple[TfliteFile, Any]:
    """A network that answers a bright picture sixteen times as loudly as noise.

    Calibrated on noise and one bright picture in 400.
    """
    from zoo_builders import tf
    from zoo_builders.converting import tensorflow_converter
    from zoo_builders.keras_models.render import render
    from zoo_builders.networks.net import Net
    from zoo_builders.techniques.quantize.params import Params

    tf.deterministic(3)
    net = Net("outlier", (16, 16, 1))
    net.max_pool(1, name="pool")
    net.conv(8, 16, name="loud")
    net.max_pool(1, name="kept")
    net.flatten(name="flatten")
    net.dense(10, name="classifier")
    model, random = render(net.graph()), np.random.default_rng(0)
    model.get_layer("loud").set_weights(
        [np.ones((16, 16, 1, 8)) + random.normal(size=(16, 16, 1, 8)), np.zeros(8)]
    )
    last = random.normal(size=(8, 10))
    model.get_layer("classifier").set_weights(
        [last - last.mean(axis=0), np.zeros(10)]
    )  # what is equally loud everywhere cancels
    inputs = random.uniform(-1, 1, size=(400, 16, 16, 1)).astype(np.float32)
    inputs[399] = 1
    return read(tensorflow_converter.calibrate(model, Params(), inputs)), inputs


def decibels(file: bytes, reference: bytes, inputs: Any) -> float:
    wanted, found = (
        np.concatenate([Session(one).run([x[None]])[0] for x in inputs])
        for one in (reference, file)
    )
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)))


def test_an_outlier_in_the_calibration_inputs_costs_the_others_less(
    calibrated: tuple[TfliteFile, Any],
) -> None:
    from zoo_builders.converting import activation_ranges, tensorflow_converter
    from zoo_builders.techniques.quantize.params import Params

    file, inputs = calibrated
    usual = inputs[:8]
    plain = tensorflow_converter.quantize_calibrated(file.data, Params())
    narrowed = tensorflow_converter.quantize_calibrated(
        activation_ranges.narrow(file, inputs, 99, lambda *_: None).data, Params(percentile=99)
    )
    assert decibels(narrowed, file.data, usual) > decibels(plain, file.data, usual) + 3


def test_a_pooling_keeps_the_scale_of_what_it_pools_and_ports_keep_theirs(
    calibrated: tuple[TfliteFile, Any],
) -> None:
    from zoo_builders.converting import activation_ranges
    from zoo_builders.tflite import litert

    file, inputs = calibrated
    before, after = (
        litert.schema().ModelT.InitFromPackedBuf(one.data, 0).subgraphs[0]
        for one in (file, activation_ranges.narrow(file, inputs, 99, lambda *_: None))
    )
    spans = [
        {
            i: (float(t.quantization.min[0]), float(t.quantization.max[0]))
            for i, t in enumerate(graph.tensors)
            if t.quantization and t.quantization.min is not None
        }
        for graph in (before, after)
    ]
    for port in (*before.inputs, *before.outputs):
        assert spans[0][port] == spans[1][port]
    assert any(spans[1][index][1] < 0.5 * spans[0][index][1] for index in spans[0])
    moved = [
        operator
        for operator in after.operators
        if operator.outputs[0] in spans[1] and len(operator.inputs) == 1
    ]
    assert (
        [spans[1][operator.outputs[0]] for operator in moved]
        == [spans[1][operator.inputs[0]] for operator in moved]
        != []
    )


def test_the_convert_stage_does_it(digits_base: Path, digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders.stages import convert

    files: dict[float | None, bytes] = {}
    for method in (None, 99):
        asked = {
            "quantize": {"dtype": "int8", "percentile": method, "report": False},
            "sparse_encoding": "never",
            "task": "image-classification",
        }
        convert.run(
            a_job(
                "convert",
                tmp_path / str(method),
                asked,
                inputs={"model": digits_base, "data": digits_data},
            )
        )
        files[method] = (tmp_path / str(method) / "model.tflite").read_bytes()
    assert files[None] != files[99]
    assert len(files[None]) == pytest.approx(len(files[99]), rel=0.05)
