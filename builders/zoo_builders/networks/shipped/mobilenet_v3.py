"""MobileNetV3, layer for layer as keras.applications has it.

Howard et al. 2019, "Searching for MobileNetV3".
"""

from dataclasses import dataclass
from typing import Literal

from zoo_builders.networks.blocks import Variant, Windows, check_variant, divisible
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import network

_DROPOUT = 0.2
_SQUEEZE = 0.25


@dataclass(frozen=True, slots=True)
class _Block:
    """A row of tables 1 and 2 of the paper.

    Expansion, channels, kernel (of the full network), stride, squeeze-excite, hard-swish.
    """

    expansion: float
    channels: int
    kernel: int
    stride: int
    squeeze: bool
    swish: bool


_LARGE = (
    _Block(1, 16, 3, 1, squeeze=False, swish=False),
    _Block(4, 24, 3, 2, squeeze=False, swish=False),
    _Block(3, 24, 3, 1, squeeze=False, swish=False),
    _Block(3, 40, 5, 2, squeeze=True, swish=False),
    _Block(3, 40, 5, 1, squeeze=True, swish=False),
    _Block(3, 40, 5, 1, squeeze=True, swish=False),
    _Block(6, 80, 3, 2, squeeze=False, swish=True),
    _Block(2.5, 80, 3, 1, squeeze=False, swish=True),
    _Block(2.3, 80, 3, 1, squeeze=False, swish=True),
    _Block(2.3, 80, 3, 1, squeeze=False, swish=True),
    _Block(6, 112, 3, 1, squeeze=True, swish=True),
    _Block(6, 112, 3, 1, squeeze=True, swish=True),
    _Block(6, 160, 5, 2, squeeze=True, swish=True),
    _Block(6, 160, 5, 1, squeeze=True, swish=True),
    _Block(6, 160, 5, 1, squeeze=True, swish=True),
)
_SMALL = (
    _Block(1, 16, 3, 2, squeeze=True, swish=False),
    _Block(72 / 16, 24, 3, 2, squeeze=False, swish=False),
    _Block(88 / 24, 24, 3, 1, squeeze=False, swish=False),
    _Block(4, 40, 5, 2, squeeze=True, swish=True),
    _Block(6, 40, 5, 1, squeeze=True, swish=True),
    _Block(6, 40, 5, 1, squeeze=True, swish=True),
    _Block(3, 48, 5, 1, squeeze=True, swish=True),
    _Block(3, 48, 5, 1, squeeze=True, swish=True),
    _Block(6, 96, 5, 2, squeeze=True, swish=True),
    _Block(6, 96, 5, 1, squeeze=True, swish=True),
    _Block(6, 96, 5, 1, squeeze=True, swish=True),
)
_SIZES = {"small": (_SMALL, 1024), "large": (_LARGE, 1280)}


@network("mobilenet_v3")
def mobilenet_v3(
    *,
    size: Literal["small", "large"] = "small",
    minimalistic: bool = True,
    alpha: float = 1.0,
    resolution: int = 224,
    classes: int = 1000,
    variant: Variant = "xnnpack",
) -> Graph:
    """For RGB images in [-1, 1].

    2.1 (small) or 3.9 (large) million weights when minimalistic, 2.6 or 5.5 in full; ends in
    logits.

    `minimalistic: true` has 3x3 kernels and ReLU only: XNNPACK runs its `variant: xnnpack` sparse,
    and every technique takes it. The full network has squeeze-excite, hard-swish (converted to one
    HARD_SWISH operator) and 5x5 kernels: more accurate, but its shifts are refused by pruning's
    XNNPACK policy, and quantization-aware training leaves every hard-swish in the file as the
    products and shifts it is made of. `variant: stock` pads as keras.applications does, so that its
    weights fit exactly (75.6 % full large at 224, inputs rescaled to [-1, 1] by the manifest).
    """
    check_variant(variant)
    if size not in _SIZES:
        raise ValueError(f"size is {size!r}, expected small or large")
    blocks, last = _SIZES[size]
    net = Net(
        f"mobilenet_v3_{size}{'_minimalistic' if minimalistic else ''}", (resolution, resolution, 3)
    )
    writer = _Writer(Windows(net, variant), minimalistic, alpha)
    writer.windows.stem(16, name="Conv", pad="Conv_pad")
    writer.norm("Conv", swish=True)
    for number, block in enumerate(blocks):
        writer.block(number, block)
    net.conv(divisible(net.shape()[-1] * 6), padding="same", bias=False, name="Conv_1")
    writer.norm("Conv_1", swish=True)
    writer.head(divisible(last * alpha) if alpha > 1 else last, classes)
    return net.graph()


@dataclass(frozen=True, slots=True)
class _Writer:
    windows: Windows
    minimalistic: bool
    alpha: float

    @property
    def net(self) -> Net:
        return self.windows.net

    def norm(self, name: str, *, swish: bool) -> None:
        """Add batch normalisation and the activation behind it."""
        self.net.batch_norm(name=f"{name}_BatchNorm")
        self.act(name, swish=swish)

    def act(self, name: str, *, swish: bool) -> None:
        """Add hard-swish, x * relu6(x + 3) / 6, where the full network has it; else ReLU."""
        if self.minimalistic or not swish:
            self.net.relu(name=f"{name}_relu")
            return
        entered = self.net.last
        self.hard_sigmoid(name)
        self.net.multiply(entered, self.net.last, name=f"{name}_hard_swish")

    def hard_sigmoid(self, name: str) -> None:
        """Add relu6(x + 3) / 6, spelled so that the converter finds it."""
        self.net.rescale(offset=3.0, name=f"{name}_shift")
        self.net.relu(max_value=6.0, name=f"{name}_relu6")
        self.net.rescale(1 / 6, name=f"{name}_hard_sigmoid")

    def block(self, number: int, row: _Block) -> None:
        """Add an inverted residual block."""
        net, name = self.net, f"expanded_conv_{number}" if number else "expanded_conv"
        entered, channels, filters = net.last, net.shape()[-1], divisible(row.channels * self.alpha)
        wide = divisible(channels * row.expansion)
        if number:
            net.conv(wide, padding="same", bias=False, name=f"{name}_expand")
            self.norm(f"{name}_expand", swish=row.swish)
        kernel = 3 if self.minimalistic else row.kernel
        self.windows.depthwise(
            kernel, row.stride, name=f"{name}_depthwise", pad=f"{name}_depthwise_pad"
        )
        self.norm(f"{name}_depthwise", swish=row.swish)
        if row.squeeze and not self.minimalistic:
            self.squeeze_excite(wide, f"{name}_squeeze_excite")
        net.conv(filters, padding="same", bias=False, name=f"{name}_project")
        net.batch_norm(name=f"{name}_project_BatchNorm")
        if row.stride == 1 and channels == filters:
            net.add(entered, net.last, name=f"{name}_Add")

    def squeeze_excite(self, channels: int, name: str) -> None:
        """Weigh the channels by what the whole image says (Hu et al. 2018)."""
        entered = self.net.last
        self.net.global_pool(keepdims=True, name=f"{name}_AvgPool")
        self.net.conv(divisible(channels * _SQUEEZE), padding="same", name=f"{name}_Conv")
        self.net.relu(name=f"{name}_Relu")
        self.net.conv(channels, padding="same", name=f"{name}_Conv_1")
        self.hard_sigmoid(name)
        self.net.multiply(entered, self.net.last, name=f"{name}_Mul")

    def head(self, width: int, classes: int) -> None:
        """Pool, and classify by two 1x1 convolutions."""
        self.net.global_pool(keepdims=True, name="pool")
        self.net.conv(width, padding="same", name="Conv_2")
        self.act("Conv_2", swish=True)
        self.net.dropout(_DROPOUT, name="dropout")
        self.windows.classifier(classes, name="Logits")
