"""EfficientNet-Lite0 to Lite4 (Liu 2020).

After github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

import math
from typing import Literal

from zoo_builders.networks.blocks import Variant, Windows, check_variant, divisible
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

_STAGES = (
    (1, 16, 1, 3, 1),
    (2, 24, 6, 3, 2),
    (2, 40, 6, 5, 2),
    (3, 80, 6, 3, 2),
    (3, 112, 6, 5, 1),
    (4, 192, 6, 5, 2),
    (1, 320, 6, 3, 1),
)
"""(blocks, channels, expansion, kernel, stride of the first block) of each stage.

They are those of EfficientNet-B0 (Tan & Le 2019, table 1).
"""

_SIZES = (
    (1.0, 1.0, 224, 0.2),
    (1.0, 1.1, 240, 0.2),
    (1.1, 1.2, 260, 0.3),
    (1.2, 1.4, 280, 0.3),
    (1.4, 1.8, 300, 0.3),
)
"""(width, depth, resolution, dropout) of Lite0 to Lite4."""

_STEM, _HEAD = 32, 1280


@network("efficientnet_lite")
def efficientnet_lite(
    *,
    size: Literal[0, 1, 2, 3, 4] = 0,
    resolution: int | None = None,
    classes: int = 1000,
    variant: Variant = "xnnpack",
) -> Graph:
    """For RGB images, (x - 127) / 128.

    4.7, 5.4, 6.1, 8.2 or 13.0 million weights, ends in logits; `variant: xnnpack` runs sparse.

    EfficientNet without squeeze-excite and with ReLU6 instead of swish, made to be quantized.
    `size` is the number behind Lite, `resolution` the published one unless given (224, 240, 260,
    280, 300). `variant: stock` pads with TensorFlow's `same`: the published ImageNet weights fit
    exactly (75.1 % Lite0, `weights: {source: package}`); it never runs sparse. The published
    weights in `variant: xnnpack` need fine-tuning.
    """
    check_variant(variant)
    if size not in range(len(_SIZES)):
        raise ValueError(f"size is {size!r}, expected 0, 1, 2, 3 or 4")
    width, depth, published, dropout = _SIZES[size]
    side = resolution or published
    net = Net(f"efficientnet_lite{size}", (side, side, 3))
    windows = Windows(net, variant)
    windows.stem(_STEM, name="stem_conv", pad="stem_pad")
    windows.relu6("stem_bn", "stem_relu")
    _body(windows, width, depth)
    net.conv(_HEAD, bias=False, name="head_conv")
    windows.relu6("head_bn", "head_relu")
    windows.classify(classes, name="classifier", dropout=dropout)
    return net.graph()


def _body(windows: Windows, width: float, depth: float) -> None:
    for stage, (count, channels, expansion, kernel, first) in enumerate(_STAGES, start=1):
        deeper = (
            count if stage in (1, len(_STAGES)) else math.ceil(count * depth)
        )  # Lite keeps the first and the last stage
        for index in range(deeper):
            name = f"block{stage}{chr(ord('a') + index)}"
            _block(
                windows,
                name,
                (divisible(channels * width), expansion, kernel, first if index == 0 else 1),
            )


def _block(windows: Windows, name: str, row: tuple[int, int, int, int]) -> None:
    net, (filters, expansion, kernel, stride) = windows.net, row
    entered, channels = net.last, net.shape()[-1]
    if expansion > 1:
        net.conv(channels * expansion, bias=False, name=f"{name}_expand")
        windows.relu6(f"{name}_expand_bn", f"{name}_expand_relu")
    if stride > 1 and windows.sparse:
        windows.pad(kernel, f"{name}_pad")
    padding = "valid" if stride > 1 and windows.sparse else "same"
    net.depthwise(kernel, stride, padding=padding, bias=False, name=f"{name}_depthwise")
    windows.relu6(f"{name}_depthwise_bn", f"{name}_depthwise_relu")
    net.conv(filters, bias=False, name=f"{name}_project")
    net.batch_norm(name=f"{name}_project_bn")
    if stride == 1 and channels == filters:
        net.add(entered, net.last, name=f"{name}_add")
