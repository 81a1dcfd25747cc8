"""What the networks in `models/` share.

Channel counts, the two ways to pad, and the convolutions of the MobileNet family.

Networks exist in two variants. `xnnpack` pads every strided convolution by the same amount on all
sides, as XNNPACK's sparse path asks (and as PyTorch does), and keeps four dimensions up to the
classifier. `stock` is the network of keras.applications, whose strided convolutions pad less before
than behind: its published weights fit exactly, and it never runs sparse. Both have the same layer
names and the same weights, so weights go from one to the other; what changes is which pixels a
strided window sees.
"""

from dataclasses import dataclass
from typing import Literal

from zoo_builders.networks.net import Net

Variant = Literal["xnnpack", "stock"]
VARIANTS = ("xnnpack", "stock")


def divisible(channels: float, divisor: int = 8) -> int:
    """Round a number of channels to a multiple of `divisor`.

    Never down by more than a tenth (the MobileNets' rule).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def check_variant(variant: str) -> None:
    """Refuse a variant that does not exist.

    Raises:
        ValueError: with the ones that do.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, expected one of {', '.join(VARIANTS)}")


@dataclass(frozen=True, slots=True)
class Windows:
    """Writes convolutions into `net` with the padding of `variant`.

    Attributes:
        net: what is written to.
        variant: `xnnpack` or `stock`.
        epsilon: of every batch normalisation.
    """

    net: Net
    variant: Variant
    epsilon: float = 0.001

    @property
    def sparse(self) -> bool:
        """Whether strided convolutions are padded the way XNNPACK's sparse path asks."""
        return self.variant == "xnnpack"

    def pad(self, kernel: int, name: str) -> None:
        """Pad for a VALID window with stride 2.

        Evenly, or (`stock`) as keras.applications' `correct_pad`, one less before an even side.
        """
        margin = kernel // 2
        rows, columns = (
            (margin if self.sparse or size % 2 else margin - 1, margin)
            for size in self.net.shape()[:2]
        )
        self.net.zero_pad((rows, columns), name=name)

    def stem(self, filters: int, *, name: str, pad: str) -> None:
        """Add the 3x3 convolution with stride 2 that networks begin with.

        `stock` pads with `same`.
        """
        if self.sparse:
            self.net.zero_pad(1, name=pad)
        self.net.conv(
            filters, 3, 2, padding="valid" if self.sparse else "same", bias=False, name=name
        )

    def depthwise(self, kernel: int, stride: int, *, name: str, pad: str) -> None:
        """Add a depthwise convolution; before a stride stands an explicit padding called `pad`."""
        if stride > 1:
            self.pad(kernel, pad)
        self.net.depthwise(
            kernel, stride, padding="same" if stride == 1 else "valid", bias=False, name=name
        )

    def relu6(self, norm: str, act: str) -> None:
        """Add batch normalisation and ReLU6."""
        self.net.batch_norm(epsilon=self.epsilon, name=norm)
        self.net.relu(max_value=6.0, name=act)

    def classify(self, classes: int, *, name: str, dropout: float = 0.0) -> None:
        """Pool over the image and classify, ending in logits.

        `stock` by a dense layer, `xnnpack` as `classifier` says.
        """
        self.net.global_pool(keepdims=self.sparse, name="pool")
        if dropout:
            self.net.dropout(dropout, name="dropout")
        if self.sparse:
            self.classifier(classes, name=name)
        else:
            self.net.dense(classes, name=name)

    def classifier(self, classes: int, *, name: str) -> None:
        """Classify pooled images (1x1 pixels) by a 1x1 convolution, ending in logits.

        XNNPACK counts the weights of a fully connected layer behind the pooling among those of
        which more than 2/3 must be zero, and pruning by its policy touches 1x1 convolutions only: a
        dense classifier of 1000 classes would keep the sparse path of a 75 % sparse MobileNetV2
        shut. `xnnpack` ends in a second pooling, over 1x1 pixels, where XNNPACK can leave the
        sparse path; it changes no value. `stock` ends in a reshape, as keras.applications does.
        """
        self.net.conv(classes, name=name)
        if self.sparse:
            self.net.global_pool(keepdims=False, name="logits")
        else:
            self.net.flatten(name="logits")
