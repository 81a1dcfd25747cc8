"""MobileNetV1 (Howard et al. 2017, "MobileNets"), layer for layer as keras.applications has it."""

from zoo_builders.networks.blocks import Variant, Windows, check_variant
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""(channels at width 1, stride) of the depthwise-separable blocks, table 1 of the paper."""

_STOCK_PAD = ((0, 1), (0, 1))
_DROPOUT = 1e-3


@network("mobilenet_v1")
def mobilenet_v1(
    *, alpha: float = 1.0, resolution: int = 224, classes: int = 1000, variant: Variant = "xnnpack"
) -> Graph:
    """For RGB images: 4.3 million weights at `alpha: 1.0`, ends in logits.

    XNNPACK runs `variant: xnnpack` sparse.

    `alpha` scales the channels. `variant: stock` pads as keras.applications does, so that its
    weights fit exactly (accuracy 70.4 % at 224); it never runs sparse. The classifier is a 1x1
    convolution in both.
    """
    check_variant(variant)
    net = Net("mobilenet_v1", (resolution, resolution, 3))
    windows = Windows(net, variant)
    windows.stem(int(32 * alpha), name="conv1", pad="conv1_pad")
    windows.relu6("conv1_bn", "conv1_relu")
    for block, (channels, stride) in enumerate(_BLOCKS, start=1):
        _separable(windows, block, int(channels * alpha), stride)
    net.global_pool(keepdims=True, name="pool")
    net.dropout(_DROPOUT, name="dropout")
    windows.classifier(classes, name="conv_preds")
    return net.graph()


def _separable(windows: Windows, block: int, filters: int, stride: int) -> None:
    net = windows.net
    if stride > 1:
        net.zero_pad(1 if windows.sparse else _STOCK_PAD, name=f"conv_pad_{block}")
    net.depthwise(
        3, stride, padding="same" if stride == 1 else "valid", bias=False, name=f"conv_dw_{block}"
    )
    windows.relu6(f"conv_dw_{block}_bn", f"conv_dw_{block}_relu")
    net.conv(filters, padding="same", bias=False, name=f"conv_pw_{block}")
    windows.relu6(f"conv_pw_{block}_bn", f"conv_pw_{block}_relu")
