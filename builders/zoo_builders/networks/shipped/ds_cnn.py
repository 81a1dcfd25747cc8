"""DS-CNN: depthwise-separable networks for keyword spotting on microcontrollers.

They come in the three sizes of their paper.

Zhang, Suda, Lai, Chandra 2017, "Hello Edge: Keyword Spotting on Microcontrollers"
(arXiv:1711.07128), table 5 and the commands of its published code: a 10x4 convolution over (time,
coefficients), depthwise-separable blocks of 3x3, average pooling, one fully connected layer.
"""

from dataclasses import dataclass
from typing import Literal

from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network


@dataclass(frozen=True, slots=True)
class _Size:
    """What differs between the sizes.

    These are the channels everywhere, the stride of the stem, and the stride of each block.
    """

    channels: int
    stem: int | tuple[int, int]
    blocks: tuple[int, ...]


_SIZES = {
    "small": _Size(64, 2, (1, 1, 1, 1)),
    "medium": _Size(172, (2, 1), (2, 1, 1, 1)),
    "large": _Size(276, (2, 1), (2, 1, 1, 1, 1)),
}


@network("ds_cnn")
def ds_cnn(
    *,
    size: Literal["small", "medium", "large"] = "small",
    frames: int = 49,
    coefficients: int = 10,
    classes: int = 12,
    momentum: float = 0.9,
    dropout: float = 0.0,
) -> Graph:
    """For speech features [frames, coefficients, 1], such as 49 x 10 MFCCs of one second.

    It has 24, 138 or 416 thousand weights and ends in logits.

    Never run sparse by XNNPACK: its sparse path starts at a 3x3 stem with three input channels.
    Pruning shrinks the compressed file. `momentum` is that of batch normalisation's moving
    statistics: small data sets have few steps an epoch, and Keras' 0.99 does not arrive. `dropout`
    is the share of the pooled features left out while training.
    """
    if size not in _SIZES:
        raise ValueError(f"size {size!r}: expected one of {', '.join(_SIZES)}")
    made = _SIZES[size]
    net = Net(f"ds_cnn_{size}", (frames, coefficients, 1))
    net.conv(made.channels, (10, 4), made.stem, padding="same", bias=False, name="stem_conv")
    net.batch_norm(momentum=momentum, name="stem_bn")
    net.relu(name="stem_relu")
    for block, stride in enumerate(made.blocks, start=1):
        net.depthwise(3, stride, bias=False, name=f"block{block}_depthwise")
        net.batch_norm(momentum=momentum, name=f"block{block}_depthwise_bn")
        net.relu(name=f"block{block}_depthwise_relu")
        net.conv(made.channels, 1, bias=False, name=f"block{block}_pointwise")
        net.batch_norm(momentum=momentum, name=f"block{block}_pointwise_bn")
        net.relu(name=f"block{block}_pointwise_relu")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    if dropout:
        net.dropout(dropout, name="dropout")
    net.dense(classes, name="classifier")
    return net.graph()
