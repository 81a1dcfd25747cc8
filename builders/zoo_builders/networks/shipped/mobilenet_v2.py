"""MobileNetV2, layer for layer as keras.applications has it.

Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks".
"""

from zoo_builders.networks.blocks import Variant, Windows, check_variant, divisible
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""(channels at width 1, blocks, stride of the first block), table 2 of the paper."""

_EXPANSION, _LAST = 6, 1280
_REDUCTIONS = (2, 4, 8, 16, 32)


@network("mobilenet_v2")
def mobilenet_v2(
    *,
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    reduction: int = 32,
    variant: Variant = "xnnpack",
) -> Graph:
    """For RGB images: 3.5 million weights at `alpha: 1.0`, ends in logits.

    XNNPACK runs `variant: xnnpack` sparse.

    `alpha` scales the channels. `reduction` is by how much the network shrinks an image in all: 32
    as published; 16, 8, 4 or 2 leave out the first strides behind the stem, for images of 32 to 96
    pixels (`resolution: 32, reduction: 8` ends in 4x4). The stem keeps its stride of 2, which the
    sparse path begins with. `variant: stock` pads as keras.applications does, so that its weights
    fit exactly (accuracy 71.3 % at 224); it never runs sparse.
    """
    check_variant(variant)
    if reduction not in _REDUCTIONS or resolution < reduction:
        raise ValueError(
            f"reduction is {reduction}, expected one of {', '.join(map(str, _REDUCTIONS))}, at most"
            f" the resolution ({resolution})"
        )
    net = Net("mobilenet_v2", (resolution, resolution, 3))
    windows = Windows(net, variant)
    windows.stem(divisible(32 * alpha), name="Conv1", pad="Conv1_pad")
    windows.relu6("bn_Conv1", "Conv1_relu")
    _body(windows, alpha, reduction)
    net.conv(
        divisible(_LAST * alpha) if alpha > 1 else _LAST, padding="valid", bias=False, name="Conv_1"
    )
    windows.relu6("Conv_1_bn", "out_relu")
    windows.classify(classes, name="predictions")
    return net.graph()


def _body(windows: Windows, alpha: float, reduction: int) -> None:
    block, dropped = 0, sum(step > reduction for step in _REDUCTIONS)
    for channels, count, first in _STAGES:
        stride = first
        if stride > 1 and dropped:
            stride, dropped = 1, dropped - 1
        for index in range(count):
            _inverted_residual(
                windows, block, divisible(int(channels * alpha)), stride if index == 0 else 1
            )
            block += 1


def _inverted_residual(windows: Windows, block: int, filters: int, stride: int) -> None:
    net, name = windows.net, f"block_{block}" if block else "expanded_conv"
    entered = net.last
    channels = net.shape()[-1]
    if block:
        net.conv(_EXPANSION * channels, padding="same", bias=False, name=f"{name}_expand")
        windows.relu6(f"{name}_expand_BN", f"{name}_expand_relu")
    windows.depthwise(3, stride, name=f"{name}_depthwise", pad=f"{name}_pad")
    windows.relu6(f"{name}_depthwise_BN", f"{name}_depthwise_relu")
    net.conv(filters, padding="same", bias=False, name=f"{name}_project")
    net.batch_norm(epsilon=windows.epsilon, name=f"{name}_project_BN")
    if stride == 1 and channels == filters:
        net.add(entered, net.last, name=f"{name}_add")
